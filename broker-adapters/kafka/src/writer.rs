//! Writing control topics.

use std::time::Duration;

use broker::{OutRecord, Progress, Weather, WriteError, Writer, Written};
use rdkafka::types::RDKafkaErrorCode;
use schemas::{Offset, Partition, TopicPartition, TransactionalId};

use crate::ffi::{Delivery, Failure, Outgoing};
use crate::offsets::annotated;
use crate::options::KafkaOptions;
use crate::transactor::{Broken, Transactor, TransactorOptions, is_refusal};

const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// A transactional producer for control topics.
pub(crate) struct KafkaWriter {
    id: TransactionalId,
    transactor: Transactor,
    /// Why no further transaction is taken.
    spent: Option<String>,
}

impl KafkaWriter {
    /// Takes the id over.
    pub(crate) fn open(kafka: &KafkaOptions, id: &TransactionalId) -> Result<Self, Weather> {
        let options = TransactorOptions {
            role: "writer",
            transaction_timeout: TRANSACTION_TIMEOUT,
            delivery_timeout: DELIVERY_TIMEOUT,
            quiet: false,
        };
        Ok(Self { id: id.clone(), transactor: Transactor::open(kafka, id, options)?, spent: None })
    }

    fn what(&self) -> String {
        format!("commit a transaction as {}", self.id)
    }

    fn broken(&self, broken: Broken) -> WriteError {
        match broken {
            Broken::Fenced => WriteError::Fenced(self.id.clone()),
            Broken::Aborted(why) => WriteError::Aborted(Weather::new(self.what(), why)),
            Broken::Unknown(why) => WriteError::Unknown(Weather::new(self.what(), why)),
        }
    }

    /// A record could not be produced: the transaction ends.
    fn unproduced(&mut self, index: usize, code: RDKafkaErrorCode, why: String) -> WriteError {
        match self.transactor.abandon(why.clone()) {
            Broken::Fenced => WriteError::Fenced(self.id.clone()),
            _ if is_refusal(code) => WriteError::Refused { index, reason: why },
            broken => self.broken(broken),
        }
    }

    fn transaction(&mut self, records: &[OutRecord], progress: Option<&Progress>) -> Result<Vec<Written>, WriteError> {
        self.transactor.begin().map_err(|broken| self.broken(broken))?;
        for (index, record) in records.iter().enumerate() {
            if let Err(failure) = produce(&mut self.transactor, index, record) {
                return Err(self.unproduced(index, failure.code, failure.text));
            }
        }
        let (reports, flush) = self.transactor.settle().map_err(|broken| self.broken(broken))?;
        let written = self.places(records, &reports)?;
        let offsets = progress
            .map(|progress| {
                annotated(std::iter::once((&progress.partition, progress.offset, progress.metadata.as_str())))
            })
            .transpose()
            .map_err(WriteError::Aborted)?;
        let offsets = offsets.as_ref().zip(progress.map(|progress| progress.group.as_str()));
        let done = self.transactor.commit(offsets, flush).map_err(|broken| self.broken(broken))?;
        if let Err(weather) = self.transactor.renew_if(done.tainted) {
            // This transaction stands; only the next one cannot be written.
            self.spent = Some(weather.to_string());
        }
        Ok(written)
    }

    /// Where each record stands. One that was not reported, or failed, ends the transaction.
    fn places(&mut self, records: &[OutRecord], reports: &[Delivery]) -> Result<Vec<Written>, WriteError> {
        let mut places: Vec<Option<Written>> = vec![None; records.len()];
        let mut failed: Option<(usize, RDKafkaErrorCode)> = None;
        for report in reports {
            let Some((record, place)) = records.get(report.index).zip(places.get_mut(report.index)) else { continue };
            match report.error {
                None => {
                    let partition = TopicPartition::new(record.topic.clone(), Partition(report.partition));
                    *place = Some(Written { partition, offset: Offset(report.offset) });
                }
                // A refusal says more than the failures that it brings upon the others.
                Some(code) if failed.is_none() || is_refusal(code) => failed = Some((report.index, code)),
                Some(_) => {}
            }
        }
        if let Some((index, code)) = failed {
            return Err(self.unproduced(index, code, code.to_string()));
        }
        match places.into_iter().collect::<Option<Vec<Written>>>() {
            Some(places) => Ok(places),
            None => {
                let broken = self.transactor.abandon("a record's delivery was not reported".into());
                Err(self.broken(broken))
            }
        }
    }
}

/// Puts a control record into the transaction.
pub(crate) fn produce(transactor: &mut Transactor, index: usize, record: &OutRecord) -> Result<(), Failure> {
    let outgoing = Outgoing {
        topic: transactor.topic(record.topic.as_str())?,
        partition: record.partition.map_or(-1, |partition| partition.0),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        timestamp: record.timestamp.map_or(0, |timestamp| timestamp.0),
        headers_of: None,
        index,
    };
    transactor.produce(&outgoing, || record.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())))
}

impl Writer for KafkaWriter {
    fn commit(&mut self, records: Vec<OutRecord>, progress: Option<&Progress>) -> Result<Vec<Written>, WriteError> {
        if let Some(why) = &self.spent {
            return Err(WriteError::Aborted(Weather::new(self.what(), format!("the writer is spent: {why}"))));
        }
        if records.is_empty() && progress.is_none() {
            return Ok(Vec::new());
        }
        let outcome = self.transaction(&records, progress);
        if let Err(error) = &outcome {
            self.spent = Some(error.to_string());
        }
        outcome
    }
}
