//! A registry that speaks the Confluent REST API.
//!
//! Over one small HTTP client (ureq) instead of `schema_registry_converter`: every answer here hangs on the
//! status and the registry's error code (unknown or unreachable, incompatible or invalid), and that crate gives
//! both only inside a text and only for some statuses, has no call for `/config` or `/compatibility`, and its
//! blocking client must not be made on a thread of an async runtime. One client also means one TLS stack.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::{CompatibilityLevel, Lookup, Registered, Registry, Standing, Weather};
use schemas::{SchemaId, Subject};
use serde_json::{Value, json};

/// The bound on every call.
const DEADLINE: Duration = Duration::from_secs(10);

/// The bound on connecting, so that a dead address leaves time for the next one.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How many schemas are remembered; the ones remembered first are forgotten first.
const CACHED_SCHEMAS: usize = 10_000;

/// No answer of a registry is larger.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Where a registry is and how it is entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// Its addresses, tried in order: `http://host:port`.
    pub urls: Vec<String>,
    /// The value of the `Authorization` header, if it asks for one.
    pub authorization: Option<String>,
}

/// A Confluent-compatible registry over HTTP. Asks the first address that answers at all.
pub struct HttpRegistry {
    access: RegistryAccess,
    agent: ureq::Agent,
    known: Mutex<Known>,
}

/// Schemas met, in the order they were met.
#[derive(Default)]
struct Known {
    schemas: HashMap<SchemaId, Lookup>,
    order: VecDeque<SchemaId>,
}

impl Known {
    fn remember(&mut self, id: SchemaId, lookup: Lookup) {
        if self.schemas.insert(id, lookup).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > CACHED_SCHEMAS {
            if let Some(oldest) = self.order.pop_front() {
                self.schemas.remove(&oldest);
            }
        }
    }
}

/// Status and body of an answer.
struct Answer {
    status: u16,
    body: Value,
    /// It was larger than [`ANSWER_BYTES`] and not read.
    too_large: bool,
}

impl Answer {
    /// The registry's own code, or the status where it gives none.
    fn code(&self) -> u64 {
        self.body.get("error_code").and_then(Value::as_u64).unwrap_or(u64::from(self.status))
    }

    fn message(&self) -> String {
        let message = self.body.get("message").and_then(Value::as_str).unwrap_or("it gave no reason");
        format!("{message} (status {}, code {})", self.status, self.code())
    }

    fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field)?.as_str()
    }

    fn id(&self) -> Option<SchemaId> {
        self.body.get("id")?.as_u64().and_then(|id| u32::try_from(id).ok()).map(SchemaId)
    }

    fn weather(&self, what: String) -> Weather {
        Weather::new(what, self.message())
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

impl HttpRegistry {
    /// A registry at these addresses; nothing is asked yet.
    ///
    /// # Errors
    /// [`Weather`] where there is no address.
    pub fn new(access: RegistryAccess) -> Result<Self, Weather> {
        if access.urls.is_empty() {
            return Err(Weather::new("reach a schema registry", "no address was given"));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(DEADLINE))
            .timeout_connect(Some(CONNECT_DEADLINE))
            .http_status_as_error(false)
            .build();
        Ok(Self { access, agent: config.into(), known: Mutex::default() })
    }

    /// Asks, and takes any answer with a body that is JSON; one that is not came from something in between.
    fn call(&self, what: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Weather> {
        let mut last = Weather::new(what, "no address was given");
        for url in &self.access.urls {
            match self.call_one(url.trim_end_matches('/'), method, path, body) {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Ok(answer) => last = answer.weather(what.to_owned()),
                Err(why) => last = Weather::new(what, format!("{url}: {why}")),
            }
        }
        Err(last)
    }

    fn call_one(&self, url: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{url}{path}"))
            .header("accept", CONTENT_TYPE)
            .header("content-type", CONTENT_TYPE);
        if let Some(authorization) = &self.access.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = match body {
            Some(body) => request.body(body.to_string()).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        let mut answer = answer.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = match answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_string() {
            Err(ureq::Error::BodyExceedsLimit(_)) => return Ok(Answer { status, body: Value::Null, too_large: true }),
            read => read.map_err(|error| error.to_string())?,
        };
        let body = serde_json::from_str(&text).map_err(|_| {
            format!(
                "the answer with status {status} is not a registry's: {}",
                text.chars().take(200).collect::<String>()
            )
        })?;
        Ok(Answer { status, body, too_large: false })
    }
}

impl Registry for HttpRegistry {
    fn schema(&self, id: SchemaId) -> Result<Lookup, Weather> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).schemas.get(&id) {
            return Ok(known.clone());
        }
        let what = format!("look up schema {id}");
        let answer = self.call(&what, "GET", &format!("/schemas/ids/{id}"), None)?;
        if answer.status == 404 && answer.code() == 40403 {
            return Ok(Lookup::Unknown);
        }
        if answer.too_large && answer.is_ok() {
            return Ok(Lookup::TooLarge);
        }
        let Some(schema) = answer.text("schema").filter(|_| answer.is_ok()) else {
            return Err(answer.weather(what));
        };
        let lookup = match answer.text("schemaType") {
            None | Some("AVRO") => Lookup::Avro(Arc::from(schema)),
            Some(other) => Lookup::OtherKind(other.to_owned()),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remember(id, lookup.clone());
        Ok(lookup)
    }

    fn register(&self, subject: &Subject, schema: &str) -> Result<Registered, Weather> {
        let what = format!("register a schema under {subject}");
        let path = format!("/subjects/{}/versions", escaped(subject));
        let answer = self.call(&what, "POST", &path, Some(&json!({ "schema": schema })))?;
        match answer.status {
            409 => Ok(Registered::Incompatible(answer.message())),
            422 => Ok(Registered::Invalid(answer.message())),
            _ => match answer.id().filter(|_| answer.is_ok()) {
                Some(id) => Ok(Registered::Id(id)),
                None => Err(answer.weather(what)),
            },
        }
    }

    fn standing(&self, subject: &Subject, schema: &str) -> Result<Standing, Weather> {
        let what = format!("look up a schema under {subject}");
        let path = format!("/subjects/{}", escaped(subject));
        let answer = self.call(&what, "POST", &path, Some(&json!({ "schema": schema })))?;
        match (answer.status, answer.code()) {
            (404, 40401) => Ok(Standing::NoSubject),
            (404, 40403) => Ok(Standing::Other),
            _ => match answer.id().filter(|_| answer.is_ok()) {
                Some(id) => Ok(Standing::Registered(id)),
                None => Err(answer.weather(what)),
            },
        }
    }

    fn latest(&self, subject: &Subject) -> Result<Option<(SchemaId, Arc<str>)>, Weather> {
        let what = format!("read the latest version of {subject}");
        let answer = self.call(&what, "GET", &format!("/subjects/{}/versions/latest", escaped(subject)), None)?;
        if answer.status == 404 && matches!(answer.code(), 40401 | 40402) {
            return Ok(None);
        }
        match answer.id().zip(answer.text("schema")).filter(|_| answer.is_ok()) {
            Some((id, schema)) => Ok(Some((id, Arc::from(schema)))),
            None => Err(answer.weather(what)),
        }
    }

    fn would_refuse(&self, subject: &Subject, schema: &str) -> Result<Option<String>, Weather> {
        let what = format!("check a schema against {subject}");
        let path = format!("/compatibility/subjects/{}/versions?verbose=true", escaped(subject));
        let answer = self.call(&what, "POST", &path, Some(&json!({ "schema": schema })))?;
        if answer.status == 404 && matches!(answer.code(), 40401 | 40402) {
            return Ok(None);
        }
        if answer.status == 422 {
            return Ok(Some(answer.message()));
        }
        match answer.body.get("is_compatible").and_then(Value::as_bool).filter(|_| answer.is_ok()) {
            Some(true) => Ok(None),
            Some(false) => {
                let reasons =
                    answer.body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
                Ok(Some(if reasons.is_empty() { "it is incompatible".into() } else { reasons.join("; ") }))
            }
            None => Err(answer.weather(what)),
        }
    }

    fn level(&self, subject: &Subject) -> Result<Option<CompatibilityLevel>, Weather> {
        let what = format!("read the compatibility level of {subject}");
        let answer = self.call(&what, "GET", &format!("/config/{}", escaped(subject)), None)?;
        if answer.status == 404 && matches!(answer.code(), 40401 | 40408) {
            return Ok(None);
        }
        let Some(level) = answer.text("compatibilityLevel").filter(|_| answer.is_ok()) else {
            return Err(answer.weather(what));
        };
        level.parse().map(Some).map_err(|why| Weather::new(what, why))
    }

    fn set_level(&self, subject: &Subject, level: CompatibilityLevel) -> Result<(), Weather> {
        let what = format!("set the compatibility level of {subject} to {}", level.as_str());
        let body = json!({ "compatibility": level.as_str() });
        let answer = self.call(&what, "PUT", &format!("/config/{}", escaped(subject)), Some(&body))?;
        if answer.is_ok() { Ok(()) } else { Err(answer.weather(what)) }
    }

    fn ping(&self) -> Result<(), Weather> {
        let what = "reach the schema registry".to_owned();
        let answer = self.call(&what, "GET", "/schemas/types", None)?;
        if answer.is_ok() { Ok(()) } else { Err(answer.weather(what)) }
    }
}
