//! What must be remembered beside the logs, in one append-only file: topics, settings, producer ids, transactions,
//! groups. Each entry has a length and a checksum; when most of it is history, it is written anew and renamed.
//!
//! It knows how entries are kept, and nothing of what they mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Serialize, de::DeserializeOwned};

/// Length and CRC-32C before each entry.
const HEADER: usize = 8;
/// An entry is never longer; a longer length is damage.
const ENTRY_BYTES: usize = 64 * 1024 * 1024;
/// Behind damage, the next whole entry is looked for within this.
const RESYNC_WITHIN: usize = 1024 * 1024;
/// Below this, history is not worth a rewrite.
const REWRITE_FROM: u64 = 8 * 1024 * 1024;

/// What was found in the file that a broker before left.
pub(crate) struct Opened<E> {
    pub(crate) entries: Vec<E>,
    /// Bytes of a torn or damaged end that were cut.
    pub(crate) cut: u64,
    /// Bytes of damage before the end, with whole entries behind it; left out.
    pub(crate) damaged: u64,
}

/// The open file. Entries are in it, in the order of the calls, when [`Journal::append`] returns.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    len: u64,
    /// How long it was after the last rewrite.
    base: u64,
    dirty: bool,
    scratch: Vec<u8>,
}

impl Journal {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub(crate) fn open<E: DeserializeOwned>(path: &Path) -> io::Result<(Self, Opened<E>)> {
        let new = !path.exists();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if new {
            // What is flushed later is of no use in a file whose name is lost with the power.
            sync_parent(path)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (entries, whole, damaged) = entries(&bytes);
        let cut = (bytes.len() - whole) as u64;
        if cut > 0 {
            file.set_len(whole as u64)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        let inner = Inner { file, len: whole as u64, base: whole as u64, dirty: false, scratch: Vec::new() };
        Ok((Self { path: path.to_owned(), inner: Mutex::new(inner) }, Opened { entries, cut, damaged: damaged as u64 }))
    }

    /// Writes these entries, all or none.
    ///
    /// # Errors
    /// They are not written; the file is as before.
    pub(crate) fn append<E: Serialize>(&self, entries: &[E]) -> io::Result<()> {
        let mut inner = self.lock();
        let mut bytes = std::mem::take(&mut inner.scratch);
        bytes.clear();
        for entry in entries {
            frame(entry, &mut bytes)?;
        }
        let written = inner.file.write_all(&bytes);
        let added = bytes.len() as u64;
        inner.scratch = bytes;
        if let Err(error) = written {
            // A part of an entry may be there, for instance on a full disk.
            let len = inner.len;
            inner.file.set_len(len)?;
            inner.file.seek(SeekFrom::Start(len))?;
            return Err(error);
        }
        inner.len += added;
        inner.dirty = true;
        Ok(())
    }

    /// How long the file is.
    pub(crate) fn len(&self) -> u64 {
        self.lock().len
    }

    /// Whether it is mostly history.
    pub(crate) fn wants_rewrite(&self) -> bool {
        let inner = self.lock();
        inner.len > REWRITE_FROM && inner.len / 2 > inner.base
    }

    /// Puts the state in the place of its history. `state` is asked for while others go on; what they append
    /// meanwhile is kept behind it, so an entry may say again what the state already has.
    ///
    /// # Errors
    /// The new file cannot be written; the old one stays.
    pub(crate) fn rewrite<E: Serialize>(&self, state: impl FnOnce() -> Vec<E>) -> io::Result<()> {
        let from = self.lock().len;
        let mut bytes = Vec::new();
        for entry in state() {
            frame(&entry, &mut bytes)?;
        }
        let base = bytes.len() as u64;
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
        let mut inner = self.lock();
        inner.file.seek(SeekFrom::Start(from))?;
        let read = inner.file.read_to_end(&mut bytes);
        inner.file.seek(SeekFrom::End(0))?;
        read?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_parent(&self.path)?;
        *inner = Inner { file, len: bytes.len() as u64, base, dirty: false, scratch: Vec::new() };
        Ok(())
    }

    /// Has the disk keep what was written.
    ///
    /// # Errors
    /// The disk does not say that it has.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let file = {
            let mut inner = self.lock();
            if !std::mem::take(&mut inner.dirty) {
                return Ok(());
            }
            inner.file.try_clone()?
        };
        file.sync_data()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn frame<E: Serialize>(entry: &E, bytes: &mut Vec<u8>) -> io::Result<()> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEADER]);
    postcard::to_io(entry, &mut *bytes).map_err(io::Error::other)?;
    let body = bytes.get(start + HEADER..).unwrap_or_default();
    let (len, crc) = (body.len(), crc32c::crc32c(body));
    let len = u32::try_from(len).ok().filter(|len| *len as usize <= ENTRY_BYTES);
    let len = len.ok_or_else(|| io::Error::other("an entry of the journal is too long"))?;
    if let Some(header) = bytes.get_mut(start..start + HEADER) {
        header[..4].copy_from_slice(&len.to_le_bytes());
        header[4..].copy_from_slice(&crc.to_le_bytes());
    }
    Ok(())
}

/// The whole entries, where the last of them ends, and how many bytes before that are damaged.
fn entries<E: DeserializeOwned>(bytes: &[u8]) -> (Vec<E>, usize, usize) {
    let (mut found, mut at, mut damaged) = (Vec::new(), 0, 0);
    while let Some(start) = (at..bytes.len().min(at + RESYNC_WITHIN)).find(|start| body(bytes, *start).is_some()) {
        let Some((body, end)) = body(bytes, start) else { break };
        let Ok(entry) = postcard::from_bytes(body) else { break };
        damaged += start - at;
        found.push(entry);
        at = end;
    }
    (found, at, damaged)
}

/// The whole entries, whatever stands between them.
pub(crate) fn whole<E: DeserializeOwned>(bytes: &[u8]) -> Vec<E> {
    entries(bytes).0
}

/// Where the first torn or damaged entry begins.
pub(crate) fn damage<E: DeserializeOwned>(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        let (body, end) = match body(bytes, at) {
            Some(found) => found,
            None => return Some(at),
        };
        if postcard::from_bytes::<E>(body).is_err() {
            return Some(at);
        }
        at = end;
    }
    None
}

fn body(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (len, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..u32::from_le_bytes(*len) as usize).filter(|body| !body.is_empty())?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some((body, at + HEADER + body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> (Vec<String>, u64) {
        let (_, opened) = Journal::open::<String>(path).unwrap();
        (opened.entries, opened.cut)
    }

    #[test]
    fn entries_come_back_in_order_and_a_torn_end_is_cut() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (journal, opened) = Journal::open::<String>(&path).unwrap();
        assert!(opened.entries.is_empty());
        journal.append(&["one", "two"]).unwrap();
        journal.append(&["three"]).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let third = whole.len() - (HEADER + 6);
        for len in third + 1..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(read(&path), (vec!["one".to_owned(), "two".to_owned()], (len - third) as u64));
            assert_eq!(fs::metadata(&path).unwrap().len(), third as u64, "cut where the second ends");
        }
        let mut flipped = whole.clone();
        flipped[third + HEADER + 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(read(&path).0.len(), 2);
    }

    #[test]
    fn damage_in_the_middle_takes_one_entry_and_is_said() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (journal, _) = Journal::open::<String>(&path).unwrap();
        journal.append(&["one", "two", "three"]).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let (second, third) = (HEADER + 4, 2 * (HEADER + 4));
        for at in second..third {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x40;
            fs::write(&path, &flipped).unwrap();
            let (_, opened) = Journal::open::<String>(&path).unwrap();
            assert_eq!(opened.entries, ["one", "three"], "byte {at}");
            assert_eq!((opened.cut, opened.damaged), (0, (third - second) as u64));
        }
    }

    #[test]
    fn a_rewrite_forgets_history_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (journal, _) = Journal::open::<String>(&path).unwrap();
        let long = "x".repeat(64 * 1024);
        while !journal.wants_rewrite() {
            journal.append(&[&long]).unwrap();
        }
        let meanwhile = || {
            journal.append(&["meanwhile"]).unwrap();
            vec!["what counts"]
        };
        journal.rewrite(meanwhile).unwrap();
        assert!(!journal.wants_rewrite());
        journal.append(&["afterwards"]).unwrap();
        journal.flush().unwrap();
        drop(journal);
        assert_eq!(read(&path).0, ["what counts", "meanwhile", "afterwards"]);
    }
}
