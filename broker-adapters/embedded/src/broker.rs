//! The broker as a whole: opens the data directory, and answers who connects until it is told to stop.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::backup;
use crate::clock;
use crate::directory::{Directory, DirectoryError};
use crate::flush::Flusher;
use crate::groups::{GroupEvent, GroupSettings, GroupStore, Groups};
use crate::journal::Journal;
use crate::log::{LogError, Marker};
use crate::net;
use crate::parts::Parts;
use crate::remembered::{Entry, Found, Remembered};
use crate::settings::{Flush, Settings};
use crate::topics::{Room, Topics};
use crate::transactions::{Producer, Reach, Transaction, Transactions};
use crate::upkeep;

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A partition's log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There are logs, and nothing that says whose they are.
    #[error("the journal {} is missing, which names the topics of the logs beside it; put it back, or restore a backup", .0.display())]
    NoJournal(PathBuf),
    /// The journal cannot be read or written.
    #[error("cannot open the journal {}: {source}", path.display())]
    Journal {
        /// Its file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A broker that has its data directory and serves nobody yet.
pub struct Broker {
    shared: Arc<Parts>,
}

impl Broker {
    /// Takes the data directory and recovers what is in it.
    ///
    /// # Errors
    /// The directory is in use, of a newer release, not a broker's, or cannot be read or written.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let directory = Directory::take(&settings.data)?;
        backup::sweep(directory.path());
        let path = directory.path().join("journal");
        let logs = directory.logs().map_err(|source| DirectoryError::Io { path: settings.data.clone(), source })?;
        if !path.exists() && !logs.is_empty() {
            return Err(OpenError::NoJournal(path));
        }
        let opened = Journal::open::<Entry>(&path).map_err(|source| OpenError::Journal { path, source })?;
        let (journal, opened) = opened;
        if opened.cut > 0 {
            tracing::warn!(bytes = opened.cut, "the journal had a torn end, which was cut");
        }
        if opened.damaged > 0 {
            tracing::error!(bytes = opened.damaged, "the journal is damaged; what stood there is left out");
        }
        let mut found = Found::default();
        opened.entries.into_iter().for_each(|entry| found.take(entry));

        let room = Room { topics: settings.bounds.topics, partitions: settings.bounds.partitions };
        let (topics, notes) = Topics::open(directory.path(), room, found.topics)?;
        notes.iter().for_each(|note| tracing::warn!("{note}"));
        let topics = Arc::new(topics);
        let remembered = Arc::new(Remembered::new(journal, found.producer_ids));
        let groups = open_groups(&settings, &remembered, &topics, found.groups);
        let flusher = Arc::new(Flusher::new(settings.flush));
        let reach = TransactionReach {
            flusher: Arc::clone(&flusher),
            remembered: Arc::clone(&remembered),
            topics: Arc::clone(&topics),
            groups: Arc::clone(&groups),
        };
        let bounds = &settings.bounds;
        let transactions = Transactions::new(Box::new(reach), bounds.transactional_ids, bounds.transaction_timeout);
        for (id, transaction) in found.transactions {
            transactions.replay(&id, transaction);
        }
        // What was decided and not carried out when the broker ended, is carried out before anybody asks.
        transactions.tick(clock::now());
        Ok(Self { shared: Arc::new(Parts { settings, directory, remembered, topics, groups, transactions, flusher }) })
    }

    /// What power loss may take, for the log line of the start.
    pub fn flush(&self) -> Flush {
        self.shared.settings.flush
    }

    /// Answers who connects until `stopped`, then closes the logs.
    ///
    /// # Errors
    /// The disk does not keep what is written to it; the broker must not go on as if it did.
    pub async fn serve(self, listener: TcpListener, stopped: impl Future<Output = ()> + Send) -> io::Result<()> {
        let shared = self.shared;
        let upkeep = upkeep::run(Arc::clone(&shared));
        let ended = tokio::select! {
            () = net::listen(Arc::clone(&shared), listener) => Ok(()),
            failed = upkeep => failed,
            () = stopped => Ok(()),
        };
        let closed = tokio::task::spawn_blocking(move || shared.close()).await;
        ended.and(closed.unwrap_or_else(|panic| Err(io::Error::other(panic))))
    }
}

fn open_groups(
    settings: &Settings,
    remembered: &Arc<Remembered>,
    topics: &Arc<Topics>,
    events: Vec<GroupEvent>,
) -> Arc<Groups> {
    let delay = i32::try_from(settings.initial_rebalance_delay.as_millis()).unwrap_or(i32::MAX);
    let group_settings = GroupSettings { initial_rebalance_delay_ms: delay, ..GroupSettings::default() };
    let store: Arc<dyn GroupStore> = Arc::clone(remembered) as Arc<dyn GroupStore>;
    let groups = Groups::new(group_settings, store, Arc::clone(topics) as Arc<dyn crate::groups::Partitions>);
    for event in events {
        groups.replay(event);
    }
    groups.start(clock::now());
    Arc::new(groups)
}

impl crate::groups::Partitions for Topics {
    fn exists(&self, topic: &str, partition: i32) -> bool {
        self.get(topic).is_some_and(|topic| topic.partition(partition).is_some())
    }

    fn name_of(&self, topic_id: uuid::Uuid) -> Option<String> {
        self.by_id(&topic_id).map(|topic| topic.name.clone())
    }
}

struct TransactionReach {
    flusher: Arc<Flusher>,
    remembered: Arc<Remembered>,
    topics: Arc<Topics>,
    groups: Arc<Groups>,
}

impl Reach for TransactionReach {
    fn remember(&self, transaction: &Transaction) -> io::Result<()> {
        self.remembered.journal.append(&[Entry::Transaction(transaction.clone())])
    }

    fn forget(&self, transactional_id: &str) -> io::Result<()> {
        self.remembered.journal.append(&[Entry::TransactionForgotten(transactional_id.to_owned())])
    }

    fn new_producer_id(&self) -> io::Result<i64> {
        self.remembered.new_producer_id()
    }

    fn mark(&self, topic: &str, partition: i32, producer: Producer, marker: Marker) -> io::Result<()> {
        let topic = self.topics.get(topic);
        let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(partition)) else { return Ok(()) };
        match partition.append_marker((producer.id, producer.epoch), marker, clock::now()) {
            Ok(_) => {
                self.flusher.written(partition);
                Ok(())
            }
            Err(crate::log::AppendError::Storage(error)) => Err(error),
            // A newer producer has written here: what this one left was ended before that.
            Err(refused) => {
                tracing::warn!(%refused, "a marker of an old producer was refused");
                Ok(())
            }
        }
    }

    fn end_offsets(&self, producer_id: i64, marker: Marker) -> io::Result<()> {
        self.groups.end_transaction(producer_id.into(), marker == Marker::Commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::Overrides;
    use crate::remembered::PRODUCER_IDS;
    use crate::topics::Wanted;

    fn open(place: &std::path::Path) -> Broker {
        Broker::open(Settings::new(place.to_owned(), "127.0.0.1", 9092)).unwrap()
    }

    #[test]
    fn a_producer_id_is_given_out_once_however_often_the_broker_starts() {
        let place = tempfile::tempdir().unwrap();
        let mut last = -1;
        for _ in 0..3 {
            let broker = open(place.path());
            for _ in 0..PRODUCER_IDS + 5 {
                let id = broker.shared.remembered.new_producer_id().unwrap();
                assert!(id > last, "{id} after {last}");
                last = id;
            }
            broker.shared.tidy_journal().unwrap();
        }
    }

    #[test]
    fn topics_come_back_and_deleted_ones_stay_away_however_long_their_names_are() {
        let place = tempfile::tempdir().unwrap();
        let (long, settings) = ("x".repeat(249), Overrides::from([("retention.ms".to_owned(), "5000".to_owned())]));
        let broker = open(place.path());
        let (topics, remembered) = (&broker.shared.topics, broker.shared.remembered.as_ref());
        for (name, partitions) in [("kept", 3), (long.as_str(), 1)] {
            let wanted = Wanted { name: name.to_owned(), partitions, configs: settings.clone() };
            topics.create(wanted, false, remembered).unwrap();
        }
        topics.grow("kept", 5, false, remembered).unwrap();
        let id = topics.get("kept").unwrap().id;
        topics.delete(&topics.get(&long).unwrap(), remembered).unwrap();
        drop(broker);
        let again = open(place.path());
        let all = again.shared.topics.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].id, all[0].partitions.len(), &all[0].configs), (id, 5, &settings));
        let left = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("xxx")));
    }
}
