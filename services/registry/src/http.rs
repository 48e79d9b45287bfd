//! The Confluent API over HTTP. Knows nothing of the topic.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use broker::CompatibilityLevel;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::body::Sent;
use crate::decide::{self, Asked, Which};
use crate::refusal::Refusal;
use crate::state::{State, Version};
use crate::{Registry, Store};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

type Served = Arc<Registry>;
type Answer = Result<Value, Refusal>;

/// What may stand after the question mark; what is not known is ignored, as Confluent does.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    #[serde(deserialize_with = "truth")]
    deleted: bool,
    #[serde(deserialize_with = "truth")]
    deleted_only: bool,
    #[serde(deserialize_with = "truth")]
    permanent: bool,
    #[serde(deserialize_with = "truth")]
    verbose: bool,
    #[serde(deserialize_with = "truth")]
    default_to_global: bool,
    subject_prefix: String,
    subject: Option<String>,
    #[serde(deserialize_with = "count")]
    offset: usize,
    /// 0 is none.
    #[serde(deserialize_with = "count")]
    limit: usize,
}

/// As Java reads it: "true" in any case, and everything else is false. Python's client writes `True` and `False`.
fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)?.eq_ignore_ascii_case("true"))
}

/// A number; -1, which the API has for "no limit", and what is no number are 0.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    Ok(String::deserialize(from)?.parse().unwrap_or(0))
}

impl Options {
    fn page<T>(&self, items: impl Iterator<Item = T>) -> Vec<T> {
        items.skip(self.offset).take(if self.limit == 0 { usize::MAX } else { self.limit }).collect()
    }

    fn shows(&self, version: &Version) -> bool {
        if self.deleted_only { version.deleted } else { self.deleted || !version.deleted }
    }
}

pub(crate) fn router(registry: Served) -> Router {
    Router::new()
        .route("/", get(|| async { reply(Ok(json!({}))) }).post(|| async { reply(Ok(json!({}))) }))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/schemas/types", get(|| async { reply(Ok(json!(["AVRO"]))) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_text))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/config", get(global_level).put(set_global_level).delete(unset_global_level))
        .route("/config/{subject}", get(level).put(set_level).delete(unset_level))
        .route("/mode", get(global_mode))
        .route("/mode/{subject}", get(mode))
        .route("/compatibility/subjects/{subject}/versions", post(compatible))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible_with))
        .fallback(|| async { reply(Err(Refusal::new(404, "HTTP 404 Not Found"))) })
        .method_not_allowed_fallback(|| async { reply(Err(Refusal::new(405, "HTTP 405 Method Not Allowed"))) })
        .with_state(registry)
}

pub(crate) fn reply(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, json!({"error_code": refusal.code, "message": refusal.message}))
        }
    };
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}

/// Runs what compares schemas or waits for the broker where it may block.
async fn blocking(registry: Served, work: impl FnOnce(&Store) -> Answer + Send + 'static) -> Response {
    let done = tokio::task::spawn_blocking(move || work(&registry.store)).await;
    reply(done.unwrap_or_else(|why| Err(Refusal::new(50001, format!("the request could not be worked on: {why}")))))
}

/// What is asked of the fold alone.
fn ask(registry: &Registry, question: impl FnOnce(&State) -> Answer) -> Response {
    reply(question(&registry.store.state()))
}

/// Reads the body of a question about a schema.
fn asked(body: &[u8]) -> Result<Asked, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|why| Refusal::new(400, format!("the request body is not JSON: {why}")))?;
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    if let Some(kind) = given("schemaType").filter(|kind| kind.as_str() != Some("AVRO")) {
        return Err(Refusal::bad_schema(format!("this registry holds AVRO schemas only, not {kind}")));
    }
    if given("references")
        .is_some_and(|references| references.as_array().is_none_or(|references| !references.is_empty()))
    {
        return Err(Refusal::bad_schema(
            "references to other subjects are not supported; write the named types out where they are first used",
        ));
    }
    if let Some(key) = ["metadata", "ruleSet"].into_iter().find(|key| given(key).is_some()) {
        return Err(Refusal::bad_schema(format!("{key} is not supported; rules belong to the data contract")));
    }
    if ["id", "version"].into_iter().any(|key| given(key).and_then(Value::as_i64).is_some_and(|number| number > 0)) {
        return Err(Refusal::new(
            42205,
            "an id or version can be given in mode IMPORT only, which this registry does not have",
        ));
    }
    match given("schema") {
        Some(Value::String(text)) => Asked::read(text),
        _ => Err(Refusal::bad_schema("the request has no \"schema\", a string")),
    }
}

fn shown(state: &State, subject: &str, number: u32, id: u32) -> Answer {
    let stored = state.schemas.get(&id).ok_or_else(|| Refusal::no_schema(id))?;
    let mut out = json!({"subject": subject, "version": number, "id": id});
    kind_and_text(&mut out, stored);
    Ok(out)
}

fn kind_and_text(out: &mut Value, stored: &crate::state::Stored) {
    if let Value::Object(out) = out {
        if let Some(kind) = &stored.kind {
            out.insert("schemaType".to_owned(), json!(kind));
        }
        out.insert("schema".to_owned(), json!(*stored.text));
    }
}

async fn subjects(Shared(registry): Shared<Served>, Query(options): Query<Options>) -> Response {
    ask(&registry, |state| {
        let shown = |(_, versions): &(&String, &std::collections::BTreeMap<u32, Version>)| match options.deleted_only {
            true => versions.values().all(|version| version.deleted),
            false => versions.values().any(|version| options.shows(version)),
        };
        let names = state.subjects.iter().filter(|(name, _)| name.starts_with(&options.subject_prefix)).filter(shown);
        Ok(json!(options.page(names.map(|(name, _)| name))))
    })
}

async fn look_up(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    Sent(body): Sent,
) -> Response {
    blocking(registry, move |store| {
        let asked = asked(&body)?;
        let state = store.state();
        let (number, id) = decide::look_up(&state, &subject, &asked, options.deleted)?;
        shown(&state, &subject, number, id)
    })
    .await
}

async fn register(Shared(registry): Shared<Served>, Path(subject): Path<String>, Sent(body): Sent) -> Response {
    blocking(registry, move |store| {
        let asked = asked(&body)?;
        store.write(move |state| decide::register(state, &subject, &asked)).map(|id| json!({"id": id}))
    })
    .await
}

async fn delete_subject(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    blocking(registry, move |store| {
        store
            .write(move |state| decide::delete_subject(state, &subject, options.permanent))
            .map(|versions| json!(versions))
    })
    .await
}

async fn versions(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| {
        let all = state.versions(&subject, true);
        let numbers: Vec<u32> =
            all.into_iter().filter(|(_, version)| options.shows(version)).map(|(number, _)| number).collect();
        if numbers.is_empty() {
            return Err(Refusal::no_subject(&subject));
        }
        Ok(json!(options.page(numbers.into_iter())))
    })
}

async fn version(
    Shared(registry): Shared<Served>,
    Path((subject, which)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| {
        let (number, version) = decide::find(state, &subject, which.parse()?, options.deleted)?;
        shown(state, &subject, number, version.id)
    })
}

async fn version_text(
    Shared(registry): Shared<Served>,
    Path((subject, which)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    raw(&registry, |state| {
        let (_, version) = decide::find(state, &subject, which.parse()?, options.deleted)?;
        state
            .schemas
            .get(&version.id)
            .map(|stored| Arc::clone(&stored.text))
            .ok_or_else(|| Refusal::no_schema(version.id))
    })
}

fn raw(registry: &Registry, question: impl FnOnce(&State) -> Result<Arc<str>, Refusal>) -> Response {
    match question(&registry.store.state()) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, CONTENT_TYPE)], text.to_string()).into_response(),
        Err(refusal) => reply(Err(refusal)),
    }
}

async fn delete_version(
    Shared(registry): Shared<Served>,
    Path((subject, which)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    blocking(registry, move |store| {
        let which: Which = which.parse()?;
        store
            .write(move |state| decide::delete_version(state, &subject, which, options.permanent))
            .map(|number| json!(number))
    })
    .await
}

fn stored<'a>(state: &'a State, id: &str) -> Result<&'a crate::state::Stored, Refusal> {
    id.parse().ok().and_then(|id: u32| state.schemas.get(&id)).ok_or_else(|| Refusal::no_schema(id))
}

async fn schema(Shared(registry): Shared<Served>, Path(id): Path<String>) -> Response {
    ask(&registry, |state| {
        let mut out = json!({});
        kind_and_text(&mut out, stored(state, &id)?);
        Ok(out)
    })
}

async fn schema_text(Shared(registry): Shared<Served>, Path(id): Path<String>) -> Response {
    raw(&registry, |state| stored(state, &id).map(|stored| Arc::clone(&stored.text)))
}

/// The uses of an id that the options show.
fn uses<'a>(state: &'a State, id: &str, options: &Options) -> Result<Vec<&'a (String, u32)>, Refusal> {
    let shown = |(subject, number): &(String, u32)| {
        let version = state.subjects.get(subject).and_then(|versions| versions.get(number));
        version.is_some_and(|version| options.shows(version))
            && options.subject.as_ref().is_none_or(|only| only == subject)
    };
    Ok(stored(state, id)?.used.iter().filter(|used| shown(used)).collect())
}

async fn schema_versions(
    Shared(registry): Shared<Served>,
    Path(id): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| {
        let uses = uses(state, &id, &options)?
            .into_iter()
            .map(|(subject, version)| json!({"subject": subject, "version": version}));
        Ok(json!(options.page(uses)))
    })
}

async fn schema_subjects(
    Shared(registry): Shared<Served>,
    Path(id): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| {
        let mut subjects: Vec<&String> = uses(state, &id, &options)?.into_iter().map(|(subject, _)| subject).collect();
        subjects.dedup();
        Ok(json!(options.page(subjects.into_iter())))
    })
}

fn level_json(level: CompatibilityLevel) -> Value {
    json!({"compatibilityLevel": level.as_str()})
}

async fn global_level(Shared(registry): Shared<Served>) -> Response {
    ask(&registry, |state| Ok(level_json(state.level.unwrap_or(CompatibilityLevel::Backward))))
}

async fn level(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| match state.levels.get(&subject) {
        Some(level) => Ok(level_json(*level)),
        None if options.default_to_global => Ok(level_json(state.level_of(&subject))),
        None => Err(Refusal::new(
            40408,
            format!("subject '{subject}' does not have subject-level compatibility configured"),
        )),
    })
}

async fn set_global_level(Shared(registry): Shared<Served>, Sent(body): Sent) -> Response {
    put_level(registry, None, body).await
}

async fn set_level(Shared(registry): Shared<Served>, Path(subject): Path<String>, Sent(body): Sent) -> Response {
    put_level(registry, Some(subject), body).await
}

async fn put_level(registry: Served, subject: Option<String>, body: Vec<u8>) -> Response {
    blocking(registry, move |store| {
        let body: Value = serde_json::from_slice(&body)
            .map_err(|why| Refusal::new(400, format!("the request body is not JSON: {why}")))?;
        let word = body.get("compatibility").and_then(Value::as_str);
        let word =
            word.ok_or_else(|| Refusal::new(42203, "the request has no \"compatibility\", one of the seven levels"))?;
        let level: CompatibilityLevel =
            word.parse().map_err(|why: String| Refusal::new(42203, format!("invalid compatibility level: {why}")))?;
        store.write(move |state| decide::set_level(state, subject.as_deref(), Some(level)))?;
        Ok(json!({"compatibility": level.as_str()}))
    })
    .await
}

async fn unset_global_level(Shared(registry): Shared<Served>) -> Response {
    drop_level(registry, None).await
}

async fn unset_level(Shared(registry): Shared<Served>, Path(subject): Path<String>) -> Response {
    drop_level(registry, Some(subject)).await
}

async fn drop_level(registry: Served, subject: Option<String>) -> Response {
    blocking(registry, move |store| {
        let before = store.write(move |state| decide::set_level(state, subject.as_deref(), None))?;
        Ok(level_json(before.unwrap_or(CompatibilityLevel::Backward)))
    })
    .await
}

async fn global_mode(Shared(registry): Shared<Served>) -> Response {
    ask(&registry, |state| Ok(json!({"mode": state.mode.as_deref().unwrap_or("READWRITE")})))
}

async fn mode(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
) -> Response {
    ask(&registry, |state| match state.modes.get(&subject) {
        Some(mode) => Ok(json!({"mode": mode})),
        None if options.default_to_global => Ok(json!({"mode": state.mode_of(&subject)})),
        None => Err(Refusal::new(40409, format!("subject '{subject}' does not have subject-level mode configured"))),
    })
}

async fn compatible(
    Shared(registry): Shared<Served>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    Sent(body): Sent,
) -> Response {
    compare(registry, subject, None, options, body).await
}

async fn compatible_with(
    Shared(registry): Shared<Served>,
    Path((subject, which)): Path<(String, String)>,
    Query(options): Query<Options>,
    Sent(body): Sent,
) -> Response {
    compare(registry, subject, Some(which), options, body).await
}

async fn compare(
    registry: Served,
    subject: String,
    which: Option<String>,
    options: Options,
    body: Vec<u8>,
) -> Response {
    blocking(registry, move |store| {
        let asked = asked(&body)?;
        let which = which.map(|which| which.parse()).transpose()?;
        let reasons = decide::incompatibilities(&store.state(), &subject, &asked, which)?;
        let mut out = json!({"is_compatible": reasons.is_empty()});
        if options.verbose
            && let Value::Object(out) = &mut out
        {
            out.insert("messages".to_owned(), json!(reasons));
        }
        Ok(out)
    })
    .await
}
