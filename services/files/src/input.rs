//! Bytes of a file, whatever they are wrapped in: found out by their first bytes, unpacked, and turned into
//! UTF-8 where they are in another encoding. Knows nothing of records.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::Encoding;

use crate::{FileError, FileFormat};

/// How much of a file is looked at to find out what it is.
pub(crate) const HEAD_BYTES: usize = 4 << 10;

/// A stream of bytes that may go to another thread.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// A file that can be read from its start as often as it takes: a path, or what came from standard input,
/// kept in a temporary file that goes with it.
#[derive(Debug)]
pub struct Input {
    name: String,
    path: Option<PathBuf>,
    spooled: Option<File>,
    format: Option<FileFormat>,
    position: Arc<AtomicU64>,
}

impl Input {
    /// A file by its path; `-` is standard input, which is read to its end.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn new(path: &Path) -> Result<Self, FileError> {
        if path != Path::new("-") {
            return Ok(Self {
                name: path.display().to_string(),
                path: Some(path.to_owned()),
                spooled: None,
                format: FileFormat::of(path),
                position: Arc::default(),
            });
        }
        Self::spooled(&mut io::stdin().lock(), "standard input")
    }

    /// What `input` gives, to its end.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn spooled(input: &mut dyn Read, name: &str) -> Result<Self, FileError> {
        let mut spool = || {
            let mut file = tempfile::tempfile()?;
            io::copy(input, &mut file)?;
            Ok(file)
        };
        let file = spool().map_err(|error| FileError::Read { file: name.to_owned(), error })?;
        Ok(Self::kept(file, name.to_owned()))
    }

    /// A file without a path, to its end.
    pub(crate) fn kept(file: File, name: String) -> Self {
        Self { name, path: None, spooled: Some(file), format: None, position: Arc::default() }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has on disk; 0 where that is not known.
    pub fn size(&self) -> u64 {
        self.file().and_then(|file| file.metadata()).map_or(0, |about| about.len())
    }

    /// How many of them have been read since it was last opened.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Its format: what its name ends in, or else what its first bytes look like.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn format(&self) -> Result<FileFormat, FileError> {
        match self.format {
            Some(format) => Ok(format),
            None => Ok(FileFormat::sniff(&self.head(HEAD_BYTES)?)),
        }
    }

    /// The first bytes, unpacked.
    pub(crate) fn head(&self, most: usize) -> Result<Vec<u8>, FileError> {
        let mut head = Vec::new();
        self.unpacked()?.take(most as u64).read_to_end(&mut head).map_err(|error| self.fail(error))?;
        Ok(head)
    }

    /// Its bytes from the start, unpacked.
    pub(crate) fn unpacked(&self) -> Result<Bytes, FileError> {
        self.position.store(0, Ordering::Relaxed);
        let file = self.file().map_err(|error| self.fail(error))?;
        let counted = Counted { file, position: Arc::clone(&self.position) };
        unpack(Box::new(counted)).map_err(|error| self.fail(error))
    }

    /// The file itself, where its bytes are not packed; otherwise they are unpacked into one.
    pub(crate) fn seekable(&self) -> Result<File, FileError> {
        let mut head = Vec::new();
        let file = self.file().map_err(|error| self.fail(error))?;
        file.take(4).read_to_end(&mut head).map_err(|error| self.fail(error))?;
        if packing(&head).is_none() {
            return self.file().map_err(|error| self.fail(error));
        }
        let spool = |mut input: Bytes| {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut input, &mut file)?;
            Ok(file)
        };
        spool(self.unpacked()?).map_err(|error| self.fail(error))
    }

    fn file(&self) -> io::Result<File> {
        match (&self.path, &self.spooled) {
            (Some(path), _) => File::open(path),
            (None, Some(file)) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Ok(file)
            }
            (None, None) => Err(io::Error::other("there is no file")),
        }
    }

    fn fail(&self, error: io::Error) -> FileError {
        FileError::Read { file: self.name.clone(), error }
    }
}

/// Says how far it was read.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[derive(Debug, Clone, Copy)]
enum Packing {
    Gzip,
    Zstd,
}

fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        _ => None,
    }
}

/// The mark that UTF-8 begins with, where it does.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes, and what follows them.
fn split(mut input: Bytes, most: usize) -> io::Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    (&mut input).take(most as u64).read_to_end(&mut head)?;
    Ok((head, input))
}

/// The first bytes, and all bytes with those before them again.
fn peek(input: Bytes, most: usize) -> io::Result<(Vec<u8>, Bytes)> {
    let (head, input) = split(input, most)?;
    let again = Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(again)))
}

/// What gzip or zstd packed, or else the bytes as they are.
pub(crate) fn unpack(input: Bytes) -> io::Result<Bytes> {
    let (head, input) = peek(input, 4)?;
    Ok(match packing(&head) {
        Some(Packing::Gzip) => {
            Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, input)))
        }
        Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::new(input)?),
        None => input,
    })
}

/// The bytes as UTF-8: from the named encoding, or from UTF-16 where a byte order mark says so. A name that
/// no encoding has changes nothing.
pub(crate) fn decoded(input: Bytes, encoding: Option<&str>) -> io::Result<Bytes> {
    let (head, input) = peek(input, 3)?;
    let marked = Encoding::for_bom(&head).map(|(encoding, _)| encoding);
    let named = encoding.and_then(|name| Encoding::for_label(name.as_bytes()));
    if head == UTF8_MARK {
        // The mark is no part of the first name; a reader that were given it alone would see the end of a file.
        let (_, rest) = split(input, UTF8_MARK.len())?;
        return Ok(rest);
    }
    let encoding = marked.or(named).filter(|encoding| *encoding != encoding_rs::UTF_8);
    Ok(match encoding {
        Some(encoding) => {
            Box::new(encoding_rs_io::DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(input))
        }
        None => input,
    })
}
