//! What is written to `logs/support_mail.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `mail.seen` and, for our own answers, `mail.sent` with the members of [`Mail`]; `mail.marked
//! {mail, is_unread, is_answered, is_gone}` when somebody has opened, answered or removed a mail;
//! `mail.renumbered {mail, uid_validity, uid}` when the server has numbered its mails anew.
//! `mailbox.read {mailbox, uid_validity, uid_next, pending, exists}` says how far a mailbox is
//! read, in the same group as the mails that it is read up to. `visit.failed {fault, text,
//! is_sign_in}` and, after such ones, `visit.recovered {}`. `mail` is the number of the line that
//! told the mail.
//!
//! Addresses, names, subjects and the beginnings of texts are personal data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::imap::pending::Pending;
use super::imap::sync::Place;
use super::model::Mail;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "support_mail";
/// A mail was read.
pub const SEEN: &str = "mail.seen";
/// An answer of ours was read.
pub const SENT: &str = "mail.sent";
/// A mail is marked differently, or gone.
pub const MARKED: &str = "mail.marked";
/// A mail has another number.
pub const RENUMBERED: &str = "mail.renumbered";
/// How far a mailbox is read.
pub const READ: &str = "mailbox.read";
/// The mailbox could not be read.
pub const FAILED: &str = "visit.failed";
/// It can be read again.
pub const RECOVERED: &str = "visit.recovered";

/// How a mail is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// Number of the line that told the mail.
    pub mail: u64,
    /// Nobody has opened it.
    pub is_unread: bool,
    /// Somebody has answered it.
    pub is_answered: bool,
    /// It is not in the mailbox any more.
    pub is_gone: bool,
}

/// A mail that was numbered anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renumbered {
    /// Number of the line that told the mail.
    pub mail: u64,
    /// The numbering.
    pub uid_validity: u32,
    /// Its number.
    pub uid: u32,
}

/// How far a mailbox is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadUpTo {
    /// The mailbox.
    pub mailbox: String,
    /// The numbering of its mails.
    pub uid_validity: u32,
    /// Mails below this number are read, but for those that are pending.
    pub uid_next: u32,
    /// Ranges of numbers that are not read yet.
    pub pending: Pending,
    /// Mails in it.
    pub exists: u32,
}

impl ReadUpTo {
    /// `mailbox` is read up to `place`.
    pub fn new(mailbox: &str, place: &Place) -> Self {
        Self {
            mailbox: mailbox.to_owned(),
            uid_validity: place.uid_validity,
            uid_next: place.uid_next,
            pending: place.pending.clone(),
            exists: place.exists,
        }
    }
}

/// A visit that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// One word for what happened.
    pub fault: String,
    /// What happened, with the cure.
    pub text: String,
    /// Whether we were not let in.
    pub is_sign_in: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A mail was read.
    Seen(Box<Mail>),
    /// An answer of ours was read.
    Sent(Box<Mail>),
    /// A mail is marked differently.
    Marked(Marked),
    /// A mail has another number.
    Renumbered(Renumbered),
    /// How far a mailbox is read.
    Read(ReadUpTo),
    /// A visit failed.
    Failed(Failed),
    /// The mailbox can be read again.
    Recovered,
}

impl Event {
    /// Adds its line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        #[derive(Serialize)]
        struct Nothing {}
        match self {
            Self::Seen(mail) => lines.push_members(SEEN, at, mail),
            Self::Sent(mail) => lines.push_members(SENT, at, mail),
            Self::Marked(marked) => lines.push_members(MARKED, at, marked),
            Self::Renumbered(renumbered) => lines.push_members(RENUMBERED, at, renumbered),
            Self::Read(read) => lines.push_members(READ, at, read),
            Self::Failed(failed) => lines.push_members(FAILED, at, failed),
            Self::Recovered => lines.push_members(RECOVERED, at, &Nothing {}),
        }
    }
}

/// A line as it is read back.
#[derive(Debug, Clone)]
pub struct Line {
    /// Number of the line.
    pub seq: u64,
    /// When.
    pub ts: DateTime<Utc>,
    /// What happened.
    pub event: Event,
}

/// What every line has.
#[derive(Deserialize)]
struct Envelope {
    seq: u64,
    ts: DateTime<Utc>,
    kind: String,
}

impl Line {
    /// Reads a line; `None` where it is none of these.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
            serde_json::from_slice(bytes).ok()
        }
        let Envelope { seq, ts, kind } = read(bytes)?;
        let event = match kind.as_str() {
            SEEN => Event::Seen(read(bytes)?),
            SENT => Event::Sent(read(bytes)?),
            MARKED => Event::Marked(read(bytes)?),
            RENUMBERED => Event::Renumbered(read(bytes)?),
            READ => Event::Read(read(bytes)?),
            FAILED => Event::Failed(read(bytes)?),
            RECOVERED => Event::Recovered,
            _ => return None,
        };
        Some(Self { seq, ts, event })
    }
}
