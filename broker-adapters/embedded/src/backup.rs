//! A copy of the data directory as it is at one moment, also while a broker runs on it.
//!
//! Who makes the copy puts a request into the directory. The broker, which sees it within seconds,
//! stops transactions for a moment, and links every file into a directory of its own beside a list of how long each
//! was; what is appended afterwards is behind that length, and what is removed stays linked. The copy is then made
//! at leisure from the links.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::directory::{Directory, DirectoryError};
use crate::parts::Parts;

/// A broker answers within this, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Names of requests, and of directories with links.
const REQUEST: &str = ".backup-request-";
const LINKS: &str = ".backup-links-";
/// In a directory with links: the lengths, and what is not a file name.
const LIST: &str = ".list";

/// Why a copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory is not a broker's, or of a newer release.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The place for the copy has something in it.
    #[error("{} is not empty; name an empty directory, or one that does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// The copy would lie in what is copied.
    #[error("cannot copy into {}: it lies in the data directory itself; name a place outside of it", .0.display())]
    Inside(PathBuf),
    /// The broker that runs on the directory did not answer.
    #[error("the broker on {} did not answer within a minute; is its process well?", .0.display())]
    NoAnswer(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot copy {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A broker was running on the directory.
    pub running: bool,
}

/// Copies the data directory `data` to `to`, which a broker can then be started on.
///
/// # Errors
/// See [`BackupError`]; what is at `to` is then no backup.
pub fn backup(data: &Path, to: &Path) -> Result<Copied, BackupError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    let place = || {
        let (data, place) = (fs::canonicalize(data).map_err(io(data))?, std::path::absolute(to).map_err(io(to))?);
        if place.starts_with(&data) || fs::canonicalize(to).is_ok_and(|place| place.starts_with(&data)) {
            return Err(BackupError::Inside(to.to_owned()));
        }
        fs::create_dir_all(to).map_err(io(to))?;
        match fs::read_dir(to).map_err(io(to))?.next() {
            Some(_) => Err(BackupError::NotEmpty(to.to_owned())),
            None => Ok(()),
        }
    };
    match Directory::take_existing(data) {
        Ok(held) => {
            place()?;
            let files = list(held.path()).map_err(io(data))?;
            copy(data, to, &files).map_err(|(path, source)| BackupError::Io { path, source })
        }
        Err(DirectoryError::InUse(_)) => {
            place()?;
            let links = ask(data)?;
            let files = read_list(&links).map_err(io(&links))?;
            let copied = copy(&links, to, &files).map_err(|(path, source)| BackupError::Io { path, source });
            fs::remove_dir_all(&links).map_err(io(&links))?;
            Ok(Copied { running: true, ..copied? })
        }
        Err(error) => Err(error.into()),
    }
}

/// A file below the data directory, and how much of it counts.
type Listed = (PathBuf, u64);

/// Asks the broker for links; gives back where they are.
fn ask(data: &Path) -> Result<PathBuf, BackupError> {
    let id = Uuid::new_v4().simple().to_string();
    let (request, links) = (data.join(format!("{REQUEST}{id}")), data.join(format!("{LINKS}{id}")));
    File::create(&request).map_err(|source| BackupError::Io { path: request.clone(), source })?;
    let deadline = Instant::now() + PATIENCE;
    while !links.join(LIST).exists() {
        if Instant::now() > deadline {
            let _nobody_waits_for_it = fs::remove_file(&request);
            return Err(BackupError::NoAnswer(data.to_owned()));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(links)
}

/// Answers what is asked for in the data directory. Called where no segment is removed or compacted meanwhile.
pub(crate) fn answer(shared: &Arc<Parts>) -> io::Result<()> {
    let data = shared.directory.path();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix(REQUEST) else { continue };
        let links = data.join(format!("{LINKS}{id}"));
        fs::remove_file(entry.path())?;
        shared.transactions.frozen(|| link(shared, &links))?;
        tracing::info!("the files are linked for a backup");
    }
    Ok(())
}

/// What a backup that was cut short left behind.
pub(crate) fn sweep(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(REQUEST) {
            let _tried_at_the_next_start = fs::remove_file(entry.path());
        } else if name.starts_with(LINKS) {
            let _tried_at_the_next_start = fs::remove_dir_all(entry.path());
        }
    }
}

fn link(shared: &Arc<Parts>, links: &Path) -> io::Result<()> {
    let data = shared.directory.path();
    fs::create_dir(links)?;
    // The journal first: what it says of a log, the log already has.
    let journal = shared.remembered.journal.len();
    let mut files = list(data)?;
    let mut text = String::new();
    for (file, length) in &mut files {
        if file.as_os_str() == "journal" {
            *length = (*length).min(journal);
        }
        let target = links.join(&*file);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::hard_link(data.join(&*file), &target) {
            Ok(()) => text.push_str(&format!("{length} {}\n", file.display())),
            // Deleted since it was listed, with its records.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let new = links.join(".list.new");
    fs::write(&new, text)?;
    fs::rename(new, links.join(LIST))
}

/// The files that make up a data directory, with their lengths; what is hidden or the lock is not of it.
fn list(data: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        let text = name.to_string_lossy();
        if text.starts_with('.') || matches!(&*text, "lock" | "journal.new" | "format.new") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                files.push((name.join(inner.file_name()), inner.metadata()?.len()));
            }
        } else {
            files.push((name, entry.metadata()?.len()));
        }
    }
    Ok(files)
}

fn read_list(links: &Path) -> io::Result<Vec<Listed>> {
    let text = fs::read_to_string(links.join(LIST))?;
    let one = |line: &str| {
        let (length, file) = line.split_once(' ')?;
        Some((PathBuf::from(file), length.parse().ok()?))
    };
    text.lines().map(|line| one(line).ok_or_else(|| io::Error::other("the list of files is damaged"))).collect()
}

fn copy(from: &Path, to: &Path, files: &[Listed]) -> Result<Copied, (PathBuf, io::Error)> {
    let mut copied = Copied { files: 0, bytes: 0, running: false };
    for (file, length) in files {
        let (source, target) = (from.join(file), to.join(file));
        let bytes = copy_one(&source, &target, *length).map_err(|error| (source, error))?;
        copied.files += 1;
        copied.bytes += bytes;
    }
    File::open(to).and_then(|directory| directory.sync_all()).map_err(|error| (to.to_owned(), error))?;
    Ok(copied)
}

fn copy_one(source: &Path, target: &Path, length: u64) -> io::Result<u64> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut written = File::create(target)?;
    let bytes = io::copy(&mut File::open(source)?.take(length), &mut written)?;
    written.flush()?;
    written.sync_all()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Broker, Settings};

    #[test]
    fn a_copy_never_lies_in_what_is_copied_nor_is_anything_made_where_there_is_no_broker() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        drop(Broker::open(Settings::new(data.clone(), "127.0.0.1", 9092)).unwrap());
        for inside in [data.clone(), data.join("copy"), data.join("a/b")] {
            assert!(matches!(backup(&data, &inside), Err(BackupError::Inside(_))), "{}", inside.display());
        }
        assert!(!data.join("copy").exists() && !data.join("a").exists());
        let copy = folder.path().join("copy");
        assert!(matches!(backup(&folder.path().join("nothing"), &copy), Err(BackupError::Directory(_))));
        assert!(!copy.exists(), "nothing was made");
        assert!(!backup(&data, &copy).unwrap().running);
    }
}
