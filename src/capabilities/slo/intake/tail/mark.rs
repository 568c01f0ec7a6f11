//! How far a log has been read, in a form that outlives the process and the file's name.
//!
//! A file is known by its inode and by a fingerprint of the bytes before the place that was
//! reached. The inode alone does not do: it is given to another file once the first is gone, and it
//! stays the same when the file is cut and filled anew.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;

use crate::seams::files::Stat;

/// Bytes before the place reached that make the fingerprint: several lines, so that instants and
/// addresses are among them.
pub(super) const PRINT: usize = 1024;

/// Bytes that are enough to know a file by its content alone.
pub(super) const ENOUGH: usize = 32;

/// How far one file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes that are behind us: all lines before have been counted.
    pub offset: u64,
    /// How many bytes before `offset` the fingerprint is made of.
    pub print_bytes: u16,
    /// The fingerprint.
    #[serde(with = "hex16")]
    pub print: u64,
    /// Last change of the file when it was read, in nanoseconds since 1970. While `offset` is 0:
    /// files that were set aside before are known.
    pub mtime_ns: i64,
    /// Whether `offset` lies within a line that is passed over, up to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipping: bool,
}

impl Mark {
    /// The beginning of a file.
    pub(super) fn start(stat: &Stat) -> Self {
        Self {
            dev: stat.dev,
            inode: stat.inode,
            offset: 0,
            print_bytes: 0,
            print: print(b""),
            mtime_ns: 0,
            skipping: false,
        }
    }

    /// Whether both are marks in one file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.dev, self.inode) == (other.dev, other.inode)
    }

    /// Whether it is a mark in this file.
    pub(super) fn is_in(&self, stat: &Stat) -> bool {
        (self.dev, self.inode) == (stat.dev, stat.inode)
    }
}

/// How far a log has been read: every file of it that may still grow, the oldest first. The last
/// one is that which has the log's name. Empty = the log has not been there yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// One mark for each.
    pub files: Vec<Mark>,
}

/// Last change of a file, in nanoseconds since 1970, up to the year 2262.
pub(super) fn mtime(stat: &Stat) -> i64 {
    i64::try_from(stat.mtime_ns).unwrap_or(i64::MAX)
}

/// The fingerprint of `bytes`.
pub(super) fn print(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

/// A number as 16 hex digits: readers of JSON that know floats only must not round it.
mod hex16 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}
