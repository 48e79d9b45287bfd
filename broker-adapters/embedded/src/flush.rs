//! When the disk keeps what was written: never, each so often, or before it is acknowledged.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::partition::Partition;
use crate::remembered::Remembered;
use crate::settings::Flush;

/// Has the disk keep what was written, for many requests at once.
pub(crate) struct Flusher {
    flush: Flush,
    dirty: Mutex<Vec<Arc<Partition>>>,
    /// Somebody waits.
    wanted: Notify,
    /// Flushes that are begun and those that are done.
    begun: Mutex<u64>,
    done: watch::Sender<u64>,
}

impl Flusher {
    pub(crate) fn new(flush: Flush) -> Self {
        Self {
            flush,
            dirty: Mutex::default(),
            wanted: Notify::new(),
            begun: Mutex::default(),
            done: watch::Sender::new(0),
        }
    }

    /// Something was written to this partition.
    pub(crate) fn written(&self, partition: &Arc<Partition>) {
        if self.flush == Flush::Os || partition.mark_dirty() {
            return;
        }
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(partition));
    }

    /// With [`Flush::Always`], returns when the disk keeps all that was written before the call.
    pub(crate) async fn kept(&self) {
        if self.flush != Flush::Always {
            return;
        }
        let next = *self.begun.lock().unwrap_or_else(PoisonError::into_inner) + 1;
        let mut done = self.done.subscribe();
        self.wanted.notify_one();
        let _the_broker_ends = done.wait_for(|done| *done >= next).await;
    }

    /// Flushes until the disk fails.
    pub(crate) async fn run(&self, remembered: &Arc<Remembered>) -> io::Result<()> {
        loop {
            match self.flush {
                Flush::Always => self.wanted.notified().await,
                Flush::Interval(every) => sleep(every).await,
                Flush::Os => std::future::pending().await,
            }
            let number = {
                let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                *begun += 1;
                *begun
            };
            let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
            let remembered = Arc::clone(remembered);
            let flush = move || {
                for partition in dirty {
                    partition.flush()?;
                }
                remembered.journal.flush()
            };
            tokio::task::spawn_blocking(flush).await.map_err(io::Error::other)??;
            self.done.send_replace(number);
        }
    }
}
