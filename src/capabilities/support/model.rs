//! What the two halves of the inbox hand each other: a mail as it was fetched, and what it is.

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// A mail as the server gave it, not yet read.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its number in the mailbox; 0 is never used.
    pub uid: u32,
    /// The numbering that `uid` belongs to.
    pub uid_validity: u32,
    /// The mailbox, in the server's spelling.
    pub mailbox: String,
    /// Whether the mailbox is where our own answers are kept: then `body` is empty.
    pub is_sent: bool,
    /// Bytes of the whole mail, as the server says.
    pub size: u32,
    /// Its flags, such as `\Seen`.
    pub flags: Vec<String>,
    /// When it came into the mailbox.
    pub internal_date: DateTime<Utc>,
    /// All header bytes, or the first of them where there are too many.
    pub head: Bytes,
    /// The first bytes of the whole mail, headers included; empty where only headers were asked
    /// for.
    pub body: Bytes,
}
