//! Walks the batches of a segment file one after the other, and finds the next good one behind damage.
//!
//! Reads in windows, and knows nothing of indexes or of what the batches mean.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::batch::{BatchHeader, HEADER_LEN, chunk, fits_place};

/// How much is read at once.
const WINDOW: u64 = 256 << 10;
/// How much a walk over headers reads at once.
const HEADER_WINDOW: u64 = 16 << 10;

/// What stands at a place in the file.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A batch whose CRC holds.
    Batch { position: u64, header: BatchHeader, bytes: &'a [u8] },
    /// No good batch begins here.
    Bad { position: u64, what: &'static str },
    /// The end.
    End,
}

/// A window over a file.
struct Window<'f> {
    file: &'f File,
    end: u64,
    bytes: Vec<u8>,
    from: u64,
}

impl<'f> Window<'f> {
    fn new(file: &'f File, end: u64) -> Self {
        Window { file, end, bytes: Vec::new(), from: 0 }
    }

    /// At least `needed` bytes at `position`, less only where the file ends before.
    fn at(&mut self, position: u64, needed: u64, ahead: u64) -> io::Result<&[u8]> {
        let available = self.end.saturating_sub(position);
        let needed = needed.min(available);
        let held = self.from + self.bytes.len() as u64;
        if position < self.from || position + needed > held {
            let length = needed.max(ahead).min(available);
            self.bytes.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
            self.from = position;
            let read = read_full(self.file, &mut self.bytes, position)?;
            self.bytes.truncate(read);
        }
        let skip = usize::try_from(position - self.from).map_err(io::Error::other)?;
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Goes over whole batches and checks each.
pub(crate) struct Scan<'f> {
    window: Window<'f>,
    position: u64,
    /// Where the next batch's offsets must begin at the earliest.
    expected: i64,
    /// The segment ends before this offset.
    limit: i64,
    /// Every offset must be there, except where damage was stepped over.
    contiguous: bool,
    behind_damage: bool,
}

impl<'f> Scan<'f> {
    /// From `position` on up to `end`. Offsets must lie in `expected..limit` and rise.
    pub(crate) fn new(file: &'f File, position: u64, end: u64, expected: i64, limit: i64) -> Self {
        let window = Window::new(file, end);
        Scan { window, position, expected, limit, contiguous: false, behind_damage: false }
    }

    /// Takes a gap for damage: nothing was compacted away here.
    pub(crate) fn contiguous(self, contiguous: bool) -> Self {
        Scan { contiguous, ..self }
    }

    /// The next offset after the good batches seen.
    pub(crate) fn expected(&self) -> i64 {
        self.expected
    }

    /// The next batch. After [`Step::Bad`] the scan stays where it is.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let position = self.position;
        if position >= self.window.end {
            return Ok(Step::End);
        }
        let left = self.window.end - position;
        let Some(header) = BatchHeader::parse(self.window.at(position, HEADER_LEN as u64, WINDOW)?) else {
            let what = if left < HEADER_LEN as u64 { "it ends within a header" } else { "no batch begins here" };
            return Ok(Step::Bad { position, what });
        };
        if header.size > left {
            return Ok(Step::Bad { position, what: "it ends within a batch" });
        }
        if header.base_offset < self.expected || header.last_offset() >= self.limit {
            return Ok(Step::Bad { position, what: "its offsets do not fit their place" });
        }
        let size = usize::try_from(header.size).map_err(io::Error::other)?;
        let held = self.window.at(position, header.size, WINDOW)?.get(..size);
        if !held.is_some_and(|bytes| header.crc_holds(bytes)) {
            return Ok(Step::Bad { position, what: "its CRC does not hold" });
        }
        if header.base_offset > self.expected {
            if self.contiguous && !self.behind_damage {
                return Ok(Step::Bad { position, what: "its offsets leave a gap" });
            }
            let behind = self.window.at(position + header.size, HEADER_LEN as u64, WINDOW)?;
            if fits_place(&header, self.expected, Some(behind)) == Some(false) {
                return Ok(Step::Bad { position, what: "its offsets contradict the next batch" });
            }
        }
        self.position = position + header.size;
        self.expected = header.next_offset();
        self.behind_damage = false;
        let bytes = self.window.at(position, header.size, WINDOW)?.get(..size).unwrap_or_default();
        Ok(Step::Batch { position, header, bytes })
    }

    /// Goes on to the next good batch behind damage, wherever it begins. Says whether there is one.
    pub(crate) fn resync(&mut self) -> io::Result<bool> {
        let mut position = self.position + 1;
        self.behind_damage = true;
        while position + (HEADER_LEN as u64) <= self.window.end {
            let found = {
                let bytes = self.window.at(position, HEADER_LEN as u64, WINDOW)?;
                candidate(bytes, self.expected, self.limit)
            };
            match found {
                Ok(skip) => {
                    let stay = std::mem::replace(&mut self.position, position + skip as u64);
                    if matches!(self.step()?, Step::Batch { .. }) {
                        // Stepped over it; go back to its beginning.
                        self.expected = i64::from_be_bytes(self.base_at(position + skip as u64)?);
                        self.position = position + skip as u64;
                        return Ok(true);
                    }
                    self.position = stay;
                    position += skip as u64 + 1;
                }
                Err(skip) => position += skip.max(1) as u64,
            }
        }
        Ok(false)
    }

    fn base_at(&mut self, position: u64) -> io::Result<[u8; 8]> {
        chunk(self.window.at(position, 8, WINDOW)?, 0).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The first place in the bytes at which a batch may begin, or how many bytes are ruled out.
fn candidate(bytes: &[u8], expected: i64, limit: i64) -> Result<usize, usize> {
    let places = (bytes.len() + 1).saturating_sub(HEADER_LEN);
    for place in 0..places {
        if bytes.get(place + 16) != Some(&2) {
            continue;
        }
        let header = bytes.get(place..).and_then(BatchHeader::parse);
        if header.is_some_and(|header| header.base_offset >= expected && header.last_offset() < limit) {
            return Ok(place);
        }
    }
    Err(places)
}

/// Goes over headers only; their batches are not read.
pub(crate) struct Headers<'f> {
    window: Window<'f>,
    position: u64,
}

impl<'f> Headers<'f> {
    /// From `position` on up to `end`.
    pub(crate) fn new(file: &'f File, position: u64, end: u64) -> Self {
        Headers { window: Window::new(file, end), position }
    }

    /// The next header and where it stands; an error with the position where none can be, `None` at the end.
    pub(crate) fn step(&mut self) -> io::Result<Option<Result<(u64, BatchHeader), u64>>> {
        let position = self.position;
        if position >= self.window.end {
            return Ok(None);
        }
        let left = self.window.end - position;
        let header = BatchHeader::parse(self.window.at(position, HEADER_LEN as u64, HEADER_WINDOW)?);
        match header.filter(|header| header.size <= left) {
            Some(header) => {
                self.position = position + header.size;
                Ok(Some(Ok((position, header))))
            }
            None => Ok(Some(Err(position))),
        }
    }
}
