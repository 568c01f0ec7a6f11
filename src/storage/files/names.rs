//! Names of the files of a stream.
//!
//! `NAME.ndjson` is the active segment. A sealed one is `NAME.FIRST-LAST.ndjson`, both numbers with
//! 20 digits so that names sort as the lines do; compressed it ends in `.ndjson.zst`. After a
//! failed sync it is `NAME.FIRST-LAST.suspect.ndjson` (`.suspect2.` …): only its lines up to LAST
//! count, what follows was written again elsewhere. A torn tail is kept in `NAME.torn-SEQ`.

use std::path::{Path, PathBuf};

/// Longest name of a stream, in bytes. Source: rule H16 of the reliability reference.
const NAME_MAX: usize = 64;

/// Whether `name` may be a stream's: `^[a-z0-9][a-z0-9_-]{0,63}$`.
pub(in crate::storage) fn is_stream(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= NAME_MAX
        && name.as_bytes().first().is_some_and(plain)
        && name.bytes().all(|b| plain(&b) || b == b'_' || b == b'-')
}

/// A sealed segment, by its file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::storage) struct Sealed {
    /// `seq` of its first line.
    pub(in crate::storage) first: u64,
    /// `seq` of the last line that counts; less than `first` when none does.
    pub(in crate::storage) last: u64,
    /// Whether lines after `last` may be in it, which do not count.
    pub(in crate::storage) suspect: bool,
    /// Whether it is compressed.
    pub(in crate::storage) packed: bool,
    /// The file name.
    pub(in crate::storage) file: String,
}

/// The stream and, unless it is the active one, the segment that a file name stands for.
pub(in crate::storage) fn parse(file: &str) -> Option<(&str, Option<Sealed>)> {
    let (stream, rest) = file.split_once('.')?;
    if !is_stream(stream) {
        return None;
    }
    if rest == "ndjson" {
        return Some((stream, None));
    }
    let (range, kind) = rest.split_once('.')?;
    let (first, last) = range.split_once('-')?;
    let (suspect, packed) = match kind {
        "ndjson" => (false, false),
        "ndjson.zst" => (false, true),
        other => {
            let number = other.strip_prefix("suspect")?.strip_suffix(".ndjson")?;
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            (true, false)
        }
    };
    let sealed = Sealed {
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        suspect,
        packed,
        file: file.to_owned(),
    };
    Some((stream, Some(sealed)))
}

/// The active segment's path.
pub(in crate::storage) fn active(logs: &Path, stream: &str) -> PathBuf {
    logs.join(format!("{stream}.ndjson"))
}

/// A sealed segment's file name.
pub(in crate::storage) fn sealed(stream: &str, first: u64, last: u64) -> String {
    format!("{stream}.{first:020}-{last:020}.ndjson")
}

/// A suspect segment's file name; `attempt` counts from 1.
pub(in crate::storage) fn suspect(stream: &str, first: u64, last: u64, attempt: u32) -> String {
    let number = if attempt < 2 {
        String::new()
    } else {
        attempt.to_string()
    };
    format!("{stream}.{first:020}-{last:020}.suspect{number}.ndjson")
}

/// The name under which a torn tail is kept, which would have become line `seq`.
pub(in crate::storage) fn torn(stream: &str, seq: u64, attempt: u32) -> String {
    let number = if attempt < 2 {
        String::new()
    } else {
        format!("-{attempt}")
    };
    format!("{stream}.torn-{seq:020}{number}")
}

/// The streams that `files` belong to, sorted.
pub(in crate::storage) fn streams_among(files: &[String]) -> Vec<String> {
    let named = files.iter().filter_map(|file| parse(file));
    let mut found: Vec<String> = named.map(|(stream, _)| stream.to_owned()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The sealed segments of `stream` among `files`, in the order of their lines; where a plain and a
/// compressed form of one exist, the plain one.
pub(in crate::storage) fn segments_of(stream: &str, files: &[String]) -> Vec<Sealed> {
    let mut found: Vec<Sealed> = files
        .iter()
        .filter_map(|file| parse(file))
        .filter(|(name, _)| *name == stream)
        .filter_map(|(_, sealed)| sealed)
        .filter(|sealed| sealed.last >= sealed.first)
        .collect();
    found.sort();
    found.dedup_by(|later, earlier| (later.first, later.last) == (earlier.first, earlier.last));
    found
}
