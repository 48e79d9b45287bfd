//! A transactional producer with the rules that make it exactly-once under librdkafka: the time guard against
//! requests that were retried in the dark (KIP-890), and what to do after each kind of failure.

use std::time::{Duration, Instant};

use broker::Weather;
use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::types::RDKafkaErrorCode;
use schemas::TransactionalId;

use crate::ffi::{Delivery, Failure, Outgoing, Outlet, TopicHandle};
use crate::options::KafkaOptions;
use crate::{CALL_DEADLINE, telemetry};

/// librdkafka waits at least this, less 20 %, before it sends a request again.
const RETRY_BACKOFF: Duration = Duration::from_millis(500);

/// A call that took this long may have been retried in the dark: measured, no call without a fault comes near
/// it and no retry stays below it.
const TAINT_AFTER: Duration = Duration::from_millis(300);

/// How long a transactional id may take to be taken over, or a transaction to be aborted, which the takeover does too.
/// While the coordinator cannot end the transaction that is open under it, longer helps nobody, and the caller has
/// something to say meanwhile.
const TAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a full queue is waited for.
const QUEUE_WAIT: Duration = Duration::from_millis(20);

/// How often a flush looks whether a record has failed already.
const FLUSH_STEP: Duration = Duration::from_millis(100);

/// Why a transaction did not commit, or may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A newer producer with this id lives.
    Fenced,
    /// Nothing of it is visible.
    Aborted(String),
    /// It may have been committed.
    Unknown(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fenced => f.write_str("a newer producer with this id lives"),
            Self::Aborted(why) => write!(f, "it was aborted: {why}"),
            Self::Unknown(why) => write!(f, "it is not known whether it was committed: {why}"),
        }
    }
}

/// A transaction that was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// How long offsets and commit took.
    pub(crate) commit: Duration,
    /// A hidden retry could not be ruled out: [`Transactor::renew`] before the next one.
    pub(crate) tainted: bool,
    /// It was the request for offsets that may have been sent again.
    pub(crate) offsets_doubted: bool,
}

/// How a transactor is set up.
#[derive(Debug, Clone)]
pub(crate) struct TransactorOptions {
    /// The label in metrics.
    pub(crate) role: &'static str,
    /// The broker aborts what takes longer.
    pub(crate) transaction_timeout: Duration,
    /// Undelivered after this is an abort.
    pub(crate) delivery_timeout: Duration,
    /// What goes wrong is told by the calls alone and logged nowhere.
    pub(crate) quiet: bool,
}

/// See the module.
pub(crate) struct Transactor {
    config: ClientConfig,
    outlet: Outlet,
    id: TransactionalId,
    options: TransactorOptions,
    /// Whether a producer whose requests may have been retried in the dark is replaced.
    guarded: bool,
    /// Its fate, or that of its last request, is not certain: it writes nothing any more.
    spent: bool,
    /// Each record is a batch of its own, so that the broker refuses it alone.
    careful: bool,
}

fn open(config: &ClientConfig) -> Result<Outlet, Failure> {
    let outlet = Outlet::new(config)?;
    outlet.init_transactions(TAKE_DEADLINE)?;
    Ok(outlet)
}

fn not_taken(id: &TransactionalId, failure: Failure) -> Weather {
    Weather::new(format!("take over the transactional id {id}"), failure.text)
}

fn is_fenced(failure: &Failure) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(failure.code, Code::Fenced | Code::ProducerFenced)
        || (failure.fatal && failure.code == Code::InvalidProducerEpoch)
}

impl Transactor {
    /// Takes the id over from whoever had it; their open transaction has ended when this returns.
    pub(crate) fn open(
        kafka: &KafkaOptions,
        id: &TransactionalId,
        options: TransactorOptions,
    ) -> Result<Self, Weather> {
        Self::try_open(kafka, id, options).map_err(|failure| not_taken(id, failure))
    }

    /// The same, with the broker's own code where it does not succeed.
    pub(crate) fn try_open(
        kafka: &KafkaOptions,
        id: &TransactionalId,
        options: TransactorOptions,
    ) -> Result<Self, Failure> {
        let mut config = kafka.config();
        config
            .set("transactional.id", id.as_str())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .set("batch.num.messages", "100000")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("message.max.bytes", "1000000000")
            .set("topic.metadata.propagation.max.ms", "3000")
            .set("retry.backoff.ms", RETRY_BACKOFF.as_millis().to_string())
            .set("retry.backoff.max.ms", "1000")
            .set("transaction.timeout.ms", options.transaction_timeout.as_millis().to_string())
            .set("message.timeout.ms", options.delivery_timeout.as_millis().to_string())
            // For `disturbed`; what is below a warning is not shown.
            .set_log_level(RDKafkaLogLevel::Info);
        if options.quiet {
            config.set_log_level(RDKafkaLogLevel::Emerg);
        }
        let outlet = open(&config)?;
        let guarded = !kafka.unguarded;
        Ok(Self { config, outlet, id: id.clone(), options, guarded, spent: false, careful: false })
    }

    /// Whether a connection to a broker broke since the last call; true at the first one and after
    /// [`Transactor::renew`].
    pub(crate) fn disturbed(&self) -> bool {
        self.outlet.disturbed()
    }

    /// Begins.
    pub(crate) fn begin(&mut self) -> Result<(), Broken> {
        self.outlet.begin().map_err(|failure| self.broken(failure, false))
    }

    /// The handle of a topic, good until [`Transactor::renew`].
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicHandle, Failure> {
        self.outlet.topic(name)
    }

    /// Produces one record, waiting where the producer's queue is full.
    ///
    /// The failure is the record's; the transaction still stands and is to be abandoned.
    pub(crate) fn produce<'a, I>(&mut self, record: &Outgoing<'_>, headers: impl Fn() -> I) -> Result<(), Failure>
    where
        I: Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    {
        let deadline = Instant::now() + self.options.delivery_timeout;
        loop {
            match self.outlet.produce(record, headers()) {
                Err(failure) if failure.code == RDKafkaErrorCode::QueueFull && Instant::now() < deadline => {
                    self.outlet.poll(QUEUE_WAIT);
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits until every record is reported, or one of them as failed, and gives the reports.
    pub(crate) fn settle(&mut self) -> Result<(Vec<Delivery>, Duration), Broken> {
        let started = Instant::now();
        // A record is given up by the client itself after the delivery timeout; this is for a client that hangs.
        let deadline = started + self.options.delivery_timeout + Duration::from_secs(5);
        let mut reports = Vec::new();
        loop {
            let flushed = self.outlet.flush(FLUSH_STEP);
            reports.append(&mut self.outlet.deliveries());
            match flushed {
                Ok(()) => return Ok((reports, started.elapsed())),
                // One failure fails them all: the rest would only be waited for until their timeout.
                Err(_) if reports.iter().any(|report| report.error.is_some()) => {
                    return Ok((reports, started.elapsed()));
                }
                Err(failure) if failure.code != RDKafkaErrorCode::OperationTimedOut || Instant::now() >= deadline => {
                    return Err(self.broken(failure, false));
                }
                Err(_) => {}
            }
        }
    }

    /// Adds the offsets and commits.
    pub(crate) fn commit(
        &mut self,
        offsets: Option<(&TopicPartitionList, &str)>,
        flush: Duration,
    ) -> Result<Done, Broken> {
        let started = Instant::now();
        let mut offsets_doubted = false;
        if let Some((list, group)) = offsets {
            if let Err(failure) = self.outlet.send_offsets(list, group, CALL_DEADLINE) {
                return Err(self.broken(failure, false));
            }
            offsets_doubted = self.guarded && started.elapsed() >= TAINT_AFTER;
        }
        let committing = Instant::now();
        if let Err(failure) = self.outlet.commit(CALL_DEADLINE) {
            // What failed before the end of the transaction was asked for cannot have been committed.
            let ambiguous = !matches!(failure.code, RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::Inconsistent);
            return Err(self.broken(failure, ambiguous));
        }
        let tainted = offsets_doubted || self.guarded && committing.elapsed() >= TAINT_AFTER;
        let commit = started.elapsed();
        telemetry::committed(self.options.role, flush, commit);
        self.outlet.deliveries();
        Ok(Done { commit, tainted, offsets_doubted })
    }

    /// Ends a transaction that stands but is not wanted any more. Whatever becomes of it, it was not committed.
    pub(crate) fn abandon(&mut self, why: String) -> Broken {
        let failure =
            Failure { code: RDKafkaErrorCode::Fail, text: why, fatal: false, retriable: false, requires_abort: true };
        self.broken(failure, false)
    }

    /// Aborts and says what is known. `ambiguous`: the end of the transaction had been asked for.
    fn broken(&mut self, failure: Failure, ambiguous: bool) -> Broken {
        let broken = self.judge(failure, ambiguous);
        let outcome = match &broken {
            Broken::Fenced => "fenced",
            Broken::Aborted(_) => "aborted",
            Broken::Unknown(_) => "unknown",
        };
        telemetry::failed(self.options.role, outcome);
        broken
    }

    fn judge(&mut self, failure: Failure, ambiguous: bool) -> Broken {
        if is_fenced(&failure) {
            return Broken::Fenced;
        }
        let why = format!("{} ({})", failure.text, failure.code);
        // Even after a clean abort. Seen on Kafka 4.3: after a refused record the same producer's next transaction
        // had a record without a report (why is not known); and a late copy of the abort would end the next one.
        self.spent = true;
        if !failure.fatal
            && let Err(abort) = self.outlet.abort(TAKE_DEADLINE)
        {
            if is_fenced(&abort) {
                return Broken::Fenced;
            }
            if self.options.quiet {
                return Broken::Aborted(why);
            }
            tracing::warn!(id = %self.id, "the abort failed too, the next producer will end the transaction: {}", abort.text);
        }
        self.outlet.deliveries();
        if ambiguous { Broken::Unknown(why) } else { Broken::Aborted(why) }
    }

    /// A new producer with the same id: delayed requests of the old one are fenced by its epoch, and its open
    /// transaction has ended when this returns.
    pub(crate) fn renew(&mut self) -> Result<(), Weather> {
        let mut config = self.config.clone();
        if self.careful {
            config.set("batch.num.messages", "1");
        }
        let fresh = open(&config).map_err(|failure| not_taken(&self.id, failure))?;
        let spent = std::mem::replace(&mut self.outlet, fresh);
        self.spent = false;
        // Closing it may take as long as its requests in flight; nobody waits for that.
        let closing = std::thread::Builder::new().name("kafka-close".into()).spawn(move || drop(spent));
        if let Err(error) = closing {
            tracing::warn!("a spent producer was closed in place, no thread could be started: {error}");
        }
        Ok(())
    }

    /// Whether the next producer sends each record alone.
    pub(crate) fn set_careful(&mut self, careful: bool) {
        // The one at hand goes on as it was made.
        self.spent |= self.careful != careful;
        self.careful = careful;
    }

    /// Renews where the last transaction did not end cleanly.
    pub(crate) fn renew_if_spent(&mut self) -> Result<(), Weather> {
        if self.spent { self.renew() } else { Ok(()) }
    }

    /// Renews where the last commit was tainted.
    pub(crate) fn renew_if(&mut self, tainted: bool) -> Result<(), Weather> {
        if !tainted {
            return Ok(());
        }
        telemetry::tainted(self.options.role);
        self.spent = true;
        self.renew()
    }
}

/// Whether the broker refuses a record for what it is, so that trying again cannot help.
pub(crate) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::InvalidMessage
            | Code::InvalidMessageSize
    )
}
