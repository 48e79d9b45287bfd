//! The registry's seven levels say what Avro Java's answers on single pairs add up to.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use broker::memory::MemoryBroker;
use contract::avro::Schema;
use registry::Registry;
use schemas::Names;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::proof::random::Random;
use super::{judge, many, mutate, pairs, seed};

const LEVELS: [&str; 7] =
    ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"];

/// Two versions of a subject, and a third that somebody asks about.
fn triples(random: &mut Random, count: usize) -> Vec<[String; 3]> {
    let mut triples = Vec::new();
    while triples.len() < count {
        let (a, b) = pairs::pair(random);
        let mut c: Json = serde_json::from_str(&b).expect("JSON");
        mutate::mutate(&mut c, random);
        let triple = [a, b, c.to_string()];
        let whole: Vec<String> =
            triple.iter().filter_map(|text| Schema::parse(text).ok()).map(|schema| schema.normalized()).collect();
        // The same schema twice would be one version.
        if whole.len() == 3 && whole[0] != whole[1] {
            triples.push(triple);
        }
    }
    triples
}

async fn call(registry: &Arc<Registry>, method: &str, path: &str, body: Json) -> Json {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).expect("a request");
    let response = Arc::clone(registry).router().oneshot(request).await.expect("answers");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let answer: Json = serde_json::from_slice(&bytes).expect("JSON");
    assert!(status.is_success(), "{method} {path}: {status} {answer}");
    answer
}

/// What a level says, from what is read: by version, the older first, whether the new one reads it and whether
/// it reads the new one.
fn expected(level: &str, versions: [(bool, bool); 2]) -> bool {
    let asked = if level.ends_with("_TRANSITIVE") { &versions[..] } else { &versions[1..] };
    let backward = asked.iter().all(|(backward, _)| *backward);
    let forward = asked.iter().all(|(_, forward)| *forward);
    match level.split('_').next() {
        Some("BACKWARD") => backward,
        Some("FORWARD") => forward,
        Some("FULL") => backward && forward,
        _ => true,
    }
}

#[test]
fn every_level_is_what_avro_java_makes_of_it() {
    let mut random = Random::new(seed() ^ 0x7);
    let triples = triples(&mut random, many(150));
    let questions: Vec<Json> = triples
        .iter()
        .flat_map(|[a, b, c]| [judge::pair(c, a), judge::pair(a, c), judge::pair(c, b), judge::pair(b, c)])
        .collect();
    let answers = judge::answers(&questions);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let registry = Arc::new(Registry::open(MemoryBroker::new(), Names::default()).expect("opens"));
    let (mut asked, mut fit) = (0, 0);
    for (number, ([a, b, c], answers)) in triples.iter().zip(answers.chunks(4)).enumerate() {
        let says: Option<Vec<bool>> = answers.iter().map(|answer| answer["compatible"].as_bool()).collect();
        // Avro Java has no answer where a field could come from two.
        let Some(says) = says else { continue };
        let found: Vec<bool> = runtime.block_on(async {
            call(&registry, "PUT", &format!("/config/s{number}"), json!({"compatibility": "NONE"})).await;
            for text in [a, b] {
                call(&registry, "POST", &format!("/subjects/s{number}/versions"), json!({"schema": text})).await;
            }
            let mut found = Vec::new();
            for level in LEVELS {
                call(&registry, "PUT", &format!("/config/s{number}"), json!({"compatibility": level})).await;
                let path = format!("/compatibility/subjects/s{number}/versions");
                let answer = call(&registry, "POST", &path, json!({"schema": c})).await;
                found.push(answer["is_compatible"].as_bool().expect("says so"));
            }
            found
        });
        for (level, found) in LEVELS.into_iter().zip(found) {
            let expected = expected(level, [(says[0], says[1]), (says[2], says[3])]);
            assert_eq!(found, expected, "{level}\n  first {a}\n  second {b}\n  asked {c}");
            asked += 1;
            fit += usize::from(found);
        }
    }
    assert!(asked > triples.len() * 6 && fit > asked / 5 && fit < asked * 4 / 5, "{fit} of {asked}");
}
