//! A lane: one consumer that joins no group, one transactional producer, and the one method that publishes and
//! commits.

mod batch;
mod intake;
mod leaders;
mod plan;
mod read_back;
mod remains;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{
    Batch, Committed, CommittedOffset, Control, InboxPartition, Incident, Isolation, Lane, LaneError, LaneOptions,
    OutRecord, PartitionOutput, PollLimits, Route, Weather,
};
use rdkafka::types::RDKafkaErrorCode;
use schemas::{Offset, Slot, TopicPartition};

use self::batch::LaneBatch;
use self::intake::Intake;
use self::leaders::Leaders;
use self::plan::{Plan, Sent};
use self::remains::Remains;
use crate::asking::{Asker, isolation_name};
use crate::ffi::{Delivery, Failure, Inlet, Message, Outgoing};
use crate::offsets::annotated;
use crate::options::KafkaOptions;
use crate::transactor::{Broken, Done, Transactor, TransactorOptions, is_refusal};
use crate::writer;

pub(crate) use self::remains::callers_part;

/// The number that control records carry in their delivery reports; no batch is as long.
const CONTROL: usize = usize::MAX;

/// After a refusal that may be any of many records': so many transactions send each record alone.
const CAREFUL_TRANSACTIONS: u32 = 20;

/// Most records of such a transaction: each is a request of its own.
const CAREFUL_RECORDS: usize = 200;

/// See the module.
pub(crate) struct KafkaLane {
    slot: Slot,
    options: LaneOptions,
    asker: Arc<Asker>,
    /// Asks what committed readers see.
    committed: Arc<Asker>,
    transactor: Transactor,
    intake: Intake,
    batch: LaneBatch,
    leaders: Leaders,
    remains: Remains,
    /// The last transaction did not end well, and going back has not succeeded yet.
    astray: bool,
    /// How many transactions more send each record alone.
    careful: u32,
    /// Until when committed offsets are read back.
    doubted_until: Option<Instant>,
}

impl KafkaLane {
    /// Takes the slot: fences its owner first, so that what is read afterwards cannot move any more.
    pub(crate) fn take(
        kafka: &KafkaOptions,
        [asker, committed]: [Arc<Asker>; 2],
        slot: Slot,
        options: &LaneOptions,
    ) -> Result<Self, Weather> {
        let transactor = TransactorOptions {
            role: "lane",
            transaction_timeout: options.transaction_timeout,
            delivery_timeout: options.delivery_timeout,
            quiet: false,
        };
        let transactor = Transactor::open(kafka, &options.transactional_id, transactor)?;
        let mut config = kafka.consumer(options.offsets_group.as_str());
        let per_partition = options.fetch_bytes_per_partition.max(1);
        config
            .set("isolation.level", isolation_name(Isolation::Committed))
            .set("fetch.wait.max.ms", "50")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", (options.queue_bytes / 1024).max(1).to_string())
            .set("fetch.message.max.bytes", per_partition.to_string())
            .set("fetch.max.bytes", options.queue_bytes.max(per_partition).max(1_000_000).to_string())
            .set(
                "receive.message.max.bytes",
                options.queue_bytes.saturating_add(per_partition).max(100_000_000).to_string(),
            );
        let inlet =
            Inlet::new(&config).map_err(|error| Weather::new(format!("make the consumer of slot {slot}"), error))?;
        Ok(Self {
            slot,
            options: options.clone(),
            asker,
            committed,
            transactor,
            intake: Intake::new(inlet),
            batch: LaneBatch::default(),
            leaders: Leaders::default(),
            remains: Remains::default(),
            astray: false,
            careful: 0,
            doubted_until: None,
        })
    }

    /// Drops the batch; its records come again.
    fn give_back(&mut self) -> Result<(), Weather> {
        let mut back: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        for (message, place) in self.batch.messages.iter().zip(self.batch.places()) {
            if let Some(inbox) = self.batch.partitions().get(*place) {
                back.entry(inbox.clone()).or_insert(Offset(message.offset()));
            }
        }
        self.batch.clear();
        self.intake.seek(&back)
    }

    /// Goes back to what the broker holds, with a new producer: the open transaction of the old one has ended
    /// before the offsets are read, and nothing of it can come later.
    fn recover(&mut self) -> Result<(), Weather> {
        self.astray = true;
        self.batch.clear();
        self.transactor.renew_if_spent()?;
        self.intake.rewind()?;
        self.astray = false;
        Ok(())
    }

    /// What the caller is told of a transaction that did not end well. Where the way back fails too, that is
    /// what is told, because the lane cannot go on.
    fn failed(&mut self, error: LaneError) -> LaneError {
        if error == LaneError::Fenced {
            self.batch.clear();
            return error;
        }
        tracing::warn!(slot = %self.slot, "{error}");
        self.leaders.forget();
        match self.recover() {
            Ok(()) => error,
            Err(weather) => LaneError::Weather(weather),
        }
    }

    fn broken(&mut self, broken: Broken) -> LaneError {
        let error = match broken {
            Broken::Fenced => LaneError::Fenced,
            Broken::Aborted(why) => LaneError::Aborted { why, partitions: Vec::new() },
            Broken::Unknown(why) => LaneError::Unknown { why },
        };
        self.failed(error)
    }

    /// The transaction is not wanted any more, for a reason that `error` tells unless the lane is fenced.
    fn abandon(&mut self, error: LaneError) -> LaneError {
        match self.transactor.abandon(error.to_string()) {
            Broken::Fenced => self.failed(LaneError::Fenced),
            _ => self.failed(error),
        }
    }

    /// A record that could not be sent.
    fn unsent(&mut self, index: usize, code: RDKafkaErrorCode, why: String) -> LaneError {
        let place = self.batch.places().get(index).and_then(|place| self.batch.partitions().get(*place));
        let error = match place.zip(self.batch.messages.get(index)) {
            Some((inbox, message)) if is_refusal(code) => {
                LaneError::Refused { inbox: inbox.clone(), offset: Offset(message.offset()), reason: why }
            }
            Some((inbox, _)) => LaneError::Aborted { why, partitions: vec![inbox.clone()] },
            None => LaneError::Aborted { why, partitions: Vec::new() },
        };
        self.abandon(error)
    }

    /// Sends what the routes say.
    fn send(&mut self, routes: &[Route], plan: &Plan) -> Result<(), (usize, Failure)> {
        for index in plan.consumed() {
            let (Some(message), Some(route), Some(place)) =
                (self.batch.messages.get(index), routes.get(index), self.batch.places().get(index))
            else {
                continue;
            };
            let Some(inbox) = self.batch.partitions().get(*place) else { continue };
            let Some(held) = self.intake.held(inbox) else { continue };
            let (topic, value, reasons) = match route {
                Route::Forward => (&held.destination.product, message.value(), None),
                Route::Replace(value) => (&held.destination.product, Some(value.as_slice()), None),
                Route::Quarantine(reasons) => (&held.destination.quarantine, message.value(), Some(reasons)),
                Route::Withhold | Route::Wait => continue,
            };
            let topic = self.transactor.topic(topic.as_str()).map_err(|failure| (index, failure))?;
            let outgoing = Outgoing {
                topic,
                partition: inbox.partition.0,
                key: message.key(),
                value,
                timestamp: message.timestamp().0,
                headers_of: Some(message),
                index,
            };
            let headers = || {
                let reasons = reasons.map(|reasons| reasons.as_slice()).unwrap_or_default();
                reasons.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_slice())))
            };
            self.transactor.produce(&outgoing, headers).map_err(|failure| (index, failure))?;
        }
        Ok(())
    }

    /// The output offset per record, or what to tell where one was not delivered.
    fn delivered(&mut self, routes: &[Route], reports: &[Delivery]) -> Result<Sent, LaneError> {
        let mut sent = Sent::new(self.batch.len());
        let mut refused: Option<(usize, usize, RDKafkaErrorCode)> = None;
        let mut refusals = 0;
        let mut away = BTreeMap::new();
        for report in reports {
            match report.error {
                None => sent.set(report.index, Offset(report.offset)),
                // A batch is refused as a whole, and for its own size too.
                Some(code) if is_refusal(code) => {
                    refusals += 1;
                    let size = self.batch.messages.get(report.index).map_or(0, Message::size);
                    let size = replaced_size(routes, report.index).unwrap_or(size);
                    if refused.is_none_or(|(largest, ..)| size > largest) {
                        refused = Some((size, report.index, code));
                    }
                }
                // What went down with the others says nothing of its own partition.
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {}
                Some(code) => {
                    let place = self.batch.places().get(report.index);
                    if let Some(inbox) = place.and_then(|place| self.batch.partitions().get(*place)) {
                        away.entry(inbox.clone()).or_insert(code);
                    }
                }
            }
        }
        if let Some((_, index, code)) = refused {
            if refusals > 1 && self.careful == 0 {
                self.careful = CAREFUL_TRANSACTIONS;
                self.transactor.set_careful(true);
                let why = format!(
                    "{refusals} records were refused together ({code}); each is sent alone to find out which are meant"
                );
                return Err(self.abandon(LaneError::Aborted { why, partitions: Vec::new() }));
            }
            return Err(self.unsent(index, code, code.to_string()));
        }
        if !away.is_empty() {
            let why =
                away.iter().map(|(inbox, code)| format!("outputs of {inbox}: {code}")).collect::<Vec<_>>().join("; ");
            return Err(self.abandon(LaneError::Aborted { why, partitions: away.into_keys().collect() }));
        }
        Ok(sent)
    }

    /// Puts control records and offsets in, and commits.
    fn finish(
        &mut self,
        records: &[OutRecord],
        offsets: &[(TopicPartition, Offset, String)],
        flush: Duration,
    ) -> Result<Done, LaneError> {
        for record in records {
            if let Err(failure) = writer::produce(&mut self.transactor, CONTROL, record) {
                let why = format!("a control record for {}: {}", record.topic, failure.text);
                return Err(self.abandon(LaneError::Aborted { why, partitions: Vec::new() }));
            }
        }
        let list = annotated(offsets.iter().map(|(inbox, offset, metadata)| (inbox, *offset, metadata.as_str())));
        let list = match list {
            Ok(list) => list,
            Err(weather) => return Err(self.abandon(LaneError::Weather(weather))),
        };
        let group = self.options.offsets_group.clone();
        let offsets = (list.count() > 0).then_some((&list, group.as_str()));
        match self.transactor.commit(offsets, flush) {
            Ok(done) => Ok(done),
            Err(broken) => Err(self.broken(broken)),
        }
    }

    /// After a commit: the producer is replaced where a hidden retry could not be ruled out. Where that fails
    /// the transaction stands all the same, and the next call says that the lane cannot go on.
    fn settle_taint(&mut self, tainted: bool) {
        if let Err(weather) = self.transactor.renew_if(tainted) {
            tracing::warn!(slot = %self.slot, "the tainted producer could not be replaced: {weather}");
            self.astray = true;
        }
    }

    /// After a transaction that sent each record alone and was committed.
    fn less_careful(&mut self) {
        if self.careful == 0 {
            return;
        }
        self.careful -= 1;
        if self.careful == 0 {
            self.transactor.set_careful(false);
            // The next call makes the producer anew.
            self.astray = true;
        }
    }

    fn come_back(&mut self) -> Result<(), LaneError> {
        if self.astray { Ok(self.recover()?) } else { Ok(()) }
    }

    /// Refuses a batch whose outputs cannot all be written, before any transaction holds one of them, and ends
    /// what was left open in them.
    fn outputs_serve(&mut self, routes: &[Route], plan: &Plan) -> Result<(), LaneError> {
        let outputs = plan.outputs_wanted(routes, &self.batch, &self.intake);
        if self.transactor.disturbed() {
            self.leaders.forget();
        }
        let found = self.leaders.ask(&self.asker, &outputs)?;
        if !found.away.is_empty() {
            self.give_back()?;
            let why = found.away.values().cloned().collect::<Vec<_>>().join("; ");
            return Err(LaneError::Aborted { why, partitions: found.away.into_keys().collect() });
        }
        if found.serve.is_empty() {
            return Ok(());
        }
        let serve: Vec<TopicPartition> = found.serve.iter().map(|doubtful| doubtful.partition.clone()).collect();
        let aborted = self.remains.of_aborted(&self.committed, &self.asker, found.serve)?;
        if !aborted.is_empty() {
            self.end_aborted(&aborted)?;
        }
        self.leaders.trust(serve.into_iter());
        Ok(())
    }

    /// Ends what an aborted transaction of an earlier producer left open in these partitions: by aborting one that
    /// touches them.
    fn end_aborted(&mut self, partitions: &[TopicPartition]) -> Result<(), LaneError> {
        if let Err(broken) = self.transactor.begin() {
            return Err(self.broken(broken));
        }
        for partition in partitions {
            let topic = self.transactor.topic(partition.topic.as_str());
            // Nobody sees it. It has a key because a compacted topic takes nothing without.
            let sent = topic.and_then(|topic| {
                let (key, value) = (Some(b"weir".as_slice()), Some([].as_slice()));
                let partition = partition.partition.0;
                let record = Outgoing { topic, partition, key, value, timestamp: 0, headers_of: None, index: CONTROL };
                self.transactor.produce(&record, std::iter::empty)
            });
            if let Err(failure) = sent {
                return Err(self.abandon(LaneError::Aborted { why: failure.text, partitions: Vec::new() }));
            }
        }
        if let Err(broken) = self.transactor.settle() {
            return Err(self.broken(broken));
        }
        let why = "the rest of an aborted transaction is ended".to_owned();
        if self.transactor.abandon(why) == Broken::Fenced {
            return Err(self.failed(LaneError::Fenced));
        }
        Ok(self.transactor.renew_if_spent()?)
    }

    fn transaction(
        &mut self,
        routes: &[Route],
        plan: &Plan,
        control: &mut dyn FnMut(&[PartitionOutput]) -> Control,
    ) -> Result<Committed, LaneError> {
        if let Err(broken) = self.transactor.begin() {
            return Err(self.broken(broken));
        }
        if let Err((index, failure)) = self.send(routes, plan) {
            return Err(self.unsent(index, failure.code, failure.text));
        }
        let (reports, flush) = match self.transactor.settle() {
            Ok(settled) => settled,
            Err(broken) => return Err(self.broken(broken)),
        };
        let sent = self.delivered(routes, &reports)?;
        let outputs = match plan.outputs(routes, &self.batch, &self.intake, &sent) {
            Ok(outputs) => outputs,
            Err(why) => return Err(self.abandon(LaneError::Aborted { why, partitions: Vec::new() })),
        };
        let Control { records, metadata } = control(&outputs);
        let mut metadata = metadata.into_iter();
        let offsets: Vec<(TopicPartition, Offset, String)> = outputs
            .iter()
            .map(|output| {
                let metadata = metadata.next().unwrap_or_default();
                (output.inbox.clone(), output.to, self.remains.write(&output.inbox, &metadata, Some(output)))
            })
            .collect();
        let done = self.finish(&records, &offsets, flush)?;
        self.remains.committed(&outputs);
        for output in &outputs {
            self.intake.moved(&output.inbox, output.to);
        }
        self.less_careful();
        self.read_back(done, &offsets);
        Ok(Committed { outputs, flush, commit: done.commit, tainted: done.tainted })
    }
}

/// The size of the value that a route puts in the place of a record's own.
fn replaced_size(routes: &[Route], index: usize) -> Option<usize> {
    match routes.get(index) {
        Some(Route::Replace(value)) => Some(value.len()),
        _ => None,
    }
}

impl Lane for KafkaLane {
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LaneError> {
        let mut found = self.intake.committed(partitions)?;
        for (inbox, committed) in &mut found {
            committed.metadata = self.remains.read(inbox, std::mem::take(&mut committed.metadata));
        }
        Ok(found)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(Offset, Offset), LaneError> {
        let found = self.asker.ends(std::slice::from_ref(partition))?;
        let ends = found.get(partition).copied();
        Ok(ends.ok_or_else(|| Weather::new(format!("read the ends of {partition}"), "the broker did not tell them"))?)
    }

    fn assign(&mut self, partitions: &[InboxPartition]) -> Result<(), LaneError> {
        self.come_back()?;
        self.give_back()?;
        Ok(self.intake.assign(partitions)?)
    }

    fn poll(&mut self, max_wait: Duration, limits: PollLimits) -> Result<Vec<Incident>, LaneError> {
        self.come_back()?;
        self.give_back()?;
        let records = if self.careful > 0 { limits.records.min(CAREFUL_RECORDS) } else { limits.records };
        Ok(self.intake.fill(max_wait, PollLimits { records, ..limits }, &mut self.batch)?)
    }

    fn batch(&self) -> &dyn Batch {
        &self.batch
    }

    fn commit(
        &mut self,
        routes: &[Route],
        control: &mut dyn FnMut(&[PartitionOutput]) -> Control,
    ) -> Result<Committed, LaneError> {
        self.come_back()?;
        if routes.len() != self.batch.len() {
            let why = format!("{} routes were given for {} records", routes.len(), self.batch.len());
            self.give_back()?;
            return Err(LaneError::Aborted { why, partitions: Vec::new() });
        }
        let plan = Plan::new(routes, &self.batch);
        let committed = if plan.consumed().next().is_some() {
            self.outputs_serve(routes, &plan)?;
            self.transaction(routes, &plan, control)?
        } else {
            Committed::default()
        };
        let waits = plan.waits(&self.batch);
        self.batch.clear();
        if let Err(weather) = self.intake.hold(&waits) {
            // What was committed stands; the way back is found at the next call.
            tracing::warn!(slot = %self.slot, "{weather}");
            self.astray = true;
        }
        self.settle_taint(committed.tainted);
        Ok(committed)
    }

    fn annotate(
        &mut self,
        records: Vec<OutRecord>,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Committed, LaneError> {
        self.come_back()?;
        if !self.batch.is_empty() {
            let why = "annotate was called while records are polled and not committed".to_owned();
            return Err(LaneError::Aborted { why, partitions: Vec::new() });
        }
        if records.is_empty() && offsets.is_empty() {
            return Ok(Committed::default());
        }
        if let Err(broken) = self.transactor.begin() {
            return Err(self.broken(broken));
        }
        let positions: Vec<(TopicPartition, Offset, String)> = offsets
            .iter()
            .map(|(inbox, committed)| {
                (inbox.clone(), committed.offset, self.remains.write(inbox, &committed.metadata, None))
            })
            .collect();
        let done = self.finish(&records, &positions, Duration::ZERO)?;
        self.read_back(done, &positions);
        for (inbox, committed) in offsets {
            if let Err(weather) = self.intake.annotated(inbox, committed.offset) {
                // What was committed stands; the way back is found at the next call.
                tracing::warn!(slot = %self.slot, "{weather}");
                self.astray = true;
            }
        }
        self.settle_taint(done.tainted);
        Ok(Committed { outputs: Vec::new(), flush: Duration::ZERO, commit: done.commit, tainted: done.tainted })
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LaneError> {
        self.come_back()?;
        Ok(self.intake.resume(partition)?)
    }
}
