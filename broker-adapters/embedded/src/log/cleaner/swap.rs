//! Puts a cleaned segment in the place of old ones so that a crash at any moment can be made good.
//!
//! The new file is written under a name that counts for nothing, then renamed to one that says which offsets it
//! covers: from that moment on it holds. What follows (removing the old files, giving it its final name) can be done
//! again at the next opening.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::super::error::LogError;
use super::super::segment::{INDEX, LOG, SNAPSHOT, TIME_INDEX, TRANSACTION_INDEX, file_of, remove};

/// A file that is not finished; dropped when the log is opened.
pub(crate) const CLEANED: &str = "cleaned";
const SWAP: &str = "swap";

pub(super) fn cleaned_path(dir: &Path, base: i64) -> PathBuf {
    file_of(dir, base, CLEANED)
}

fn swap_path(dir: &Path, base: i64, upper: i64) -> PathBuf {
    dir.join(format!("{base:020}-{upper:020}.{SWAP}"))
}

/// The offsets that a swap file covers.
pub(crate) fn parse_swap(path: &Path) -> Option<(i64, i64)> {
    let stem = path.file_stem()?.to_str()?;
    let (base, upper) = stem.split_once('-').filter(|_| path.extension().is_some_and(|extension| extension == SWAP))?;
    Some((base.parse().ok()?, upper.parse().ok()?))
}

/// Makes the cleaned file the one that holds for these offsets.
pub(super) fn commit(dir: &Path, base: i64, upper: i64) -> Result<(), LogError> {
    let cleaned = cleaned_path(dir, base);
    let renamed = fs::rename(&cleaned, swap_path(dir, base, upper)).and_then(|()| File::open(dir)?.sync_all());
    renamed.map_err(LogError::storage("rename", &cleaned))
}

/// Removes the segments that the swap file replaces, and gives it its final name.
pub(crate) fn finish_swap(dir: &Path, base: i64, upper: i64) -> Result<(), LogError> {
    let failed = || LogError::storage("replace segments in", dir);
    for entry in fs::read_dir(dir).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
        let Some(other) = stem.and_then(|stem| stem.parse::<i64>().ok()) else { continue };
        let extension = path.extension().and_then(|extension| extension.to_str());
        let goes = match extension {
            Some(INDEX | TIME_INDEX | TRANSACTION_INDEX) => (base..upper).contains(&other),
            // The first one's batches are replaced by the rename, and its snapshot still holds.
            Some(LOG | SNAPSHOT) => other > base && other < upper,
            _ => false,
        };
        if goes {
            remove(&path).map_err(failed())?;
        }
    }
    let renamed = fs::rename(swap_path(dir, base, upper), file_of(dir, base, LOG));
    renamed.and_then(|()| File::open(dir)?.sync_all()).map_err(failed())
}
