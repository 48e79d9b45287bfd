//! How the registry is asked: the settings of `schema_registry_converter` per address, and one plain HTTP client
//! for what it has no call for. Both go through [`bounded`], so that an answer has one bound and one meaning
//! whoever asked.
//!
//! The crate's asynchronous half is used, on a runtime of the registry's own: its blocking half must be neither
//! made nor dropped on a thread of an asynchronous runtime, and takes answers of any size. Callers block on a
//! channel, which is allowed on every thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use broker::Weather;
use http::Extensions;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response};
use reqwest_middleware::{ClientWithMiddleware, Next};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::RawError;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::RegistryAccess;

/// The bound on every request.
const DEADLINE: Duration = Duration::from_secs(10);

/// The bound on connecting, so that a dead address leaves time for the next one.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// No answer of a registry is larger.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// One address of the registry.
pub(super) struct Address {
    url: String,
    /// What `schema_registry_converter` asks with. One address each: it would ask the next one after any answer
    /// that is not 2xx, "unknown" included.
    pub(super) settings: SrSettings,
    http: ClientWithMiddleware,
}

/// Why there is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The registry says so, with its own code: 40403, 409, 42201, …
    Said {
        /// The registry's code, or the status where it gives none, or one that contradicts the status.
        code: u32,
        /// Its words, with status and code.
        message: String,
    },
    /// It answered with more than [`ANSWER_BYTES`].
    TooLarge,
    /// It cannot be understood, or cannot be reached.
    Away(String),
}

impl Failed {
    /// The status of the answer, which every code begins with.
    pub(super) fn status(&self) -> u32 {
        match self {
            Self::Said { code, .. } if *code >= 1_000 => code / 100,
            Self::Said { code, .. } => *code,
            Self::TooLarge | Self::Away(_) => 0,
        }
    }

    /// It is no answer to what was asked.
    pub(super) fn weather(self, what: String) -> Weather {
        match self {
            Self::Said { message, .. } => Weather::new(what, message),
            Self::TooLarge => Weather::new(what, Foreign::TooLarge),
            Self::Away(why) => Weather::new(what, why),
        }
    }
}

impl Failed {
    /// What a call that brought no answer ended with, and all that led to it, begun with `why`.
    fn of(why: String, error: &(dyn std::error::Error + 'static)) -> Self {
        if is_too_large(error) {
            return Self::TooLarge;
        }
        let mut why = why;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(said) = cause.downcast_ref::<RawError>() {
                return Self::Said { code: said.error_code, message: said.message.clone() };
            }
            if is_too_large(cause) {
                return Self::TooLarge;
            }
            why = format!("{why}: {cause}");
            source = cause.source();
        }
        Self::Away(why)
    }
}

/// What a middleware says hides in the middleware's own error, which is transparent and so no source.
fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref() {
        Some(reqwest_middleware::Error::Middleware(said)) => matches!(said.downcast_ref(), Some(Foreign::TooLarge)),
        _ => false,
    }
}

impl From<SRCError> for Failed {
    /// An answer of the registry is the source of the error, whatever its text says.
    fn from(error: SRCError) -> Self {
        Self::of(error.error.clone(), &error)
    }
}

/// What came back that no registry sends.
#[derive(Debug, thiserror::Error)]
enum Foreign {
    #[error("the answer is larger than {ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("the answer with status {0} is larger than {ANSWER_BYTES} bytes")]
    Refusal(u16),
    #[error("the answer with status {status} is not a registry's: {start}")]
    NotJson { status: u16, start: String },
}

type Answering<'a> = Pin<Box<dyn Future<Output = reqwest_middleware::Result<Response>> + Send + 'a>>;

/// Reads an answer within its bound. One that is no JSON came from something in between; one that is not 2xx
/// goes on as the registry's own form of an error, with code and message always there.
fn bounded<'a>(request: Request, extensions: &'a mut Extensions, next: Next<'a>) -> Answering<'a> {
    Box::pin(async move {
        let mut answer = next.run(request, extensions).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                let status = answer.status();
                let foreign = if status.is_success() { Foreign::TooLarge } else { Foreign::Refusal(status.as_u16()) };
                return Err(reqwest_middleware::Error::middleware(foreign));
            }
            body.extend_from_slice(&chunk);
        }
        let status = answer.status();
        let value: Value = serde_json::from_slice(&body).map_err(|_| {
            let start = String::from_utf8_lossy(&body).chars().take(200).collect();
            reqwest_middleware::Error::middleware(Foreign::NotJson { status: status.as_u16(), start })
        })?;
        if !status.is_success() {
            body = refusal(status.as_u16(), &value).to_string().into_bytes();
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = status;
        whole.headers_mut().extend(answer.headers().get(DATE).map(|date| (DATE, date.clone())));
        Ok(whole.into())
    })
}

fn refusal(status: u16, answer: &Value) -> Value {
    let status = u64::from(status);
    let code = answer.get("error_code").and_then(Value::as_u64).unwrap_or(status);
    let message = answer.get("message").and_then(Value::as_str).unwrap_or("it gave no reason");
    let believed = if code == status || code / 100 == status { code } else { status };
    json!({ "error_code": believed, "message": format!("{message} (status {status}, code {code})") })
}

/// A raw answer of 2xx.
pub(super) struct Answer {
    /// Its body.
    pub(super) body: Value,
    /// Its `Date` header.
    pub(super) date: Option<String>,
}

impl Address {
    /// What `schema_registry_converter` has no call for.
    pub(super) async fn raw(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Failed> {
        let away = |error: &(dyn std::error::Error + 'static)| Failed::of(error.to_string(), error);
        let mut request = self.http.request(method, format!("{}{path}", self.url)).header(ACCEPT, MEDIA_TYPE);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| away(&error))?;
        let success = answer.status().is_success();
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(|error| away(&error))?;
        if success {
            let body = serde_json::from_slice(&body).map_err(|error| away(&error))?;
            return Ok(Answer { body, date });
        }
        let said: RawError = serde_json::from_slice(&body).map_err(|error| away(&error))?;
        Err(Failed::Said { code: said.error_code, message: said.message })
    }
}

/// Every address of a registry, and what asks them.
pub(super) struct Client {
    addresses: Vec<Arc<Address>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Client {
    /// As the access says; nothing is asked yet.
    pub(super) fn new(access: &RegistryAccess) -> Result<Self, Weather> {
        let failed = |why: String| Weather::new("reach a schema registry", why);
        if access.urls.is_empty() {
            return Err(failed("no address was given".to_owned()));
        }
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &access.authorization {
            let mut value = HeaderValue::from_str(authorization)
                .map_err(|_| failed("its authorization has characters that no header may hold".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = || {
            reqwest::Client::builder()
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_DEADLINE)
                .tls_version_min(reqwest::tls::Version::TLS_1_2)
        };
        let plain = builder().timeout(DEADLINE).build().map_err(|error| failed(error.to_string()))?;
        let http = reqwest_middleware::ClientBuilder::new(plain).with(bounded).build();
        let address = |url: &String| {
            let url = url.trim_end_matches('/').to_owned();
            let mut settings = SrSettings::new_builder(url.clone());
            let settings = settings.set_timeout(DEADLINE).with_middleware(bounded).build_with(builder());
            let settings = settings.map_err(|error| failed(error.to_string()))?;
            Ok(Arc::new(Address { url, settings, http: http.clone() }))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kafka-registry")
            .enable_all()
            .build()
            .map_err(|error| failed(format!("its thread could not be started: {error}")))?;
        Ok(Self { addresses: access.urls.iter().map(address).collect::<Result<_, Weather>>()?, runtime: Some(runtime) })
    }

    /// Asks the addresses in order until one answers at all; 5xx is no answer.
    pub(super) fn ask<T, F>(&self, call: impl Fn(Arc<Address>) -> F) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let mut last = Failed::Away("it has ended".to_owned());
        for address in &self.addresses {
            match self.wait_for(call(Arc::clone(address))) {
                Err(Failed::Away(why)) => last = Failed::Away(format!("{}: {why}", address.url)),
                Err(said) if said.status() >= 500 => last = said,
                answer => return answer,
            }
        }
        Err(last)
    }

    fn wait_for<T, F>(&self, answer: F) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let ended = || Failed::Away("the call was given up".to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        let (tell, told) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Whoever asked waits for as long as this lives.
            let _heard = tell.send(answer.await);
        });
        told.recv().map_err(|_| ended())?
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
