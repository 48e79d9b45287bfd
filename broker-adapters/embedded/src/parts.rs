//! What every connection and all upkeep share: the parts of an open broker.

use std::io;
use std::sync::Arc;

use crate::directory::Directory;
use crate::flush::Flusher;
use crate::groups::Groups;
use crate::remembered::{Entry, Remembered};
use crate::settings::Settings;
use crate::topics::Topics;
use crate::transactions::Transactions;

/// What every connection needs.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) directory: Directory,
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Transactions,
    pub(crate) flusher: Arc<Flusher>,
}

impl Parts {
    /// Has the disk keep everything, and closes the logs.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.remembered.journal.flush()?;
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                partition.log().close()?;
            }
        }
        Ok(())
    }

    /// Writes the journal anew when most of it is history.
    pub(crate) fn tidy_journal(&self) -> io::Result<()> {
        if !self.remembered.journal.wants_rewrite() {
            return Ok(());
        }
        self.remembered.journal.rewrite(|| {
            let mut entries = vec![Entry::ProducerIds(self.remembered.reserved())];
            entries.extend(self.topics.snapshot().into_iter().map(Entry::Topic));
            entries.extend(self.groups.snapshot().into_iter().map(Entry::Group));
            entries.extend(self.transactions.snapshot().into_iter().map(Entry::Transaction));
            entries
        })
    }
}
