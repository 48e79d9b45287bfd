//! Why the registry does not do what was asked: the Confluent API's codes and one sentence.

use broker::Weather;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The Confluent API's `error_code`.
    pub code: u32,
    /// What could not be done and what to do about it.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The HTTP status: the code itself, or its first three digits.
    pub fn status(&self) -> u16 {
        let status = if self.code >= 1000 { self.code / 100 } else { self.code };
        u16::try_from(status).unwrap_or(500)
    }

    pub(crate) fn no_subject(subject: &str) -> Self {
        Self::new(40401, format!("subject '{subject}' not found"))
    }

    pub(crate) fn no_version(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("version {version} not found"))
    }

    pub(crate) fn no_schema(id: impl std::fmt::Display) -> Self {
        Self::new(40403, format!("schema {id} not found"))
    }

    pub(crate) fn bad_schema(why: impl std::fmt::Display) -> Self {
        Self::new(42201, format!("the schema is invalid: {why}"))
    }
}

impl From<Weather> for Refusal {
    fn from(weather: Weather) -> Self {
        Self::new(50001, format!("the registry's topic cannot serve: {weather}; try again"))
    }
}
