//! Membership of the group that shares the slots: a static member, incremental (cooperative) rebalances, so that
//! a slot that stays is never disturbed.
//!
//! librdkafka tells a change within a poll and waits until it is acted upon. The change is queued; what is taken
//! is taken when the caller is told, what is revoked is given up when the caller says that its lanes have ended.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::{SlotEvent, SlotMember, SlotOptions, Weather};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Message, TopicPartitionList};
use schemas::Slot;

use crate::closing::drop_apart;
use crate::ffi;
use crate::options::KafkaOptions;

/// How long leaving may take before the session timeout is left to do it.
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);

/// How long one look into the client's queue may take, so that a change is told soon.
const STEP: Duration = Duration::from_millis(100);

/// Two processes with one name fence each other; not faster than this.
const BETWEEN_JOINS: Duration = Duration::from_secs(5);

/// Bound on the errors taken out of the client's queue in one go.
const MOST_ERRORS: usize = 10_000;

/// How often the broker hears of a member, and so how soon the member hears of a rebalance.
const HEARTBEAT: Duration = Duration::from_millis(500);

#[derive(Debug)]
enum Change {
    Assigned(Vec<i32>),
    Revoked { slots: Vec<i32>, lost: bool },
}

/// Queues changes; acts on them itself only while the member is being closed, because nobody else would.
#[derive(Default)]
struct Changes {
    queue: Mutex<VecDeque<Change>>,
    closing: AtomicBool,
}

impl ClientContext for Changes {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("the slots' consumer says: {error}: {reason}");
    }
}

impl ConsumerContext for Changes {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            let outcome = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                consumer.incremental_assign(list)
            } else {
                consumer.incremental_unassign(list)
            };
            if let Err(error) = outcome {
                tracing::debug!("a change of slots while leaving: {error}");
            }
            return;
        }
        let slots = ffi::listed(list).into_iter().map(|entry| entry.partition).collect();
        let change = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(slots),
            _ => Change::Revoked { slots, lost: consumer.assignment_lost() },
        };
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

/// See the module.
pub(crate) struct Membership {
    /// What a consumer is made from.
    config: ClientConfig,
    /// `None` only while it is dropped, or could not be made again.
    consumer: Option<BaseConsumer<Changes>>,
    topic: String,
    group: String,
    /// Told as taken.
    held: BTreeSet<i32>,
    /// Told as revoked or lost, and not yet released.
    releasing: Vec<i32>,
    /// The consumer is of no more use; a new one joins not before this.
    fenced: Option<Instant>,
    joined: Instant,
}

fn slots(partitions: &[i32]) -> Vec<Slot> {
    partitions.iter().filter_map(|partition| u16::try_from(*partition).ok()).map(Slot).collect()
}

impl Membership {
    /// Joins; the first slots come with a later poll.
    pub(crate) fn join(kafka: &KafkaOptions, options: &SlotOptions) -> Result<Self, Weather> {
        let heartbeat = (options.session_timeout / 3).min(HEARTBEAT);
        let mut config = kafka.consumer(options.group.as_str());
        config
            .set("group.instance.id", &options.instance)
            .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", heartbeat.as_millis().to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "latest")
            // The topic holds nothing, so it is asked rarely.
            .set("fetch.wait.max.ms", "5000")
            .set("socket.timeout.ms", "10000");
        let mut member = Self {
            config,
            consumer: None,
            topic: options.topic.as_str().to_owned(),
            group: options.group.as_str().to_owned(),
            held: BTreeSet::new(),
            releasing: Vec::new(),
            fenced: None,
            joined: Instant::now(),
        };
        member.subscribe()?;
        Ok(member)
    }

    fn subscribe(&mut self) -> Result<(), Weather> {
        let what = || format!("join the group {}", self.group);
        let consumer: BaseConsumer<Changes> =
            self.config.create_with_context(Changes::default()).map_err(|error| Weather::new(what(), error))?;
        consumer.subscribe(&[self.topic.as_str()]).map_err(|error| Weather::new(what(), error))?;
        self.consumer = Some(consumer);
        self.joined = Instant::now();
        self.fenced = None;
        Ok(())
    }

    /// What to tell where the client is of no more use. A static member can be fenced by itself: its request to
    /// join was taken, the answer lost with the broker, and the next request comes from a stranger of its name.
    fn fence(&mut self, weather: Weather) -> Result<Option<SlotEvent>, Weather> {
        if self.consumer()?.client().fatal_error().is_none() {
            return Err(weather);
        }
        tracing::warn!(group = self.group, "the membership has ended and is begun anew: {weather}");
        self.fenced = Some(self.joined + BETWEEN_JOINS);
        self.releasing.extend(std::mem::take(&mut self.held));
        let lost = slots(&self.releasing);
        if lost.is_empty() { Err(weather) } else { Ok(Some(SlotEvent::Lost(lost))) }
    }

    /// Joins again after a fence, once what was held is released and it is time.
    fn rejoin(&mut self, max_wait: Duration) -> Result<(), Weather> {
        let Some(not_before) = self.fenced.filter(|_| self.releasing.is_empty()) else { return Ok(()) };
        if Instant::now() < not_before {
            std::thread::sleep(max_wait.min(STEP));
            return Ok(());
        }
        self.close(false);
        self.subscribe()
    }

    fn consumer(&self) -> Result<&BaseConsumer<Changes>, Weather> {
        self.consumer
            .as_ref()
            .ok_or_else(|| Weather::new(format!("keep the membership in {}", self.group), "it has ended"))
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }

    fn next_change(&self) -> Result<Option<Change>, Weather> {
        let changes = self.consumer()?.context();
        Ok(changes.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front())
    }

    /// Acts on a change as far as the caller need not have done something first. A rebalance that gives or takes
    /// nothing is acted upon and not told.
    fn take_up(&mut self, change: Change) -> Result<Option<SlotEvent>, Weather> {
        match change {
            Change::Assigned(partitions) => {
                let list = self.list(&partitions);
                let consumer = self.consumer()?;
                let what = || format!("take slots of {}", self.topic);
                consumer.incremental_assign(&list).map_err(|error| Weather::new(what(), error))?;
                // Nothing is read from it: the partitions only stand for slots.
                if !partitions.is_empty() {
                    consumer.pause(&list).map_err(|error| Weather::new(what(), error))?;
                }
                self.held.extend(&partitions);
                Ok((!partitions.is_empty()).then(|| SlotEvent::Taken(slots(&partitions))))
            }
            Change::Revoked { slots: partitions, lost } => {
                self.releasing.extend(&partitions);
                self.held.retain(|held| !partitions.contains(held));
                if partitions.is_empty() {
                    self.consumer()?
                        .incremental_unassign(&self.list(&[]))
                        .map_err(|error| Weather::new(format!("give up no slot of {}", self.topic), error))?;
                    return Ok(None);
                }
                let slots = slots(&partitions);
                Ok(Some(if lost { SlotEvent::Lost(slots) } else { SlotEvent::Revoked(slots) }))
            }
        }
    }

    /// Takes up queued changes until one of them is to be told.
    fn next_event(&mut self) -> Result<Option<SlotEvent>, Weather> {
        while let Some(change) = self.next_change()? {
            if let Some(event) = self.take_up(change)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Looks into the client's queue. Errors are taken out of it at once, as many as there are: while brokers are
    /// away they come faster than anybody asks, and a change of slots would be told behind them all.
    fn step(&self, wait: Duration) -> Result<(), Weather> {
        match self.consumer()?.poll(wait) {
            Some(Err(mut error)) if is_serious(&error) => {
                for _ in 0..MOST_ERRORS {
                    match self.consumer()?.poll(Duration::ZERO) {
                        Some(Err(next)) => error = if is_serious(&next) { next } else { error },
                        _ => break,
                    }
                }
                Err(Weather::new(format!("keep the membership in {}", self.group), error))
            }
            Some(Ok(message)) => {
                tracing::debug!("{} holds a record at {}, where none belongs", self.topic, message.offset());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the membership; `leave` says whether the broker is told.
    fn close(&mut self, leave: bool) {
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().closing.store(true, Ordering::Release);
        // A change that was queued and never acted upon would hold the client's close.
        let queued = std::mem::take(&mut *consumer.context().queue.lock().unwrap_or_else(PoisonError::into_inner));
        let owed = queued.into_iter().flat_map(|change| match change {
            Change::Assigned(_) => Vec::new(),
            Change::Revoked { slots, .. } => slots,
        });
        let owed: Vec<i32> = std::mem::take(&mut self.releasing).into_iter().chain(owed).collect();
        if !owed.is_empty()
            && let Err(error) = consumer.incremental_unassign(&self.list(&owed))
        {
            tracing::debug!("slots could not be given up while leaving: {error}");
        }
        if leave {
            // A static member leaves only if it unsubscribes first: a mere close looks like a restart.
            consumer.unsubscribe();
            let deadline = Instant::now() + LEAVE_DEADLINE;
            while Instant::now() < deadline && consumer.assignment().is_ok_and(|held| held.count() > 0) {
                consumer.poll(STEP);
            }
            consumer.poll(STEP);
        }
        drop_apart(consumer);
    }
}

/// Errors that the client does not get over by itself, or that the operator must know of.
fn is_serious(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                Code::AllBrokersDown
                    | Code::FencedInstanceId
                    | Code::GroupAuthorizationFailed
                    | Code::TopicAuthorizationFailed
                    | Code::UnknownTopicOrPartition
                    | Code::InconsistentGroupProtocol
                    | Code::InvalidSessionTimeout
                    | Code::Authentication
                    | Code::SaslAuthenticationFailed
            )
        )
}

impl SlotMember for Membership {
    fn poll(&mut self, max_wait: Duration) -> Result<Option<SlotEvent>, Weather> {
        let deadline = Instant::now() + max_wait;
        loop {
            if self.fenced.is_some() {
                self.rejoin(max_wait)?;
                return Ok(None);
            }
            if let Some(event) = self.next_event()? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(weather) = self.step(left.min(STEP)) {
                // A change that came behind the error is told first.
                return match self.next_event()? {
                    Some(event) => Ok(Some(event)),
                    None => self.fence(weather),
                };
            }
            if left.is_zero() {
                return self.next_event();
            }
        }
    }

    fn released(&mut self) -> Result<(), Weather> {
        let partitions = std::mem::take(&mut self.releasing);
        if partitions.is_empty() || self.fenced.is_some() {
            return Ok(());
        }
        let list = self.list(&partitions);
        self.consumer()?
            .incremental_unassign(&list)
            .map_err(|error| Weather::new(format!("give up slots of {}", self.topic), error))
    }

    fn leave(mut self: Box<Self>) {
        self.close(true);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.close(false);
    }
}
