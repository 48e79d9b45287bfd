//! The one place where batches are written to a file.
//!
//! In tests the disk can be made to have so much room and no more; that fault is the only thing here that is not a
//! real file operation.

use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};

/// Writes batches.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    room: std::sync::Mutex<Option<u64>>,
}

impl Disk {
    /// Writes all slices at `position`, in one system call where the system takes them so.
    pub(crate) fn write(&self, mut file: &File, position: u64, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        file.seek(SeekFrom::Start(position))?;
        #[cfg(test)]
        self.take_room(file, slices)?;
        while !slices.is_empty() {
            match file.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Leaves room for so many bytes; `None` for as many as the real disk has.
    #[cfg(test)]
    pub(crate) fn set_room(&self, room: Option<u64>) {
        *self.room.lock().unwrap() = room;
    }

    /// Fails as a full disk does: after a part of the bytes.
    #[cfg(test)]
    fn take_room(&self, mut file: &File, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut room = self.room.lock().unwrap();
        let Some(left) = room.as_mut() else { return Ok(()) };
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        if all.len() as u64 <= *left {
            *left -= all.len() as u64;
            return Ok(());
        }
        file.write_all(&all[..*left as usize])?;
        *left = 0;
        Err(io::ErrorKind::StorageFull.into())
    }
}
