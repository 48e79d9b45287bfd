//! Small files with a CRC: what producers have done up to an offset, and where the log starts.
//!
//! A snapshot also says where in the active segment its offset lies, so that opening reads on from there. Each file
//! is written beside its place and renamed, so that it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::batch::chunk;
use super::producers::{ProducerState, Producers, WrittenBatch};

const SNAPSHOT_MAGIC: &[u8; 8] = b"weirsnp1";
const CHECKPOINT_MAGIC: &[u8; 8] = b"weirchk1";
/// The file that holds the log start offset.
pub(crate) const CHECKPOINT_FILE: &str = "log-start";
/// A file that is not whole yet ends so.
pub(crate) const UNFINISHED: &str = "tmp";

/// Where a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// All batches before this offset are in it.
    pub(crate) offset: i64,
    /// The segment that was active.
    pub(crate) segment: i64,
    /// Where the offset lies in it.
    pub(crate) position: u64,
    /// How many entries its offset index, time index and transaction index had.
    pub(crate) entries: [u32; 3],
}

/// A snapshot that is not on disk yet.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) mark: Mark,
    pub(crate) bytes: Vec<u8>,
}

/// The last snapshot that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    /// Where its offset lies in the active segment; 0 if nothing of that is in it.
    pub(crate) position: u64,
    /// No segment begins at its offset, so that the next snapshot takes its place.
    pub(crate) passing: bool,
}

/// What must not be lost and cannot be read from the batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The log start offset.
    pub(crate) log_start: i64,
    /// Compaction has cleaned everything before this offset.
    pub(crate) clean_to: i64,
}

/// Writes a file whole: beside its place, then renamed. `sync` makes it outlast a power loss.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".");
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    if sync {
        file.sync_all()?;
    }
    fs::rename(&unfinished, path)
}

fn sealed(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 12);
    out.extend_from_slice(magic);
    out.extend_from_slice(&crc32c::crc32c(body).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn opened<'a>(magic: &[u8; 8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let body = bytes.get(12..)?;
    let whole = bytes.starts_with(magic) && u32::from_be_bytes(chunk(bytes, 8)?) == crc32c::crc32c(body);
    whole.then_some(body)
}

/// Takes fields from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

/// A snapshot's bytes.
pub(crate) fn encode_snapshot(mark: &Mark, producers: &Producers) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 + producers.len() * 160);
    body.extend_from_slice(&mark.offset.to_be_bytes());
    body.extend_from_slice(&mark.segment.to_be_bytes());
    body.extend_from_slice(&mark.position.to_be_bytes());
    mark.entries.iter().for_each(|count| body.extend_from_slice(&count.to_be_bytes()));
    body.extend_from_slice(&(producers.len() as u32).to_be_bytes());
    for (id, state) in producers.iter() {
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&state.epoch.to_be_bytes());
        body.extend_from_slice(&state.coordinator_epoch.to_be_bytes());
        let transaction_start = state.transaction_start.unwrap_or(-1);
        for field in [state.last_timestamp, state.seen_at, transaction_start, state.last_data_offset] {
            body.extend_from_slice(&field.to_be_bytes());
        }
        body.push(state.batches.len() as u8);
        for batch in &state.batches {
            body.extend_from_slice(&batch.first_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_sequence.to_be_bytes());
            for field in [batch.first_offset, batch.last_offset, batch.timestamp] {
                body.extend_from_slice(&field.to_be_bytes());
            }
        }
    }
    sealed(SNAPSHOT_MAGIC, &body)
}

/// Reads a snapshot; `None` where the bytes are not one.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Option<(Mark, Producers)> {
    let mut fields = Fields(opened(SNAPSHOT_MAGIC, bytes)?);
    let mark = Mark {
        offset: fields.i64()?,
        segment: fields.i64()?,
        position: fields.take().map(u64::from_be_bytes)?,
        entries: [fields.u32()?, fields.u32()?, fields.u32()?],
    };
    let mut producers = Producers::default();
    for _ in 0..fields.u32()? {
        let id = fields.i64()?;
        let epoch = fields.take().map(i16::from_be_bytes)?;
        let mut state = ProducerState {
            epoch,
            coordinator_epoch: fields.i32()?,
            last_timestamp: fields.i64()?,
            seen_at: fields.i64()?,
            transaction_start: fields.i64().map(|first| (first >= 0).then_some(first))?,
            last_data_offset: fields.i64()?,
            batches: Vec::new(),
        };
        let [batches] = fields.take()?;
        for _ in 0..batches {
            state.batches.push(WrittenBatch {
                first_sequence: fields.i32()?,
                last_sequence: fields.i32()?,
                first_offset: fields.i64()?,
                last_offset: fields.i64()?,
                timestamp: fields.i64()?,
            });
        }
        producers.put(id, state);
    }
    fields.0.is_empty().then_some((mark, producers))
}

impl Checkpoint {
    /// Writes it, to outlast a power loss.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut body = Vec::with_capacity(16);
        body.extend_from_slice(&self.log_start.to_be_bytes());
        body.extend_from_slice(&self.clean_to.to_be_bytes());
        write_whole(&dir.join(CHECKPOINT_FILE), &sealed(CHECKPOINT_MAGIC, &body), true)?;
        File::open(dir)?.sync_all()
    }

    /// Reads it: `Ok(None)` where there is none, and an error of kind `InvalidData` where it is damaged.
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Checkpoint>> {
        let bytes = match fs::read(dir.join(CHECKPOINT_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let fields = |bytes| {
            let mut fields = Fields(opened(CHECKPOINT_MAGIC, bytes)?);
            Some(Checkpoint { log_start: fields.i64()?, clean_to: fields.i64()? })
        };
        fields(&bytes).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its CRC does not hold"))
    }
}
