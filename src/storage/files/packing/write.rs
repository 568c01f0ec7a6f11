//! Making a packed segment, frame by frame, and reading it back before anybody relies on it.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::check::check;
use super::format::{Landmark, Table, header, skippable};
use super::parity::work_out;
use super::read::{Opened, open, open_text};
use super::{FRAME_BYTES, wide};
use crate::seams::files::{AppendFile, Files, Make};
use crate::storage::files::reading::lines_of;
use crate::storage::files::segment::put_all;
use crate::storage::line::{self, ChainValue, GENESIS};

/// How hard zstd tries. Our own choice: with it the simulated year packs 10.7 GB into 1.5 GB at
/// 27 MB/s, reading back included, which is 2.5 s for a segment.
const LEVEL: i32 = 9;
/// Bytes per read when it is read back.
const READ_BYTES: usize = 256 << 10;

/// A packed segment under construction.
pub(in crate::storage) struct Packing {
    out: Box<dyn AppendFile>,
    pack: Compressor<'static>,
    written: u64,
    text_len: u64,
    text_sum: Sha256,
    frames: Vec<Landmark>,
    last_seq: u64,
    last_h: ChainValue,
    last_ts_ms: i64,
    unpacked: Vec<u8>,
}

/// What a packed segment must give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Facts {
    /// Bytes of its text.
    pub(in crate::storage) text_len: u64,
    /// SHA-256 of its text.
    pub(in crate::storage) text_sum: [u8; 32],
    /// `seq` of its last line of ours.
    pub(in crate::storage) last_seq: u64,
    /// Chain value of that line.
    pub(in crate::storage) last_h: ChainValue,
    /// Bytes of the packed file.
    pub(in crate::storage) packed_len: u64,
}

impl Packing {
    /// Begins a file at `path`, where nothing may be.
    pub(in crate::storage) fn begin(files: &dyn Files, path: &Path) -> io::Result<Self> {
        let mut pack = Compressor::new(LEVEL)?;
        pack.set_parameter(CParameter::ChecksumFlag(true))?;
        pack.set_parameter(CParameter::ContentSizeFlag(true))?;
        Ok(Self {
            out: files.open_append(path, Make::New)?,
            pack,
            written: 0,
            text_len: 0,
            text_sum: Sha256::new(),
            frames: Vec::new(),
            last_seq: 0,
            last_h: GENESIS,
            last_ts_ms: 0,
            unpacked: Vec::with_capacity(FRAME_BYTES),
        })
    }

    /// Takes whole lines; a frame is written whenever there are enough of them.
    pub(in crate::storage) fn take(&mut self, whole: &[u8]) -> io::Result<()> {
        for line in lines_of(whole) {
            if !self.unpacked.is_empty() && self.unpacked.len() + line.len() > FRAME_BYTES {
                self.frame()?;
            }
            self.unpacked.extend_from_slice(line);
        }
        Ok(())
    }

    /// Writes the lines that have gathered as one frame.
    fn frame(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.unpacked);
        if text.is_empty() {
            return Ok(());
        }
        let mut start = Landmark {
            packed_offset: self.written,
            text_offset: self.text_len,
            first_seq: self.last_seq + 1,
            first_ts_ms: self.last_ts_ms,
            lines: 0,
        };
        for one in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(own) = line::parse(one.strip_suffix(b"\n").unwrap_or(one)) else {
                continue;
            };
            if start.lines == 0 {
                start.first_seq = own.seq;
                start.first_ts_ms = millis(own.ts).unwrap_or(self.last_ts_ms);
                self.last_ts_ms = start.first_ts_ms;
            }
            start.lines += 1;
            (self.last_seq, self.last_h) = (own.seq, own.h);
        }
        let packed = self.pack.compress(&text)?;
        put_all(&mut *self.out, &packed)?;
        self.written += wide(packed.len());
        self.text_len += wide(text.len());
        self.text_sum.update(&text);
        self.frames.push(start);
        self.unpacked = text;
        self.unpacked.clear();
        Ok(())
    }

    /// Ends the file with `tail`, what follows the last end of line of the text, and its tables;
    /// all of it is on the medium when this returns.
    pub(in crate::storage) fn finish(
        mut self,
        files: &dyn Files,
        path: &Path,
        tail: &[u8],
    ) -> io::Result<Facts> {
        self.unpacked.extend_from_slice(tail);
        self.frame()?;
        let written = files.open_read(path)?;
        let (blocks, parity_blocks, parity) = work_out(&*written, self.written)?;
        let table = Table {
            frames_len: self.written,
            text_len: self.text_len,
            text_sum: self.text_sum.finalize().into(),
            last_seq: self.last_seq,
            last_h: self.last_h,
            frames: self.frames,
            blocks,
            parity,
        };
        let encoded = skippable(&table.encode());
        put_all(&mut *self.out, &encoded)?;
        put_all(&mut *self.out, &header(parity_blocks.len()))?;
        put_all(&mut *self.out, &parity_blocks)?;
        put_all(&mut *self.out, &encoded)?;
        self.out.sync_data()?;
        Ok(Facts {
            text_len: table.text_len,
            text_sum: table.text_sum,
            last_seq: table.last_seq,
            last_h: table.last_h,
            packed_len: table.file_len(),
        })
    }
}

fn millis(ts: &[u8]) -> Option<i64> {
    let stamp = std::str::from_utf8(ts).ok()?;
    let at: chrono::DateTime<chrono::Utc> = stamp.parse().ok()?;
    Some(at.timestamp_millis())
}

impl Facts {
    /// Whether the packed file at `path` is whole and gives this text, read anew from its first
    /// byte to its last.
    pub(in crate::storage) fn hold(&self, files: &dyn Files, path: &Path) -> io::Result<bool> {
        let found = check(files.open_read(path)?)?;
        let size = files.stat(path)?.size;
        if size != self.packed_len || !found.is_empty() {
            return Ok(false);
        }
        let (length, sum) = text_sum(&mut open_text(files.open_read(path)?, 0)?)?;
        Ok((length, sum) == (self.text_len, self.text_sum))
    }

    /// What the table of the file at `path` says, where no part of the file is damaged.
    pub(in crate::storage) fn of(files: &dyn Files, path: &Path) -> io::Result<Option<Self>> {
        if !check(files.open_read(path)?)?.is_empty() {
            return Ok(None);
        }
        let Opened::Packed(packed) = open(files.open_read(path)?)? else {
            return Ok(None);
        };
        // A whole file that does not unpack was never a good one.
        let mut unpack = Decompressor::new()?;
        for index in 0..packed.table.frames.len() {
            if !matches!(packed.frame(index, &mut unpack)?, Some((_, 0))) {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            text_len: packed.table.text_len,
            text_sum: packed.table.text_sum,
            last_seq: packed.table.last_seq,
            last_h: packed.table.last_h,
            packed_len: packed.table.file_len(),
        }))
    }
}

/// Length and SHA-256 of a text.
pub(in crate::storage) fn text_sum(source: &mut dyn Read) -> io::Result<(u64, [u8; 32])> {
    let (mut sum, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((length, sum.finalize().into())),
            Ok(read) => {
                sum.update(buffer.get(..read).unwrap_or_default());
                length += wide(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
