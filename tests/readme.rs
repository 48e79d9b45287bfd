//! The consumers that the documents show: each reads committed, works as it stands, and would see records of an
//! aborted transaction if it did not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::backbone::Backbone;
use crate::clients::{java, readings};
use crate::sandbox::{oracle, python, root, run};

/// How many readings are published.
const COUNT: usize = 1_200;

/// A fenced block of a document.
pub(crate) struct Snippet {
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn snippets(document: &Path) -> Vec<Snippet> {
    let text = fs::read_to_string(document).unwrap_or_else(|e| panic!("{}: {e}", document.display()));
    let mut found = Vec::new();
    let mut open: Option<Snippet> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some(Snippet { language: language.to_owned(), text: String::new() }),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(snippet)) => {
                snippet.text.push_str(line);
                snippet.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Whether it shows a consumer.
fn consumes(snippet: &Snippet) -> bool {
    ["Consumer(", "Consumer<", "consumer(", "kcat -C", "kcat -b", "console-consumer"]
        .iter()
        .any(|sign| snippet.text.contains(sign))
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    let guide = root().join("services/weir/guide");
    found.extend(fs::read_dir(guide).into_iter().flatten().map(|entry| entry.expect("a directory of ours").path()));
    found
}

#[test]
fn every_consumer_that_the_documents_show_reads_committed() {
    let all: Vec<Snippet> = documents().iter().flat_map(|document| snippets(document)).filter(consumes).collect();
    let languages: BTreeSet<&str> = all.iter().map(|snippet| snippet.language.as_str()).collect();
    assert_eq!(languages, BTreeSet::from(["java", "python", "sh"]));
    for snippet in all {
        assert!(snippet.text.contains("read_committed"), "{}", snippet.text);
    }
}

/// What a reader replaces with their own: the brokers, the topic, the group.
fn own(text: &str, backbone: &Backbone, group: &str) -> String {
    let topic = backbone.topic("meter.readings.v1");
    [("127.0.0.1:9092", backbone.brokers()), ("aviation.flights.v1", &topic), ("\"mine\"", group)]
        .iter()
        .fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// The keys that a snippet reads: as it stands, and then whatever shows what it gets until nothing comes for two
/// seconds.
fn keys_read(backbone: &Backbone, language: &str, text: &str) -> Vec<String> {
    let output = match language {
        "python" => {
            let rest = "\nimport time\nlast, quiet = time.monotonic(), 20\n\
                while time.monotonic() - last < quiet:\n    message = consumer.poll(0.2)\n    \
                if message is not None and not message.error():\n        \
                print(message.key().decode())\n        last, quiet = time.monotonic(), 2\nconsumer.close()\n";
            python(&format!("{text}{rest}"), &[])
        }
        "java" => {
            let source = format!(
                "import java.time.Duration;\nimport java.util.*;\nimport org.apache.kafka.clients.consumer.*;\n\
                 import org.apache.kafka.common.serialization.*;\n\
                 class Snippet {{\n public static void main(String[] args) {{\n{text}\
                 long last = System.nanoTime(), quiet = 20_000_000_000L;\n\
                 while (System.nanoTime() - last < quiet) {{\n\
                 for (var record : consumer.poll(Duration.ofMillis(200))) {{\n\
                 System.out.println(record.key());\n last = System.nanoTime();\n quiet = 2_000_000_000L;\n }}\n }}\n\
                 consumer.close();\n }}\n}}\n"
            );
            let file = backbone.scratch().join("Snippet.java");
            fs::write(&file, source).expect("room for a file");
            java(&file, &[])
        }
        "sh" => {
            let mut command = Command::new("sh");
            command.args(["-ec", text]);
            run(command, b"").ok()
        }
        other => panic!("a consumer in {other:?} is shown, and this test cannot run it"),
    };
    output.stdout.lines().map(|key| key.chars().take(8).collect()).collect()
}

#[test]
fn the_readmes_consumers_work_as_they_stand_and_this_is_why_they_read_committed() {
    let backbone = readings("readme");
    // All of it waits when the enforcer starts, so that one transaction has the good ones and the one that the
    // product topic refuses: it is aborted, and the good ones come again.
    oracle("produce_refused.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix(), &COUNT.to_string()]);
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    oracle("await_count.py", &[backbone.brokers(), &backbone.topic("meter.readings.v1"), &COUNT.to_string()]);
    enforcer.assert_untroubled();
    for (number, snippet) in snippets(&root().join("README.md")).iter().filter(|one| consumes(one)).enumerate() {
        let text = own(&snippet.text, &backbone, &format!("\"committed-{number}\""));
        let committed = keys_read(&backbone, &snippet.language, &text);
        let different: BTreeSet<&String> = committed.iter().collect();
        assert_eq!((committed.len(), different.len()), (COUNT, COUNT), "each once:\n{text}");
        let text = own(&snippet.text, &backbone, &format!("\"uncommitted-{number}\""));
        let uncommitted = keys_read(&backbone, &snippet.language, &text.replace("read_committed", "read_uncommitted"));
        assert!(uncommitted.len() > COUNT, "{} records with read_uncommitted:\n{text}", uncommitted.len());
    }
}
