//! Contracts in a team's own repository: `contracts/<domain>/<product>/contract.odcs.yaml`, with the Avro
//! schema beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Contract;
use contract::odcs::{self, Mistake, Source};

/// The name that a contract's file ends in.
const CONTRACT: &str = ".odcs.yaml";
/// How deep below a given directory contracts are looked for.
const DEPTH: usize = 8;

/// A contract with where it came from.
#[derive(Debug, Clone)]
pub struct Sourced {
    /// Its file.
    pub file: PathBuf,
    /// The contract.
    pub contract: Arc<Contract>,
}

/// Everything below the given paths.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Contracts that are whole.
    pub contracts: Vec<Sourced>,
    /// Every mistake of the others.
    pub mistakes: Vec<Mistake>,
    /// What is understood but cannot be enforced, and the like.
    pub notes: Vec<Mistake>,
    /// Files and directories that could not be read, and why.
    pub unreadable: Vec<String>,
    /// Files that were looked at.
    pub files: usize,
}

/// Reads every contract at or below `paths`.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut files = Vec::new();
    for path in paths {
        find(path, DEPTH, &mut files, &mut loaded.unreadable);
    }
    files.sort();
    files.dedup();
    if files.is_empty() && loaded.unreadable.is_empty() {
        let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        loaded.unreadable.push(format!("no contract (*{CONTRACT}) at or below {}", places.join(", ")));
    }
    for file in files {
        loaded.files += 1;
        read(&file, &mut loaded);
    }
    loaded.twice();
    loaded
}

impl Loaded {
    /// Two files that describe the same major of a product cannot both be meant.
    fn twice(&mut self) {
        for (index, one) in self.contracts.iter().enumerate() {
            for other in &self.contracts[index + 1..] {
                let same = one.contract.product == other.contract.product
                    && one.contract.version.major == other.contract.version.major;
                if same {
                    self.unreadable.push(format!(
                        "{} and {} both describe {} {}; keep one of them",
                        one.file.display(),
                        other.file.display(),
                        one.contract.product,
                        one.contract.version.major()
                    ));
                }
            }
        }
    }

    /// Nothing stands in the way of a plan.
    pub fn is_whole(&self) -> bool {
        self.mistakes.is_empty() && self.unreadable.is_empty()
    }
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>, unreadable: &mut Vec<String>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            unreadable.push(format!("cannot read {}: {error}", path.display()));
            return;
        }
    };
    for entry in entries.flatten() {
        let below = entry.path();
        if below.is_dir() {
            if depth > 0 {
                find(&below, depth - 1, files, unreadable);
            }
        } else if below.file_name().is_some_and(|name| name.to_string_lossy().ends_with(CONTRACT)) {
            files.push(below);
        }
    }
}

fn read(file: &Path, loaded: &mut Loaded) {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            loaded.unreadable.push(format!("cannot read {}: {error}", file.display()));
            return;
        }
    };
    let name = file.display().to_string();
    let source = Source { file: &name, text: &text };
    let schema_file = match schema_beside(file, odcs::schema_file(&source)) {
        Ok(found) => found,
        Err(why) => {
            loaded.unreadable.push(why);
            return;
        }
    };
    let schema_text = match schema_file.as_ref().map(fs::read_to_string).transpose() {
        Ok(text) => text,
        Err(error) => {
            loaded.unreadable.push(format!("cannot read the schema of {name}: {error}"));
            return;
        }
    };
    let schema_name = schema_file.map(|file| file.display().to_string()).unwrap_or_default();
    let schema = schema_text.as_deref().map(|text| Source { file: &schema_name, text });
    match odcs::read(&source, schema.as_ref()) {
        Ok(read) => {
            loaded.notes.extend(read.notes);
            loaded.contracts.push(Sourced { file: file.to_owned(), contract: Arc::new(read.contract) });
        }
        Err(mistakes) => loaded.mistakes.extend(mistakes),
    }
}

/// The schema that the contract names, or the only one beside it.
fn schema_beside(file: &Path, named: Option<String>) -> Result<Option<PathBuf>, String> {
    let folder = file.parent().unwrap_or(Path::new("."));
    if let Some(named) = named {
        return Ok(Some(folder.join(named)));
    }
    let mut found: Vec<_> = fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "avsc"))
        .collect();
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        many => Err(format!(
            "{} has {many} Avro schemas beside it; name the one that is meant in weir.schema",
            file.display()
        )),
    }
}
