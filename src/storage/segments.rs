//! The files of a stream as others may see them, and what can be sought in it.

use chrono::{DateTime, Utc};

/// One file of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name in the logs folder.
    pub file: String,
    /// `seq` of its first line.
    pub first: u64,
    /// `seq` of the last line that counts; less than `first` where none does.
    pub last: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it is closed for ever; the one that is not is the last.
    pub sealed: bool,
    /// Whether lines after `last` may be in it, which do not count.
    pub suspect: bool,
    /// Whether it is compressed.
    pub packed: bool,
}

/// What is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The line after this `seq`; 0 = the first one.
    After(u64),
    /// The first line of this instant or a later one.
    Since(DateTime<Utc>),
    /// The first line that is after `after` and within the two instants, both included.
    Within {
        /// `seq` of a line before it; 0 = none.
        after: u64,
        /// Not before this instant.
        since: Option<DateTime<Utc>>,
        /// Not after this one.
        until: Option<DateTime<Utc>>,
    },
}

impl Seek {
    /// The same in numbers.
    pub(in crate::storage) fn wanted(self) -> Wanted {
        let (after, since, until) = match self {
            Self::After(after) => (after, None, None),
            Self::Since(since) => (0, Some(since), None),
            Self::Within {
                after,
                since,
                until,
            } => (after, since, until),
        };
        Wanted {
            after,
            since: since.map_or(i64::MIN, |at| at.timestamp_millis()),
            until: until.map_or(i64::MAX, |at| at.timestamp_millis()),
        }
    }
}

/// Bounds of what is sought; instants in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Wanted {
    pub(in crate::storage) after: u64,
    pub(in crate::storage) since: i64,
    pub(in crate::storage) until: i64,
}

impl Wanted {
    /// Whether instants matter.
    pub(in crate::storage) fn is_timed(&self) -> bool {
        self.since != i64::MIN || self.until != i64::MAX
    }
}
