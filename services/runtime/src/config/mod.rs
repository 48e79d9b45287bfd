//! Configuration in layers: defaults, below a TOML file, below the environment, below flags. Each key is
//! declared once, in a table; each value knows where it came from; and all mistakes are told at once.

mod file;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use value::{Kind, Value};

/// One setting, declared once.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file: `section.key`.
    pub name: &'static str,
    /// Its environment variable. A secret may also be given as `<env>_FILE`, the path of a file that holds
    /// it.
    pub env: &'static str,
    /// Its value when nobody says otherwise, as it would be written; `None` where it has none.
    pub default: Option<&'static str>,
    /// It is never shown.
    pub secret: bool,
    /// What it holds.
    pub kind: Kind,
    /// A sentence about it.
    pub doc: &'static str,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "${name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: `weir.toml:3`, `$WEIR_REGISTRY_LISTEN`, `--registry`.
    pub place: String,
    /// What is wrong and how to right it.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Every mistake in the configuration, in the order of its layers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "1 mistake" } else { &format!("{} mistakes", self.0.len()) };
        write!(f, "cannot start: {plural} in the configuration")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// A value given by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The key that it sets.
    pub key: &'static str,
    /// The flag, as a person writes it: `--registry`.
    pub flag: &'static str,
    /// What was given.
    pub value: String,
}

/// What the layers say, before it is read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file, if any: its path and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Variables that are not settings but are known all the same.
    pub known_env: &'static [&'static str],
    /// The flags that were given.
    pub flags: Vec<FlagValue>,
}

impl Sources {
    /// The process's environment.
    pub fn with_process_env(mut self) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        self.env = std::env::vars_os().filter_map(text).collect();
        self
    }
}

/// One setting as it stands.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its declaration.
    pub key: &'static Key,
    /// Its value; `None` where it has none.
    pub value: Option<Value>,
    /// Who said so.
    pub origin: Origin,
}

impl Entry {
    /// The value for people: a secret is told only to be there.
    pub fn shown(&self) -> String {
        match &self.value {
            None => String::new(),
            Some(_) if self.key.secret => "(set, not shown)".to_owned(),
            Some(value) => value.to_string(),
        }
    }
}

/// All settings, read and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    entries: BTreeMap<&'static str, Entry>,
    warnings: Vec<Mistake>,
}

impl Settings {
    /// Reads the layers.
    ///
    /// # Errors
    /// [`Mistakes`]: all of them. A variable that begins with `WEIR_` and is no setting is a warning only,
    /// because orchestrators add such variables of their own (a Kubernetes service named `weir` does).
    pub fn read(keys: &'static [Key], sources: &Sources) -> Result<Self, Mistakes> {
        match Self::gather(keys, sources) {
            (settings, mistakes) if mistakes.is_empty() => Ok(settings),
            (_, mistakes) => Err(Mistakes(mistakes)),
        }
    }

    /// The same where more mistakes are to be told with these: the settings that could be read, and what is wrong
    /// with the others.
    pub fn gather(keys: &'static [Key], sources: &Sources) -> (Self, Vec<Mistake>) {
        let mut reading = Reading { keys, entries: BTreeMap::new(), mistakes: Vec::new(), warnings: Vec::new() };
        reading.defaults();
        if let Some((path, text)) = &sources.file {
            reading.file(path, text);
        }
        reading.env(sources);
        for flag in &sources.flags {
            reading.flag(flag);
        }
        (Self { entries: reading.entries, warnings: reading.warnings }, reading.mistakes)
    }

    /// What is odd but no mistake.
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// Every setting, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The value of a key; `None` where it has none.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)?.value.as_ref()
    }

    /// Where a key's value came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        Some(&self.entries.get(name)?.origin)
    }

    /// A text, path, address or choice.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A count, or a number of bytes.
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Count(count) | Value::Bytes(count) => Some(*count),
            _ => None,
        }
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.get(name)? {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// A yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

struct Reading {
    keys: &'static [Key],
    entries: BTreeMap<&'static str, Entry>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

impl Reading {
    fn defaults(&mut self) {
        for key in self.keys {
            self.entries.insert(key.name, Entry { key, value: None, origin: Origin::Default });
            if let Some(text) = key.default {
                self.set(key, text, Origin::Default);
            }
        }
    }

    fn set(&mut self, key: &'static Key, text: &str, origin: Origin) {
        match key.kind.read(text) {
            Ok(value) => {
                self.entries.insert(key.name, Entry { key, value: Some(value), origin });
            }
            Err(why) => {
                let given = if key.secret { "the value".to_owned() } else { format!("{text:?}") };
                self.mistake(origin.to_string(), format!("{} cannot be {given}: {why}", key.name));
            }
        }
    }

    fn mistake(&mut self, place: String, text: String) {
        self.mistakes.push(Mistake { place, text });
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn file(&mut self, path: &Path, text: &str) {
        let (found, broken) = file::read(text);
        for (line, why) in broken {
            self.mistake(format!("{}:{line}", path.display()), why);
        }
        for found in found {
            let origin = Origin::File { path: path.to_owned(), line: found.line };
            match (self.key(&found.name), found.text) {
                (Some(key), Some(text)) => self.set(key, &text, origin),
                (Some(key), None) => {
                    self.mistake(
                        origin.to_string(),
                        format!("{} cannot be {}: {}", key.name, found.what, key.kind.expects()),
                    );
                }
                (None, _) => {
                    let hint = nearest(&found.name, self.keys.iter().map(|key| key.name));
                    self.mistake(origin.to_string(), format!("there is no setting {}{hint}", found.name));
                }
            }
        }
    }

    fn env(&mut self, sources: &Sources) {
        let env: BTreeMap<&str, &str> =
            sources.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for key in self.keys {
            let by_file = format!("{}_FILE", key.env);
            let file = env.get(by_file.as_str()).filter(|_| key.secret);
            match (env.get(key.env), file) {
                (Some(_), Some(_)) => {
                    self.mistake(format!("${}", key.env), format!("{by_file} is set too; keep one of them"));
                }
                (Some(text), None) => self.set(key, text, Origin::Env(key.env.to_owned())),
                (None, Some(path)) => match std::fs::read_to_string(path) {
                    Ok(text) => self.set(key, text.trim_end_matches(['\r', '\n']), Origin::Env(by_file)),
                    Err(error) => self.mistake(format!("${by_file}"), format!("cannot read {path}: {error}")),
                },
                (None, None) => {}
            }
        }
        for name in env.keys().filter(|name| name.starts_with("WEIR_")) {
            let known = sources.known_env.contains(name)
                || self
                    .keys
                    .iter()
                    .any(|key| key.env == *name || key.secret && name.strip_suffix("_FILE") == Some(key.env));
            if !known {
                let hint = nearest(name, self.keys.iter().map(|key| key.env));
                self.warnings
                    .push(Mistake { place: format!("${name}"), text: format!("there is no such setting{hint}") });
            }
        }
    }

    fn flag(&mut self, flag: &FlagValue) {
        if let Some(key) = self.key(flag.key) {
            self.set(key, &flag.value, Origin::Flag(flag.flag));
        }
    }
}

/// "; did you mean x?" for the nearest name, where one is near.
fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let best = names.map(|name| (distance(given, name), name)).min();
    match best {
        Some((distance, name)) if distance <= given.chars().count() / 3 => format!("; did you mean {name}?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance, of texts up to 64 characters; longer ones are far from everything.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len() > 64 || right.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&right) {
            let cost = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = cost.min(*cell + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
