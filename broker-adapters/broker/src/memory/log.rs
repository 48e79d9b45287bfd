//! Reader and writer in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Offset, Timestamp, TopicPartition};

use super::faults::{Fault, Step};
use super::partition::Stored;
use super::session::{Session, Stop};
use super::state::State;
use super::{Shared, deadline};
use crate::lane::{CommittedOffset, TimestampType};
use crate::log::{
    Chunk, Isolation, OutRecord, OwnedRecord, Position, Progress, Reader, Weather, WriteError, Writer, Written,
};

/// Most records of one chunk.
const CHUNK_RECORDS: usize = 1_000;

/// Reads partitions.
#[derive(Debug)]
pub(super) struct MemoryReader {
    shared: Arc<Shared>,
    isolation: Isolation,
    positions: Vec<(TopicPartition, i64)>,
    /// The caller knows that it is at the end; until there is more, only time ends a poll.
    end_told: bool,
}

impl MemoryReader {
    pub(super) fn open(
        shared: &Arc<Shared>,
        from: &[(TopicPartition, Position)],
        isolation: Isolation,
    ) -> Result<Self, Weather> {
        let state = shared.lock();
        let mut positions = Vec::with_capacity(from.len());
        for (partition, position) in from {
            let failed = |why: &str| Weather::new(format!("find the position in {partition}"), why);
            if let Some(why) = &state.outage {
                return Err(failed(why));
            }
            let log = state.log(partition).map_err(|why| failed(&why))?;
            let at = match position {
                Position::Beginning => log.start(),
                Position::End => log.end(isolation),
                Position::At(offset) => offset.0.max(log.start()),
                Position::Since(time) => log
                    .visible(log.start(), isolation)
                    .find(|(_, record)| record.timestamp >= *time)
                    .map_or(log.end(isolation), |(offset, _)| offset),
            };
            positions.push((partition.clone(), at));
        }
        drop(state);
        Ok(Self { shared: Arc::clone(shared), isolation, positions, end_told: false })
    }

    /// Takes what is at hand.
    fn fetch(&mut self, state: &State) -> Result<Chunk, Weather> {
        let mut chunk = Chunk { records: Vec::new(), at_end: true };
        for (partition, position) in &mut self.positions {
            let failed = |why: &str| Weather::new(format!("read {partition}"), why);
            if let Some(why) = &state.outage {
                return Err(failed(why));
            }
            let log = state.log(partition).map_err(|why| failed(&why))?;
            let mut after = log.end(self.isolation);
            for (offset, record) in log.visible(*position, self.isolation) {
                if chunk.records.len() >= CHUNK_RECORDS {
                    after = offset;
                    chunk.at_end = false;
                    break;
                }
                chunk.records.push(owned(partition, offset, record));
            }
            *position = after.max(*position);
        }
        Ok(chunk)
    }

    fn strike(&self) -> Result<(), Weather> {
        let fault = self.shared.lock().faults.strike(Step::Poll);
        match fault {
            None | Some(Fault::Takeover | Fault::CrashAfter) => Ok(()),
            Some(Fault::Delay(duration)) => {
                self.shared.pause(duration);
                Ok(())
            }
            Some(_) => Err(Weather::new("read", "the connection was lost")),
        }
    }
}

impl Reader for MemoryReader {
    fn poll(&mut self, max_wait: Duration) -> Result<Chunk, Weather> {
        self.strike()?;
        let deadline = deadline(max_wait);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            let chunk = self.fetch(&state)?;
            if !chunk.records.is_empty() || (chunk.at_end && !self.end_told) || Instant::now() >= deadline {
                self.end_told = chunk.at_end;
                return Ok(chunk);
            }
            state = shared.wait(state, deadline);
        }
    }

    fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.positions.iter().map(|(partition, at)| (partition.clone(), Offset(*at))).collect()
    }
}

/// The record as it is handed out.
pub(super) fn owned(source: &TopicPartition, offset: i64, record: &Stored) -> OwnedRecord {
    OwnedRecord {
        source: source.clone(),
        offset: Offset(offset),
        timestamp: record.timestamp,
        timestamp_type: record.timestamp_type,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
    }
}

/// What the log keeps of a record that is sent.
pub(super) fn stored(record: OutRecord) -> Arc<Stored> {
    Arc::new(Stored {
        timestamp: record.timestamp.unwrap_or_else(Timestamp::now),
        timestamp_type: TimestampType::CreateTime,
        key: record.key,
        value: record.value,
        headers: record.headers,
    })
}

/// Writes transactions.
#[derive(Debug)]
pub(super) struct MemoryWriter {
    session: Session,
    spent: bool,
}

impl MemoryWriter {
    pub(super) fn new(session: Session) -> Self {
        Self { session, spent: false }
    }

    fn transaction(
        &mut self,
        records: Vec<OutRecord>,
        progress: Option<&Progress>,
    ) -> Result<Vec<Written>, (usize, Stop)> {
        let session = &mut self.session;
        let plain = |stop| (usize::MAX, stop);
        session.begin().map_err(plain)?;
        session.produce_step().map_err(plain)?;
        let mut written = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            let (topic, partition) = (record.topic.clone(), record.partition);
            let (partition, offset) =
                session.append(&topic, partition, &stored(record)).map_err(|stop| (index, stop))?;
            written.push(Written { partition, offset });
        }
        session.flush().map_err(plain)?;
        if let Some(progress) = progress {
            let at = CommittedOffset { offset: progress.offset, metadata: progress.metadata.clone() };
            session.add_offsets(&progress.group, &[(progress.partition.clone(), at)]).map_err(plain)?;
        }
        session.commit().map_err(plain)?;
        Ok(written)
    }
}

impl Writer for MemoryWriter {
    fn commit(&mut self, records: Vec<OutRecord>, progress: Option<&Progress>) -> Result<Vec<Written>, WriteError> {
        let what = format!("write as {}", self.session.id);
        if self.spent {
            let why = "an earlier transaction failed and this writer is spent; make a new one";
            return Err(WriteError::Aborted(Weather::new(what, why)));
        }
        self.session.alive(&what).map_err(WriteError::Aborted)?;
        self.transaction(records, progress).map_err(|(index, stop)| {
            self.spent = true;
            self.session.abort();
            match stop {
                Stop::Fenced => WriteError::Fenced(self.session.id.clone()),
                Stop::Unknown(why) => WriteError::Unknown(Weather::new(what, why)),
                Stop::Crashed(weather) => WriteError::Unknown(weather),
                Stop::Refused(reason) if index != usize::MAX => WriteError::Refused { index, reason },
                Stop::Refused(why) | Stop::Disconnected(why) | Stop::Away(why) => {
                    WriteError::Aborted(Weather::new(what, why))
                }
            }
        })
    }
}
