//! A registry of these tests' own, one thread that answers from a table, and what the adapter makes of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

type Respond = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

/// Answers every request on a loopback port for as long as the process lives.
struct Served {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Served {
    /// `respond` is given "METHOD path" and the head of the request.
    fn start(respond: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, respond): (_, Arc<Respond>) = (Arc::clone(&asked), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (count, respond) = (Arc::clone(&count), Arc::clone(&respond));
                std::thread::spawn(move || answer(&stream.expect("a connection"), &count, &*respond));
            }
        });
        Self { url, asked }
    }

    fn registry(&self) -> HttpRegistry {
        registry(&[&self.url])
    }
}

fn registry(urls: &[&str]) -> HttpRegistry {
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    HttpRegistry::new(RegistryAccess { urls, authorization: None }).expect("a client can be made")
}

fn answer(mut stream: &TcpStream, count: &AtomicUsize, respond: &Respond) {
    let mut lines = BufReader::new(stream);
    let (mut first, mut head, mut length) = (String::new(), String::new(), 0);
    lines.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a header");
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        length = line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().expect("a length"));
        head.push_str(&line);
    }
    lines.read_exact(&mut vec![0; length]).expect("a body");
    count.fetch_add(1, Ordering::Relaxed);
    let (status, body) = respond(first.trim_end_matches(" HTTP/1.1\r\n"), &head);
    // The other side may have had enough before the end.
    let _read = write!(
        stream,
        "HTTP/1.1 {status} X\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn said(code: u32) -> String {
    format!(r#"{{"error_code":{code},"message":"because"}}"#)
}

/// What comes of an answer, in one word and what is in it.
fn looked_up(status: u16, body: &str) -> String {
    let body = body.to_owned();
    let served = Served::start(move |_, _| (status, body.clone()));
    match served.registry().schema(SchemaId(7)) {
        Ok(Lookup::Avro(text)) => format!("avro {text}"),
        Ok(Lookup::OtherKind(kind)) => format!("other {kind}"),
        Ok(Lookup::TooLarge) => "too large".to_owned(),
        Ok(Lookup::Unknown) => "unknown".to_owned(),
        Err(weather) => format!("weather {}", weather.why),
    }
}

#[test]
fn an_id_is_unknown_only_where_the_registry_says_so_in_its_own_words() {
    assert_eq!(looked_up(200, r#"{"schema":"\"long\""}"#), r#"avro "long""#);
    assert_eq!(looked_up(200, r#"{"schema":"{}","schemaType":"JSON"}"#), "other JSON");
    assert_eq!(looked_up(200, r#"{"schema":"x","schemaType":"THRIFT"}"#), "other THRIFT");
    assert_eq!(looked_up(404, &said(40403)), "unknown");
    let large = format!(r#"{{"schema":"{}"}}"#, "x".repeat(5 << 20));
    assert_eq!(looked_up(200, &large), "too large");
    assert!(looked_up(500, &large).starts_with("weather "));
    let weather = [
        (404, said(404)),
        (404, said(40401)),
        (404, "{}".to_owned()),
        (404, "<html>no such page</html>".to_owned()),
        (401, said(40101)),
        (429, said(429)),
        (500, said(50001)),
        (500, said(40403)),
        (503, said(40403)),
        (502, "bad gateway".to_owned()),
        (200, "{}".to_owned()),
        (200, "[1]".to_owned()),
        (200, "<html>log in</html>".to_owned()),
    ];
    for (status, body) in weather {
        let outcome = looked_up(status, &body);
        assert!(outcome.starts_with("weather "), "{status} {body}: {outcome}");
    }
    assert!(looked_up(404, "<html>no such page</html>").contains("status 404 is not a registry's: <html>no such"));
}

#[test]
fn a_registration_is_incompatible_or_invalid_only_by_its_status() {
    let registered = |status, body: String| {
        let served = Served::start(move |_, _| (status, body.clone()));
        served.registry().register(&Subject::existing("a-value"), r#""long""#)
    };
    assert_eq!(registered(200, r#"{"id":5}"#.to_owned()), Ok(Registered::Id(SchemaId(5))));
    assert!(matches!(registered(409, said(409)), Ok(Registered::Incompatible(why)) if why.contains("because")));
    assert!(matches!(registered(409, "{}".to_owned()), Ok(Registered::Incompatible(_))));
    assert!(matches!(registered(422, said(42201)), Ok(Registered::Invalid(why)) if why.contains("because")));
    assert!(matches!(registered(422, said(422)), Ok(Registered::Invalid(_))));
    let weather =
        [(422, said(42205)), (404, said(404)), (500, said(42201)), (403, said(403)), (200, r#"{"ID":5}"#.to_owned())];
    for (status, body) in weather {
        assert!(registered(status, body.clone()).is_err(), "{status} {body}");
    }
}

#[test]
fn every_call_asks_the_path_of_the_api_with_the_subject_escaped() {
    let served = Served::start(|asked, _| {
        let subject = "/subjects/a%2Fb%20c-value/versions";
        let known = [
            (format!("POST {subject}"), r#"{"id":5}"#),
            (format!("GET {subject}/latest"), r#"{"id":6,"schema":"\"int\""}"#),
            (format!("POST /compatibility{subject}?verbose=true"), r#"{"is_compatible":false,"messages":["x","y"]}"#),
            ("GET /config/a%2Fb%20c-value".to_owned(), r#"{"compatibilityLevel":"FULL"}"#),
            ("PUT /config/a%2Fb%20c-value".to_owned(), r#"{"compatibility":"NONE"}"#),
            ("GET /schemas/types".to_owned(), r#"["AVRO"]"#),
        ];
        let found = known.iter().find(|(path, _)| path == asked);
        found.map_or_else(|| (404, said(404)), |(_, body)| (200, (*body).to_owned()))
    });
    let (registry, subject) = (served.registry(), Subject::existing("a/b c-value"));
    assert_eq!(registry.register(&subject, r#""int""#), Ok(Registered::Id(SchemaId(5))));
    assert_eq!(registry.latest(&subject), Ok(Some((SchemaId(6), r#""int""#.into()))));
    assert_eq!(registry.would_refuse(&subject, r#""int""#), Ok(Some("x; y".to_owned())));
    assert_eq!(registry.level(&subject), Ok(Some(CompatibilityLevel::Full)));
    assert_eq!(registry.set_level(&subject, CompatibilityLevel::None), Ok(()));
    assert_eq!(registry.ping(), Ok(()));
    assert_eq!(registry.clock(), Ok(Some(Timestamp(784_111_777_000))));
}

#[test]
fn a_subject_that_is_absent_is_no_error() {
    let served = Served::start(|_, _| (404, said(40401)));
    let (registry, subject) = (served.registry(), Subject::existing("a-value"));
    assert_eq!(registry.latest(&subject), Ok(None));
    assert_eq!(registry.level(&subject), Ok(None));
    assert_eq!(registry.would_refuse(&subject, r#""int""#), Ok(None));
    assert!(registry.set_level(&subject, CompatibilityLevel::Full).is_err());
}

#[test]
fn the_next_address_is_asked_where_one_does_not_serve_and_not_where_it_says_no() {
    let knows = || Served::start(|_, _| (200, r#"{"schema":"\"long\""}"#.to_owned()));
    let avro = Ok(Lookup::Avro(r#""long""#.into()));
    let (down, second) = (Served::start(|_, _| (503, said(503))), knows());
    assert_eq!(registry(&["http://127.0.0.1:1", &down.url, &second.url]).schema(SchemaId(1)), avro);
    let (unsure, second) = (Served::start(|_, _| (404, said(40403))), knows());
    assert_eq!(registry(&[&unsure.url, &second.url]).schema(SchemaId(1)), Ok(Lookup::Unknown));
    assert_eq!(second.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_known_schema_is_asked_for_once_and_the_memory_of_them_is_bounded() {
    let served = Served::start(|_, _| (200, r#"{"schema":"\"long\""}"#.to_owned()));
    let access = RegistryAccess { urls: vec![served.url.clone()], authorization: None };
    let registry = HttpRegistry::remembering(&access, 3).unwrap();
    let ask = |id| registry.schema(SchemaId(id)).map(|_| served.asked.load(Ordering::Relaxed));
    assert_eq!([1, 2, 3].map(ask), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!([3, 2, 1].map(ask), [Ok(3), Ok(3), Ok(3)], "all three are remembered");
    for id in 4..1_000 {
        ask(id).unwrap();
    }
    let known = registry.known.lock().unwrap();
    assert_eq!((known.schemas.len(), known.order.len()), (3, 3));
    drop(known);
    assert_eq!(ask(1), Ok(1_000), "what was remembered first was forgotten");
}

#[test]
fn what_is_unknown_is_never_remembered() {
    let served = Served::start(|_, _| (404, said(40403)));
    let registry = served.registry();
    for asked in 1..=3 {
        assert_eq!(registry.schema(SchemaId(1)), Ok(Lookup::Unknown));
        assert_eq!(served.asked.load(Ordering::Relaxed), asked);
    }
}

#[test]
fn an_answer_without_end_is_cut() {
    let served = Served::start(|_, _| (200, format!(r#"{{"schema":"{}"}}"#, "x".repeat(5_000_000))));
    assert_eq!(served.registry().schema(SchemaId(1)), Ok(Lookup::TooLarge));
    let why = served.registry().ping().unwrap_err().why;
    assert!(why.contains("larger than 4194304 bytes"), "{why}");
}

#[test]
fn every_call_is_authorized() {
    let served = Served::start(|asked, head| match head.contains("authorization: basic yw5uytp4") {
        true if asked.starts_with("GET /schemas/ids/1") => (200, r#"{"schema":"\"long\""}"#.to_owned()),
        true => (200, "[]".to_owned()),
        false => (401, said(40101)),
    });
    let access = |authorization: &str| RegistryAccess {
        urls: vec![served.url.clone()],
        authorization: Some(authorization.to_owned()),
    };
    let registry = HttpRegistry::new(access("Basic YW5uYTp4")).unwrap();
    assert!(registry.schema(SchemaId(1)).is_ok() && registry.ping().is_ok());
    assert!(HttpRegistry::new(access("Basic other")).unwrap().ping().is_err());
    assert!(HttpRegistry::new(access("Basic\n")).is_err(), "no header may hold a line break");
    assert!(HttpRegistry::new(RegistryAccess::default()).is_err(), "there must be an address");
}

#[test]
fn it_is_made_asked_and_dropped_on_a_thread_of_an_asynchronous_runtime() {
    let served = Served::start(|_, _| (200, "[]".to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let served = runtime.block_on(async move {
        let registry = served.registry();
        registry.ping()
    });
    assert_eq!(served, Ok(()));
}
