//! The data directory: held by one process, with a format version and the cluster's id.
//!
//! ```text
//! format          the format version and the cluster id
//! lock            held while a broker runs
//! journal         what must be remembered beside the logs
//! NAME-PARTITION  the log of a partition
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The format that this release writes.
pub const FORMAT_VERSION: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error("the data directory {} is in use by another broker; stop that one, or name another directory", .0.display())]
    InUse(PathBuf),
    /// A newer release wrote it.
    #[error(
        "the data directory {} has format {found}, and this release knows up to {FORMAT_VERSION}; use the release that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It has files, and is not a broker's.
    #[error("{} is not the data directory of a broker: {why}; name an empty directory or one of a broker", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Files cannot be read or written.
    #[error("cannot use the data directory {}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    cluster_id: String,
    /// The lock goes with the open file.
    _lock: File,
}

impl Directory {
    /// Takes the directory, and makes it where it is empty or missing.
    ///
    /// # Errors
    /// Another process has it, a newer release or somebody else wrote it, or it cannot be read or written.
    pub(crate) fn take(path: &Path) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let format = path.join("format");
        if !format.exists() && !only_ours(path).map_err(io)? {
            let why = "it has other files and none named format".to_owned();
            return Err(DirectoryError::Foreign { path: path.to_owned(), why });
        }
        let options = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = options.map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let cluster_id = if format.exists() { read(path, &format)? } else { write(path, &format).map_err(io)? };
        Ok(Self { path: path.to_owned(), cluster_id, _lock: lock })
    }

    /// Takes a directory that must be a broker's already.
    ///
    /// # Errors
    /// As [`Directory::take`], and there is none.
    pub(crate) fn take_existing(path: &Path) -> Result<Self, DirectoryError> {
        if !path.join("format").exists() {
            let why = "it has no file named format".to_owned();
            return Err(DirectoryError::Foreign { path: path.to_owned(), why });
        }
        Self::take(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directories of partitions.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub(crate) fn logs(&self) -> io::Result<Vec<PathBuf>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Hidden ones are on their way out, or a backup's.
            let hidden = matches!(entry.file_name().to_string_lossy().chars().next(), Some('.'));
            if !hidden && entry.file_name() != "lost+found" && entry.file_type()?.is_dir() {
                logs.push(entry.path());
            }
        }
        logs.sort();
        Ok(logs)
    }

    /// The id that clients see.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

/// Whether there is nothing but what an interrupted first start leaves.
fn only_ours(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if !matches!(entry?.file_name().to_str(), Some("lock" | "format.new" | "lost+found")) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(path: &Path, format: &Path) -> Result<String, DirectoryError> {
    let foreign = |why: String| DirectoryError::Foreign { path: path.to_owned(), why };
    let text = fs::read_to_string(format).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })?;
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version="));
    let version = version.and_then(|version| version.parse::<u32>().ok());
    let cluster = lines.next().and_then(|line| line.strip_prefix("cluster="));
    match (version, cluster) {
        (Some(found), _) if found > FORMAT_VERSION => Err(DirectoryError::Newer { path: path.to_owned(), found }),
        (Some(FORMAT_VERSION), Some(cluster)) if !cluster.is_empty() => Ok(cluster.to_owned()),
        (Some(found), _) if found < FORMAT_VERSION => Err(foreign(format!("no release wrote format {found}"))),
        _ => Err(foreign("the file format does not say version= and cluster=".to_owned())),
    }
}

fn write(path: &Path, format: &Path) -> io::Result<String> {
    // 22 characters, as Kafka's own cluster ids have.
    let cluster: String = Uuid::new_v4().simple().to_string().chars().take(22).collect();
    let new = path.join("format.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("version={FORMAT_VERSION}\ncluster={cluster}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, format)?;
    File::open(path)?.sync_all()?;
    // The directory may be new as well; who may not read what it is in has not made it.
    if let Some(parent) = path.parent()
        && let Ok(parent) = File::open(parent)
    {
        parent.sync_all()?;
    }
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_cluster_id_and_serves_one_process() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        let first = Directory::take(&path).unwrap();
        let id = first.cluster_id().to_owned();
        assert_eq!(id.len(), 22);
        let second = Directory::take(&path).unwrap_err();
        assert!(matches!(second, DirectoryError::InUse(_)), "{second}");
        drop(first);
        assert_eq!(Directory::take(&path).unwrap().cluster_id(), id);
    }

    #[test]
    fn what_a_newer_release_or_somebody_else_wrote_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("format"), "version=9\nsomething new").unwrap();
        let newer = Directory::take(place.path()).unwrap_err();
        assert!(newer.to_string().contains("has format 9"), "{newer}");
        fs::write(place.path().join("format"), "version=0\ncluster=x\n").unwrap();
        assert!(matches!(Directory::take(place.path()), Err(DirectoryError::Foreign { .. })));
        fs::write(place.path().join("format"), [0xff, 0xfe]).unwrap();
        assert!(Directory::take(place.path()).is_err());
        fs::remove_file(place.path().join("format")).unwrap();
        fs::write(place.path().join("holiday.jpg"), "").unwrap();
        let foreign = Directory::take(place.path()).unwrap_err();
        assert!(foreign.to_string().contains("is not the data directory of a broker"), "{foreign}");
    }

    #[test]
    fn a_first_start_that_was_interrupted_begins_again() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("format.new"), "vers").unwrap();
        fs::write(place.path().join("lock"), "").unwrap();
        assert!(Directory::take(place.path()).is_ok());
    }
}
