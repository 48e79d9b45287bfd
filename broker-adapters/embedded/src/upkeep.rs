//! What the broker does without being asked: has flushes made, ends what is overdue, removes and compacts what is old.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock;
use crate::partition::Partition;
use crate::parts::Parts;

/// Between two looks at the deadlines of groups.
const GROUPS_EVERY: Duration = Duration::from_millis(50);
/// Between two looks for overdue transactions.
const TRANSACTIONS_EVERY: Duration = Duration::from_millis(500);
/// Between two looks for what retention removes and compaction cleans, one partition after the other.
const LOGS_EVERY: Duration = Duration::from_secs(2);

/// Runs until the disk fails.
pub(crate) async fn run(shared: Arc<Parts>) -> io::Result<()> {
    tokio::select! {
        failed = shared.flusher.run(&shared.remembered) => failed,
        () = every(GROUPS_EVERY, || shared.groups.tick(clock::now())) => Ok(()),
        () = transactions(&shared) => Ok(()),
        failed = logs(&shared) => failed,
    }
}

async fn every(pause: Duration, mut act: impl FnMut()) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        act();
    }
}

async fn transactions(shared: &Arc<Parts>) {
    loop {
        sleep(TRANSACTIONS_EVERY).await;
        let shared = Arc::clone(shared);
        let _next_time = blocking(move || {
            shared.transactions.tick(clock::now());
            Ok(())
        })
        .await;
    }
}

async fn logs(shared: &Arc<Parts>) -> io::Result<()> {
    loop {
        sleep(LOGS_EVERY).await;
        let shared = Arc::clone(shared);
        blocking(move || {
            for topic in shared.topics.all() {
                for (index, partition) in topic.partitions.iter().enumerate() {
                    tend(&topic.name, index, partition);
                }
            }
            // On a full disk reads go on, and this is tried again when there is room.
            if let Err(error) = crate::backup::answer(&shared) {
                tracing::warn!(%error, "cannot link the files for a backup");
            }
            if let Err(error) = shared.tidy_journal() {
                tracing::warn!(%error, "cannot write the journal anew; it is tried again");
            }
            Ok(())
        })
        .await?;
    }
}

/// A partition that cannot be tended now is tended the next time: the disk may be full.
fn tend(topic: &str, index: usize, partition: &Partition) {
    let now = clock::now();
    if let Err(error) = partition.log().maintain(now)
        && !partition.is_gone()
    {
        tracing::warn!(topic, partition = index, %error, "cannot remove old segments; it is tried again");
    }
    match partition.log().compact(now) {
        Ok(_) => {}
        Err(_) if partition.is_gone() => {}
        Err(error) => tracing::warn!(topic, partition = index, %error, "cannot compact; it is tried again"),
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
