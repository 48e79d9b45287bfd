//! Administration that rdkafka's client lacks: changing single settings, and asking what a principal may do.
//!
//! Every object is made here, handed on while it lives and destroyed once; what a result points to belongs to its
//! event and is read before that is destroyed.

use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaErrorCode;

use super::{Failure, error_code, millis, text};

/// What librdkafka waits beyond the broker's own time for an answer.
const GRACE: Duration = Duration::from_secs(2);

type Options = *mut native::rd_kafka_AdminOptions_t;
type Queue = *mut native::rd_kafka_queue_t;
type Event = *mut native::rd_kafka_event_t;

/// Sends a question and reads its answer.
///
/// # Safety
/// `client` is live; `send` uses options and queue within the call only; `read` reads the event and lets nothing
/// escape that points into it.
unsafe fn asked<T>(
    client: *mut native::rd_kafka_t,
    operation: native::rd_kafka_admin_op_t,
    wait: Duration,
    send: impl FnOnce(Options, Queue),
    read: impl FnOnce(Event) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: promised by the caller; queue, options and event are made here and destroyed once.
    unsafe {
        let queue = native::rd_kafka_queue_new(client);
        let options = native::rd_kafka_AdminOptions_new(client, operation);
        native::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), ptr::null_mut(), 0);
        send(options, queue);
        let event = native::rd_kafka_queue_poll(queue, millis(wait + GRACE));
        let outcome = if event.is_null() {
            Err(Failure::local(RDKafkaErrorCode::OperationTimedOut, "no answer in time"))
        } else {
            let outcome = match error_code(native::rd_kafka_event_error(event)) {
                Some(code) => Err(Failure::local(code, text(native::rd_kafka_event_error_string(event)))),
                None => read(event),
            };
            native::rd_kafka_event_destroy(event);
            outcome
        };
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_queue_destroy(queue);
        outcome
    }
}

fn another_question() -> Failure {
    Failure::local(RDKafkaErrorCode::Fail, "the answer was to another question")
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text)
        .map_err(|_| Failure::local(RDKafkaErrorCode::InvalidArgument, "a name or a value holds a zero byte"))
}

/// Changes settings of a topic and no others (IncrementalAlterConfigs). `None` goes back to what is inherited.
pub(crate) fn alter_topic<'a, C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    changes: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    wait: Duration,
) -> Result<(), Failure> {
    let topic = c_string(topic)?;
    let changes = changes
        .map(|(name, value)| Ok((c_string(name)?, value.map(c_string).transpose()?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    use native::rd_kafka_AlterConfigOpType_t as Op;
    // SAFETY: see the module.
    unsafe {
        let mut resource = native::rd_kafka_ConfigResource_new(
            native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            topic.as_ptr(),
        );
        let mut outcome = Ok(());
        for (name, value) in &changes {
            let (op, value) = match value {
                Some(value) => (Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_ptr()),
                None => (Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, ptr::null()),
            };
            outcome = outcome.and(Failure::check(native::rd_kafka_ConfigResource_add_incremental_config(
                resource,
                name.as_ptr(),
                op,
                value,
            )));
        }
        if outcome.is_ok() {
            let client = client.native_ptr();
            outcome = asked(
                client,
                native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
                wait,
                |options, queue| native::rd_kafka_IncrementalAlterConfigs(client, &raw mut resource, 1, options, queue),
                |event| alteration_outcome(event),
            );
        }
        native::rd_kafka_ConfigResource_destroy(resource);
        outcome
    }
}

/// # Safety
/// The event is live.
unsafe fn alteration_outcome(event: Event) -> Result<(), Failure> {
    // SAFETY: promised by the caller; what is read belongs to the event.
    unsafe {
        let result = native::rd_kafka_event_IncrementalAlterConfigs_result(event);
        if result.is_null() {
            return Err(another_question());
        }
        let mut count = 0;
        let resources = native::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        for index in 0..count {
            let resource = *resources.add(index);
            if let Some(code) = error_code(native::rd_kafka_ConfigResource_error(resource)) {
                return Err(Failure::local(code, text(native::rd_kafka_ConfigResource_error_string(resource))));
            }
        }
        Ok(())
    }
}

/// Kafka's numbers of what a principal may do with a resource.
pub(crate) type Operations = Vec<u32>;

/// # Safety
/// `list` is null or points to `count` operations.
unsafe fn operations(list: *const native::rd_kafka_AclOperation_t, count: usize) -> Operations {
    if list.is_null() {
        return Operations::new();
    }
    // SAFETY: promised by the caller. Read as numbers: a broker may know operations that the bindings do not.
    unsafe { std::slice::from_raw_parts(list.cast::<u32>(), count) }.to_vec()
}

/// # Safety
/// `error` is null or live; it stays its owner's.
unsafe fn borrowed_error(error: *const native::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: promised by the caller.
    let (code, words) = unsafe { (native::rd_kafka_error_code(error), text(native::rd_kafka_error_string(error))) };
    error_code(code).map_or(Ok(()), |code| Err(Failure::local(code, words)))
}

/// Asks for the answer to say what whoever asks may do.
fn with_operations(options: Options) {
    // SAFETY: the options are live; where they cannot be set the answer says nothing, which is no permission.
    let set = Failure::check(unsafe { native::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1) });
    if let Err(failure) = set {
        tracing::debug!("permissions cannot be asked for: {}", failure.text);
    }
}

/// What whoever is connected may do with a topic.
pub(crate) fn topic_operations<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait: Duration,
) -> Result<Operations, Failure> {
    let topic = c_string(topic)?;
    let client = client.native_ptr();
    let mut names: [*const c_char; 1] = [topic.as_ptr()];
    // SAFETY: see the module; the collection copies the names.
    unsafe {
        let topics = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let outcome = asked(
            client,
            native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            wait,
            |options, queue| {
                with_operations(options);
                native::rd_kafka_DescribeTopics(client, topics, options, queue);
            },
            |event| {
                let result = native::rd_kafka_event_DescribeTopics_result(event);
                if result.is_null() {
                    return Err(another_question());
                }
                let (mut topics, mut count) = (0, 0);
                let found = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut topics);
                if topics == 0 {
                    return Err(another_question());
                }
                let topic = *found;
                borrowed_error(native::rd_kafka_TopicDescription_error(topic))?;
                let list = native::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
                Ok(operations(list, count))
            },
        );
        native::rd_kafka_TopicCollection_destroy(topics);
        outcome
    }
}

/// What whoever is connected may do with a group, which need not exist.
pub(crate) fn group_operations<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    wait: Duration,
) -> Result<Operations, Failure> {
    let group = c_string(group)?;
    let client = client.native_ptr();
    let mut names: [*const c_char; 1] = [group.as_ptr()];
    // SAFETY: see the module; the names are copied within the call.
    unsafe {
        asked(
            client,
            native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            wait,
            |options, queue| {
                with_operations(options);
                native::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), names.len(), options, queue);
            },
            |event| {
                let result = native::rd_kafka_event_DescribeConsumerGroups_result(event);
                if result.is_null() {
                    return Err(another_question());
                }
                let (mut groups, mut count) = (0, 0);
                let found = native::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut groups);
                if groups == 0 {
                    return Err(another_question());
                }
                let group = *found;
                borrowed_error(native::rd_kafka_ConsumerGroupDescription_error(group))?;
                let list = native::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
                Ok(operations(list, count))
            },
        )
    }
}

/// What whoever is connected may do with the cluster.
pub(crate) fn cluster_operations<C: ClientContext>(client: &Client<C>, wait: Duration) -> Result<Operations, Failure> {
    let client = client.native_ptr();
    // SAFETY: see the module.
    unsafe {
        asked(
            client,
            native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            wait,
            |options, queue| {
                with_operations(options);
                native::rd_kafka_DescribeCluster(client, options, queue);
            },
            |event| {
                let result = native::rd_kafka_event_DescribeCluster_result(event);
                if result.is_null() {
                    return Err(another_question());
                }
                let mut count = 0;
                let list = native::rd_kafka_DescribeCluster_result_authorized_operations(result, &raw mut count);
                Ok(operations(list, count))
            },
        )
    }
}
