//! What librdkafka says of a call that failed.

use rdkafka::bindings as native;
use rdkafka::types::RDKafkaErrorCode;

use super::text;

/// What librdkafka says of a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code.
    pub(crate) code: RDKafkaErrorCode,
    /// The words.
    pub(crate) text: String,
    /// The client is of no more use.
    pub(crate) fatal: bool,
    /// The same call may be made again.
    pub(crate) retriable: bool,
    /// The transaction must be aborted.
    pub(crate) requires_abort: bool,
}

impl Failure {
    /// Takes over an error object; null is success.
    pub(super) fn check(error: *mut native::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: an error object that is ours until it is destroyed below.
        unsafe {
            let failure = Self {
                code: native::rd_kafka_error_code(error).into(),
                text: text(native::rd_kafka_error_string(error)),
                fatal: native::rd_kafka_error_is_fatal(error) != 0,
                retriable: native::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: native::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            native::rd_kafka_error_destroy(error);
            Err(failure)
        }
    }

    pub(super) fn local(code: RDKafkaErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), fatal: false, retriable: false, requires_abort: false }
    }
}
