//! The house in order: which crate may import which, who may name which library, what stands at the top,
//! how long a file gets. Reads files only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sandbox::root;

/// Which of our crates each crate may import. `weir` may import all, `tests` anything.
const ARROWS: [(&str, &[&str]); 14] = [
    ("schemas", &[]),
    ("broker", &["schemas"]),
    ("kafka", &["broker", "schemas"]),
    ("embedded", &["schemas"]),
    ("contract", &["schemas"]),
    ("files", &["contract", "schemas"]),
    ("runtime", &["broker", "schemas"]),
    ("registry", &["contract", "runtime", "broker", "schemas"]),
    ("enforcer", &["contract", "runtime", "broker", "schemas"]),
    ("views", &["contract", "runtime", "broker", "schemas"]),
    ("steward", &["contract", "broker", "schemas"]),
    ("portal", &["views", "steward", "contract", "runtime", "broker", "schemas"]),
    ("loadtest", &["peers", "kafka", "broker", "contract", "schemas"]),
    ("peers", &[]),
];

/// A library, and the places (a crate, or files by the end of their path) that may name it.
const ONLY: [(&str, &[&str]); 9] = [
    ("rdkafka", &["kafka", "peers"]),
    ("schema_registry_converter", &["kafka"]),
    ("sled", &["views/src/store.rs"]),
    ("axum", &["runtime", "portal", "registry"]),
    ("hyper", &["runtime", "portal", "registry"]),
    ("hyper_util", &["runtime", "portal", "registry"]),
    ("ureq", &["kafka", "portal", "weir"]),
    ("reqwest", &["kafka", "portal", "weir"]),
    ("metrics", &["telemetry.rs", "telemetry/mod.rs"]),
];

/// What may stand at the top, besides dotfiles and what a build leaves there.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "docker-compose.yml",
    "schemas",
    "broker-adapters",
    "services",
    "loadtest",
    "tests",
];

/// Names that say nothing.
const VAGUE: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "stuff"];

/// The longest a source file gets.
const MAX_LINES: usize = 600;

struct Member {
    name: String,
    dir: PathBuf,
    manifest: toml::Table,
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn manifest(dir: &Path) -> toml::Table {
    let path = dir.join("Cargo.toml");
    read(&path).parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn members() -> Vec<Member> {
    let workspace = manifest(root());
    let listed = workspace["workspace"]["members"].as_array().expect("workspace.members is a list");
    listed
        .iter()
        .map(|member| {
            let dir = root().join(member.as_str().expect("a member is a path"));
            let manifest = manifest(&dir);
            let name = manifest["package"]["name"].as_str().expect("package.name is text").to_owned();
            Member { name, dir, manifest }
        })
        .collect()
}

/// Every Rust file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("an entry of a directory").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a source that are not comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether a line of code names a library: as a path, in a `use`, or as an attribute's.
fn names(line: &str, library: &str) -> bool {
    line.match_indices(library).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + library.len()..];
        let begins = before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '/' | '"' | '-')));
        let used = line.trim_start().starts_with("use ") && after.starts_with([';', ' ', ',']);
        // Our own modules of the same name are reached through `crate::`, `self::` or `super::`.
        begins && (after.starts_with("::") || used)
    })
}

fn assert_none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_arrow_between_crates_is_in_the_table() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let members = members();
    let ours: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut broken = Vec::new();
    for member in &members {
        if member.name == "weir" || member.name == "tests" {
            continue;
        }
        let Some(may) = allowed.get(member.name.as_str()) else {
            broken.push(format!("{} is not in the table", member.name));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in member.manifest.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
                let name = dependency.0.as_str();
                if ours.contains(&name) && !may.contains(&name) {
                    broken.push(format!("{} -> {name} ({section})", member.name));
                }
            }
        }
    }
    assert_none("arrows that are not in the table", &broken);
}

#[test]
fn only_their_own_rooms_name_these_libraries() {
    let mut broken = Vec::new();
    for member in members().iter().filter(|member| member.name != "tests") {
        for path in sources(&member.dir.join("src")) {
            let text = read(&path);
            for (library, places) in ONLY {
                let home = places.iter().any(|place| *place == member.name || path.ends_with(place));
                if home || library == "metrics" && defines_module(&member.dir, "metrics") {
                    continue;
                }
                for (number, _) in code(&text).filter(|(_, line)| names(line, library)) {
                    broken.push(format!("{}:{number} names {library}", path.display()));
                }
            }
        }
    }
    assert_none("libraries outside their rooms", &broken);
}

/// Whether a crate has a module of its own with this name, which then is what its code means by it.
fn defines_module(dir: &Path, name: &str) -> bool {
    sources(&dir.join("src")).iter().any(|path| path.file_stem().is_some_and(|stem| stem == name))
}

#[test]
fn only_the_adapter_has_unsafe_code_and_in_one_room() {
    let keyword = concat!("un", "safe ");
    let room = root().join("broker-adapters/kafka/src/ffi");
    let mut broken = Vec::new();
    for member in members().iter().filter(|member| member.name != "tests") {
        for path in sources(&member.dir).into_iter().filter(|path| !path.starts_with(&room)) {
            if code(&read(&path)).any(|(_, line)| line.contains(keyword)) {
                broken.push(path.display().to_string());
            }
        }
    }
    assert_none("unsafe code outside of its room", &broken);
}

#[test]
fn nothing_new_stands_at_the_top() {
    let entries = fs::read_dir(root()).expect("the repository can be listed");
    let broken: Vec<String> = entries
        .map(|entry| entry.expect("an entry of a directory").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()))
        .collect();
    assert_none("entries at the top that are not in the table", &broken);
}

#[test]
fn files_stay_short_enough_to_be_read() {
    let mut broken = Vec::new();
    for member in members() {
        for path in sources(&member.dir) {
            let lines = read(&path).lines().count();
            if lines > MAX_LINES {
                broken.push(format!("{}: {lines} lines", path.display()));
            }
        }
    }
    assert_none("files that are too long", &broken);
}

#[test]
fn crates_and_modules_say_what_they_are() {
    let mut broken = Vec::new();
    for member in members() {
        let files = sources(&member.dir);
        let stems = files.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
        let dirs = files
            .iter()
            .filter_map(|path| path.parent()?.strip_prefix(&member.dir).ok())
            .flat_map(|dir| dir.components())
            .map(|part| part.as_os_str().to_string_lossy().into_owned());
        let vague = |name: &String| VAGUE.contains(&name.as_str());
        broken.extend(
            stems.chain(dirs).chain([member.name.clone()]).filter(vague).map(|n| format!("{}: {n}", member.name)),
        );
    }
    assert_none("names that say nothing", &broken);
}

#[test]
fn every_module_begins_with_what_it_does() {
    let mut broken = Vec::new();
    for member in members() {
        for path in sources(&member.dir) {
            if !read(&path).starts_with("//!") {
                broken.push(path.display().to_string());
            }
        }
    }
    assert_none("files that do not open with //!", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let mut broken = Vec::new();
    for member in members() {
        for path in sources(&member.dir) {
            for (number, line) in (1..).zip(read(&path).lines()) {
                if marks.iter().any(|mark| line.contains(mark)) {
                    broken.push(format!("{}:{number}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert_none("left for later", &broken);
}
