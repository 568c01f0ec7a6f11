//! What the two halves of the inbox hand each other: a mail as it was fetched, and what it is.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::as_stamp;

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

/// What a mail is. Only [`Kind::Person`] waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person wrote it.
    Person,
    /// A mailing list delivered it; a person may have written it, not to us alone.
    List,
    /// A service sent it by itself: news, notices, reports.
    Bulk,
    /// A machine answered a mail: out of office, "we have received your request".
    AutoReply,
    /// A mail system tells that a mail was not, or not yet, delivered.
    Bounce,
    /// We sent it ourselves.
    Own,
    /// A mail filter on the way called it spam, or its sender is refused.
    Spam,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Person,
        Self::List,
        Self::Bulk,
        Self::AutoReply,
        Self::Bounce,
        Self::Own,
        Self::Spam,
    ];

    /// One word, as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::List => "list",
            Self::Bulk => "bulk",
            Self::AutoReply => "auto_reply",
            Self::Bounce => "bounce",
            Self::Own => "own",
            Self::Spam => "spam",
        }
    }

    /// Whether a digest only counts such mails. Lists are shown: a question may be in them.
    pub const fn is_set_aside(self) -> bool {
        !matches!(self, Self::Person | Self::List)
    }
}

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// When there is time.
    Low,
    /// In its turn.
    Normal,
    /// Before the others.
    High,
    /// Now.
    Urgent,
}

impl Urgency {
    /// Every class, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// One word, as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The service does not answer.
    Outage,
    /// A hole, a stolen account, personal data.
    Security,
    /// Invoices, charges, refunds, plans.
    Billing,
    /// Signing in, passwords, members, addresses.
    Account,
    /// Something does not do what it should.
    Bug,
    /// Something is wished for.
    Feature,
    /// None of these, or several alike.
    Other,
}

impl Category {
    /// Every category, the gravest first: of two that weigh the same, the first is meant.
    pub const ALL: [Self; 7] = [
        Self::Outage,
        Self::Security,
        Self::Billing,
        Self::Account,
        Self::Bug,
        Self::Feature,
        Self::Other,
    ];

    /// One word, as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Security => "security",
            Self::Billing => "billing",
            Self::Account => "account",
            Self::Bug => "bug",
            Self::Feature => "feature",
            Self::Other => "other",
        }
    }
}

/// Somebody's address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The name beside the address; often empty.
    #[serde(default)]
    pub name: String,
    /// The address in lower case; empty where none could be read.
    pub address: String,
}

/// How soon a mail wants an answer by what it says, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urgent {
    /// The class that the score falls in.
    pub class: Urgency,
    /// Points, the sum over the reasons.
    pub score: i32,
    /// Each rule that spoke, with its points, such as `outage words: down (+40)`.
    pub reasons: Vec<String>,
}

/// Files that came along. Their names are personal data and are not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// How many, as far as the mail was read.
    pub count: u32,
    /// Bytes of them, decoded, as far as the mail was read.
    pub bytes: u64,
}

/// A mail that was read: what is kept of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain fact of its own"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The mailbox, in the server's spelling.
    pub mailbox: String,
    /// The numbering that `uid` belongs to.
    pub uid_validity: u32,
    /// Its number in the mailbox.
    pub uid: u32,
    /// Its own id without brackets; where it has none, `sha256:` over header and size.
    pub message_id: String,
    /// Whether the mail has no id of its own and `message_id` was made.
    #[serde(default)]
    pub id_made: bool,
    /// Who wrote it.
    pub from: Party,
    /// Addresses it went to, `To` and `Cc`, at most 20.
    #[serde(default)]
    pub to: Vec<String>,
    /// The subject, decoded, at most 300 characters.
    pub subject: String,
    /// When it was sent by its own account, or arrived where that cannot be.
    #[serde(serialize_with = "as_stamp")]
    pub date: DateTime<Utc>,
    /// Whether `date` is the arrival, for the mail told none or an absurd one.
    #[serde(default)]
    pub date_made: bool,
    /// The ids it answers.
    #[serde(default)]
    pub in_reply_to: Vec<String>,
    /// The ids of its thread, the oldest first, at most 50.
    #[serde(default)]
    pub references: Vec<String>,
    /// What it is. In lines `mail_kind`, for `kind` is what the line itself is.
    #[serde(rename = "mail_kind")]
    pub kind: Kind,
    /// Why it is that.
    pub kind_reasons: Vec<String>,
    /// The language it seems to be in, such as `en`; empty where that is open.
    #[serde(default)]
    pub language: String,
    /// How soon it wants an answer, by itself alone.
    pub urgency: Urgent,
    /// What it is about.
    pub category: Category,
    /// Which words say so.
    pub category_reason: String,
    /// What came along.
    pub attachments: Attachments,
    /// The first characters of what is new in it, at most 200.
    pub snippet: String,
    /// Bytes of the whole mail.
    pub size: u32,
    /// Whether nobody has opened it yet.
    pub is_unread: bool,
    /// Whether somebody's mail program marked it as answered.
    #[serde(default)]
    pub is_answered: bool,
    /// What was odd in it, such as `no Message-ID`; nothing of that is an error.
    #[serde(default)]
    pub oddities: Vec<String>,
}
