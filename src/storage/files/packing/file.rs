//! The text of a packed segment as if it were a plain file: readable at any place, for whoever
//! searches by halves.

use std::io;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::Decompressor;

use super::read::Packed;
use super::{narrow, wide};
use crate::seams::files::{ReadFile, Stat};

/// The frame that was read last: a search looks at neighbours.
struct Near {
    frame: usize,
    text: Vec<u8>,
    unpack: Decompressor<'static>,
}

/// The text of a packed segment.
pub(super) struct TextFile {
    packed: Packed,
    near: Mutex<Near>,
    at: u64,
}

impl std::fmt::Debug for TextFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextFile")
            .field("packed", &self.packed)
            .finish_non_exhaustive()
    }
}

impl TextFile {
    pub(super) fn of(packed: Packed) -> io::Result<Self> {
        Ok(Self {
            packed,
            near: Mutex::new(Near {
                frame: usize::MAX,
                text: Vec::new(),
                unpack: Decompressor::new()?,
            }),
            at: 0,
        })
    }
}

impl ReadFile for TextFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(buffer, self.at)?;
        self.at += wide(read);
        Ok(read)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some((frame, start)) = self.packed.frame_of(offset) else {
            return Ok(0);
        };
        let mut near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
        if near.frame != frame {
            near.frame = usize::MAX;
            near.text = self.packed.frame_or_zeros(frame, &mut near.unpack)?.0;
            near.frame = frame;
        }
        let rest = near.text.get(narrow(offset - start)?..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset;
        Ok(())
    }

    fn stat(&self) -> io::Result<Stat> {
        let size = self.packed.text_len();
        Ok(Stat {
            size,
            ..self.packed.stat()?
        })
    }
}
