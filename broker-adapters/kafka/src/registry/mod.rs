//! A registry that speaks the Confluent REST API, by `schema_registry_converter`.
//!
//! That crate looks up schemas, reads the latest version of a subject and registers. It has no call for `/config`
//! and none for the cheap question whether anybody is there; its `/compatibility` brings no reasons and takes an
//! absent subject for an error. Those are raw calls beside it, over the same HTTP client. What the registry said
//! (unknown or unreachable, incompatible or invalid) it keeps as the source of its errors, and that decides here,
//! never its text.
//!
//! TLS is OpenSSL's, as librdkafka's: one library, one store of trusted certificates (`SSL_CERT_FILE` adds to it).

mod client;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use broker::{CompatibilityLevel, Lookup, Registered, Registry, Standing, Weather};
use reqwest::Method;
use schema_registry_converter::async_impl::schema_registry as converter;
use schema_registry_converter::schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema};
use schemas::{SchemaId, Subject, Timestamp};
use serde_json::{Value, json};

use self::client::{Answer, Client, Failed};

/// How many schemas are remembered; the ones remembered first are forgotten first.
const CACHED_SCHEMAS: usize = 10_000;

/// The registry may only be read: what it refuses so says nothing about a schema.
const NOT_PERMITTED: u32 = 42_205;

/// Where a registry is and how it is entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// Its addresses, tried in order: `http://host:port`.
    pub urls: Vec<String>,
    /// The value of the `Authorization` header, if it asks for one.
    pub authorization: Option<String>,
}

/// A Confluent-compatible registry over HTTP. Asks the first address that answers at all. It may be made, asked and
/// dropped on any thread, one of an asynchronous runtime too; every call blocks.
pub struct HttpRegistry {
    client: Client,
    known: Mutex<Known>,
}

/// Schemas met, in the order they were met.
struct Known {
    schemas: HashMap<SchemaId, Lookup>,
    order: VecDeque<SchemaId>,
    most: usize,
}

impl Known {
    fn new(most: usize) -> Self {
        Self { schemas: HashMap::new(), order: VecDeque::new(), most }
    }

    fn remember(&mut self, id: SchemaId, lookup: Lookup) {
        if self.schemas.insert(id, lookup).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.schemas.remove(&oldest);
            }
        }
    }
}

/// A subject in a path: everything but what needs no escape is escaped.
fn escaped(subject: &Subject) -> String {
    let mut path = String::new();
    for byte in subject.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

fn text(body: &Value, field: &str) -> Option<String> {
    Some(body.get(field)?.as_str()?.to_owned())
}

fn unexpected(what: String) -> Weather {
    Weather::new(what, "the answer lacks what was asked for")
}

impl HttpRegistry {
    /// A registry at these addresses; nothing is asked yet.
    ///
    /// # Errors
    /// [`Weather`] where there is no address, or one that no client can be made for.
    pub fn new(access: RegistryAccess) -> Result<Self, Weather> {
        Self::remembering(&access, CACHED_SCHEMAS)
    }

    fn remembering(access: &RegistryAccess, most: usize) -> Result<Self, Weather> {
        Ok(Self { client: Client::new(access)?, known: Mutex::new(Known::new(most)) })
    }

    fn raw(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, Failed> {
        self.client.ask(|address| {
            let (method, path, body) = (method.clone(), path.to_owned(), body.cloned());
            async move { address.raw(method, &path, body).await }
        })
    }

    /// What time the registry's machine has, in whole seconds (the `Date` of an answer); `None` where the answer
    /// does not say.
    ///
    /// # Errors
    /// [`Weather`].
    pub fn clock(&self) -> Result<Option<Timestamp>, Weather> {
        let answer = self.raw(&Method::GET, "/schemas/types", None);
        let answer = answer.map_err(|failed| failed.weather("ask the schema registry for its time".to_owned()))?;
        let date = answer.date.and_then(|date| httpdate::parse_http_date(&date).ok());
        let since = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.and_then(|since| i64::try_from(since.as_millis()).ok()).map(Timestamp))
    }
}

impl Registry for HttpRegistry {
    fn schema(&self, id: SchemaId) -> Result<Lookup, Weather> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).schemas.get(&id) {
            return Ok(known.clone());
        }
        let answer = self.client.ask(|address| async move {
            converter::get_schema_by_id(id.0, &address.settings).await.map_err(Failed::from)
        });
        let found = match answer {
            Ok(found) => found,
            Err(Failed::Said { code: 40403, .. }) => return Ok(Lookup::Unknown),
            Err(Failed::TooLarge) => return Ok(Lookup::TooLarge),
            Err(failed) => return Err(failed.weather(format!("look up schema {id}"))),
        };
        let lookup = match found.schema_type {
            SchemaType::Avro => Lookup::Avro(found.schema.into()),
            SchemaType::Protobuf => Lookup::OtherKind("PROTOBUF".to_owned()),
            SchemaType::Json => Lookup::OtherKind("JSON".to_owned()),
            SchemaType::Other(kind) => Lookup::OtherKind(kind),
            other => Lookup::OtherKind(format!("{other:?}")),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remember(id, lookup.clone());
        Ok(lookup)
    }

    fn register(&self, subject: &Subject, schema: &str) -> Result<Registered, Weather> {
        let answer = self.client.ask(|address| {
            let (subject, schema) = (escaped(subject), schema.to_owned());
            async move {
                let schema = SuppliedSchema::new(None, SchemaType::Avro, schema);
                converter::post_schema(&address.settings, subject, schema).await.map_err(Failed::from)
            }
        });
        match answer {
            Ok(registered) => Ok(Registered::Id(SchemaId(registered.id))),
            Err(failed) => match (failed.status(), failed) {
                (409, Failed::Said { message, .. }) => Ok(Registered::Incompatible(message)),
                (422, Failed::Said { code, message }) if code != NOT_PERMITTED => Ok(Registered::Invalid(message)),
                (_, failed) => Err(failed.weather(format!("register a schema under {subject}"))),
            },
        }
    }

    fn standing(&self, subject: &Subject, schema: &str) -> Result<Standing, Weather> {
        let what = format!("look up a schema under {subject}");
        let path = format!("/subjects/{}", escaped(subject));
        match self.raw(&Method::POST, &path, Some(&json!({ "schema": schema }))) {
            Ok(answer) => match answer.body.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()) {
                Some(id) => Ok(Standing::Registered(SchemaId(id))),
                None => Err(unexpected(what)),
            },
            Err(Failed::Said { code: 40401, .. }) => Ok(Standing::NoSubject),
            Err(Failed::Said { code: 40403, .. }) => Ok(Standing::Other),
            Err(failed) => Err(failed.weather(what)),
        }
    }

    fn latest(&self, subject: &Subject) -> Result<Option<(SchemaId, Arc<str>)>, Weather> {
        let answer = self.client.ask(|address| {
            // The strategy that takes a name as the subject itself.
            let subject = SubjectNameStrategy::RecordNameStrategy(escaped(subject));
            async move { converter::get_schema_by_subject(&address.settings, &subject).await.map_err(Failed::from) }
        });
        match answer {
            Ok(found) => Ok(Some((SchemaId(found.id), found.schema.into()))),
            Err(Failed::Said { code: 40401 | 40402, .. }) => Ok(None),
            Err(failed) => Err(failed.weather(format!("read the latest version of {subject}"))),
        }
    }

    fn would_refuse(&self, subject: &Subject, schema: &str) -> Result<Option<String>, Weather> {
        let what = format!("check a schema against {subject}");
        let path = format!("/compatibility/subjects/{}/versions?verbose=true", escaped(subject));
        let answer = match self.raw(&Method::POST, &path, Some(&json!({ "schema": schema }))) {
            Ok(answer) => answer.body,
            Err(Failed::Said { code: 40401 | 40402, .. }) => return Ok(None),
            Err(failed) => match (failed.status(), failed) {
                (422, Failed::Said { message, .. }) => return Ok(Some(message)),
                (_, failed) => return Err(failed.weather(what)),
            },
        };
        match answer.get("is_compatible").and_then(Value::as_bool) {
            Some(true) => Ok(None),
            Some(false) => {
                let reasons = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
                Ok(Some(if reasons.is_empty() { "it is incompatible".into() } else { reasons.join("; ") }))
            }
            None => Err(unexpected(what)),
        }
    }

    fn level(&self, subject: &Subject) -> Result<Option<CompatibilityLevel>, Weather> {
        let what = format!("read the compatibility level of {subject}");
        let answer = match self.raw(&Method::GET, &format!("/config/{}", escaped(subject)), None) {
            Ok(answer) => answer.body,
            Err(Failed::Said { code: 40401 | 40408, .. }) => return Ok(None),
            Err(failed) => return Err(failed.weather(what)),
        };
        let Some(level) = text(&answer, "compatibilityLevel") else { return Err(unexpected(what)) };
        level.parse().map(Some).map_err(|why| Weather::new(what, why))
    }

    fn set_level(&self, subject: &Subject, level: CompatibilityLevel) -> Result<(), Weather> {
        let body = json!({ "compatibility": level.as_str() });
        let answer = self.raw(&Method::PUT, &format!("/config/{}", escaped(subject)), Some(&body));
        let what = || format!("set the compatibility level of {subject} to {}", level.as_str());
        answer.map(drop).map_err(|failed| failed.weather(what()))
    }

    fn ping(&self) -> Result<(), Weather> {
        let answer = self.raw(&Method::GET, "/schemas/types", None);
        answer.map(drop).map_err(|failed| failed.weather("reach the schema registry".to_owned()))
    }
}
