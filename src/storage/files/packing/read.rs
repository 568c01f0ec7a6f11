//! Reading a packed segment from any place of its text, past damage.

use std::io::{self, Read};
use std::sync::Arc;

use zstd::bulk::Decompressor;

use super::file::TextFile;
use super::format::{HEADER_LEN, Landmark, MAGIC, TRAILER_LEN, Table};
use super::parity::{mended_range, read_at};
use super::{narrow, wide};
use crate::seams::files::{ReadFile, Stat};
use crate::storage::files::reading::Source;

/// Bytes per read while a damaged file is searched for its other table.
const SEARCH_BYTES: usize = 1 << 20;

/// A packed segment with its table.
#[derive(Debug)]
pub(in crate::storage) struct Packed {
    pub(super) file: Box<dyn ReadFile>,
    pub(super) table: Arc<Table>,
}

/// What a compressed file turned out to be.
#[derive(Debug)]
pub(super) enum Opened {
    /// Packed here.
    Packed(Packed),
    /// Compressed by another program.
    Bare(Box<dyn ReadFile>),
    /// Packed here, and damaged so that no table is left.
    Bereft(Box<dyn ReadFile>),
}

pub(super) fn open(file: Box<dyn ReadFile>) -> io::Result<Opened> {
    let size = file.stat()?.size;
    if let Some(table) = last_table(&*file, size)? {
        let table = Arc::new(table);
        return Ok(Opened::Packed(Packed { file, table }));
    }
    Ok(match search(&*file, size)? {
        Found::Table(table) => Opened::Packed(Packed {
            file,
            table: Arc::new(table),
        }),
        Found::Traces => Opened::Bereft(file),
        Found::Nothing => Opened::Bare(file),
    })
}

/// The table at the end of the file, if it is whole.
fn last_table(file: &dyn ReadFile, size: u64) -> io::Result<Option<Table>> {
    let Some(at) = size.checked_sub(wide(TRAILER_LEN)) else {
        return Ok(None);
    };
    let trailer = read_at(file, at, TRAILER_LEN)?;
    let length = trailer.first_chunk().map_or(0, |n| u32::from_le_bytes(*n));
    let Some(start) = at.checked_sub(u64::from(length)) else {
        return Ok(None);
    };
    let head = read_at(file, start, MAGIC.len())?;
    if head != MAGIC {
        return Ok(None);
    }
    Ok(Table::decode(&read_at(
        file,
        start,
        narrow(u64::from(length))?,
    )?))
}

enum Found {
    Table(Table),
    /// The beginnings of tables, none of them whole.
    Traces,
    Nothing,
}

/// Looks through the whole file for a table that is whole.
fn search(file: &dyn ReadFile, size: u64) -> io::Result<Found> {
    let (mut at, mut found) = (0, Found::Nothing);
    while at < size {
        // Pieces overlap, so that no magic falls between two of them.
        let piece = read_at(file, at, SEARCH_BYTES + MAGIC.len())?;
        for hit in memchr::memmem::find_iter(&piece, MAGIC) {
            let start = at + wide(hit);
            let head = read_at(file, start, Table::head_len())?;
            let length = Table::len_by_head(&head).filter(|len| start + wide(*len) <= size);
            let table = match length {
                Some(length) => Table::decode(&read_at(file, start, length)?),
                None => None,
            };
            if let Some(table) = table.filter(|table| is_at(table, start)) {
                return Ok(Found::Table(table));
            }
            found = Found::Traces;
        }
        at += wide(SEARCH_BYTES);
    }
    Ok(found)
}

/// Whether a table stands where it says itself.
fn is_at(table: &Table, start: u64) -> bool {
    let before = wide(HEADER_LEN);
    start == table.frames_len + before || start == table.second_at() + before
}

impl Packed {
    /// The packed segment in `file`, if it has a table.
    pub(in crate::storage) fn open(file: Box<dyn ReadFile>) -> io::Result<Option<Self>> {
        Ok(match open(file)? {
            Opened::Packed(packed) => Some(packed),
            Opened::Bare(_) | Opened::Bereft(_) => None,
        })
    }

    /// Where each frame begins, in order.
    pub(in crate::storage) fn landmarks(&self) -> &[Landmark] {
        &self.table.frames
    }

    /// The text of frame `index`, and how many blocks had to be mended; `None` where it is lost.
    pub(super) fn frame(
        &self,
        index: usize,
        unpack: &mut Decompressor<'_>,
    ) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(start) = self.table.frames.get(index) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (packed_end, text_end) = self.table.end_of(index);
        let capacity = narrow(text_end - start.text_offset)?;
        let length = narrow(packed_end - start.packed_offset)?;
        let mut text = |bytes: &[u8]| {
            let text = unpack.decompress(bytes, capacity).ok()?;
            (text.len() == capacity).then_some(text)
        };
        let raw = read_at(&*self.file, start.packed_offset, length);
        if let Some(text) = raw.as_ref().ok().and_then(|raw| text(raw)) {
            return Ok(Some((text, 0)));
        }
        let mended = mended_range(&*self.file, &self.table, start.packed_offset, packed_end);
        if let Some((bytes, count)) = mended
            && let Some(text) = text(&bytes)
        {
            return Ok(Some((text, count)));
        }
        // A medium that does not give the bytes may give them the next time: that is no loss.
        raw.map(|_| None)
    }

    /// Bytes of the text.
    pub(super) fn text_len(&self) -> u64 {
        self.table.text_len
    }

    /// State of the packed file.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    /// The text as if it were a plain file.
    pub(in crate::storage) fn into_text(self) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(TextFile::of(self)?))
    }

    /// The frame that holds a byte of the text, and where in the text it begins.
    pub(super) fn frame_of(&self, offset: u64) -> Option<(usize, u64)> {
        let frames = &self.table.frames;
        let after = frames.partition_point(|frame| frame.text_offset <= offset);
        let frame = frames.get(after.checked_sub(1)?)?;
        (offset < self.table.text_len).then_some((after - 1, frame.text_offset))
    }

    /// The text of frame `index` and what had to be done for it. Where it is lost there are zeros
    /// in its place: what comes after keeps its place, and who looks for damage finds them.
    pub(super) fn frame_or_zeros(
        &self,
        index: usize,
        unpack: &mut Decompressor<'_>,
    ) -> io::Result<(Vec<u8>, Care)> {
        if let Some((text, mended)) = self.frame(index, unpack)? {
            let care = if mended > 0 { Care::Mended } else { Care::None };
            return Ok((text, care));
        }
        let start = self
            .table
            .frames
            .get(index)
            .map_or(0, |one| one.text_offset);
        let (_, end) = self.table.end_of(index);
        let mut zeros = vec![0; narrow(end - start)?];
        if let Some(last) = zeros.last_mut() {
            *last = b'\n';
        }
        Ok((zeros, Care::Lost))
    }

    /// The text from `offset` on.
    fn text_from(self, offset: u64) -> io::Result<Text> {
        if offset > self.table.text_len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (next, start) = self.frame_of(offset).unwrap_or_else(|| {
            // At the very end there is nothing to unpack.
            (self.table.frames.len(), offset)
        });
        Ok(Text {
            next,
            skip: narrow(offset - start)?,
            unpack: Decompressor::new()?,
            buffer: Vec::new(),
            at: 0,
            told: false,
            packed: self,
        })
    }
}

/// What had to be done to read a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    None,
    Mended,
    Lost,
}

/// The text of a packed segment, as it is read.
struct Text {
    packed: Packed,
    unpack: Decompressor<'static>,
    /// The frame to be unpacked next.
    next: usize,
    /// Bytes of that one that are not wanted.
    skip: usize,
    buffer: Vec<u8>,
    at: usize,
    /// Damage was told of: once a reading is enough.
    told: bool,
}

impl Text {
    fn fill(&mut self) -> io::Result<()> {
        self.at = 0;
        let frame = self.next;
        let (text, care) = self.packed.frame_or_zeros(frame, &mut self.unpack)?;
        self.buffer = text;
        if care != Care::None && !std::mem::replace(&mut self.told, true) {
            if care == Care::Mended {
                tracing::warn!(
                    frame,
                    "a packed segment is damaged, and read from its parity"
                );
            } else {
                tracing::error!(frame, "a packed segment is damaged beyond its parity");
            }
        }
        self.at = std::mem::take(&mut self.skip).min(self.buffer.len());
        self.next += 1;
        Ok(())
    }
}

impl Read for Text {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.buffer.len() {
            if self.next >= self.packed.table.frames.len() {
                return Ok(0);
            }
            self.fill()?;
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// Length and SHA-256 that the text of a packed segment must have, where a table is left.
pub(in crate::storage) fn text_facts(
    file: Box<dyn ReadFile>,
) -> io::Result<Option<(u64, [u8; 32])>> {
    Ok(match open(file)? {
        Opened::Packed(packed) => Some((packed.table.text_len, packed.table.text_sum)),
        Opened::Bare(_) | Opened::Bereft(_) => None,
    })
}

/// Bytes of a compressed file without a table, in order.
struct Bytes(Box<dyn ReadFile>);

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

/// What stands for the rest of a text that does not unpack: who looks for damage finds a zero.
const LOST_REST: &[u8] = b"\0\n";

/// The text of a compressed file without a table, up to where it is damaged.
struct Unpacked<R> {
    text: R,
    lost: &'static [u8],
    ended: bool,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.ended {
            match self.text.read(out) {
                Err(error)
                    if error.raw_os_error().is_none()
                        && error.kind() != io::ErrorKind::Interrupted =>
                {
                    tracing::error!(%error, "a compressed segment is damaged");
                    (self.ended, self.lost) = (true, LOST_REST);
                }
                outcome => return outcome,
            }
        }
        self.lost.read(out)
    }
}

/// The text of a compressed segment, past damage where parity gives it back.
pub fn text_of(file: Box<dyn ReadFile>) -> io::Result<Box<dyn Read + Send>> {
    open_text(file, 0)
}

/// The text of a compressed segment from `offset` on: straight from its place where there is a
/// table, else unpacked from the beginning.
pub(in crate::storage) fn open_text(file: Box<dyn ReadFile>, offset: u64) -> io::Result<Source> {
    let mut file = match open(file)? {
        Opened::Packed(packed) => return Ok(Box::new(packed.text_from(offset)?)),
        Opened::Bare(file) | Opened::Bereft(file) => file,
    };
    file.seek(0)?;
    let mut unpacked = Unpacked {
        text: zstd::stream::read::Decoder::new(Bytes(file))?,
        lost: b"",
        ended: false,
    };
    if offset > 0 {
        let skipped = io::copy(&mut unpacked.by_ref().take(offset), &mut io::sink())?;
        if skipped < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Box::new(unpacked))
}
