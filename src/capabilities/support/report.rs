//! The report: what `POST /api/support/digest` answers and `logs/support_digest.json` holds, and
//! the line of it that stays in `logs/support_digest.ndjson`.
//!
//! `digest.made {count, mails, unread, set_aside, by_kind, by_urgency, by_category, threads,
//! waiting, breached, oldest, first_answers, trend, bursts, shown, mailboxes}`: numbers, and of
//! mails their ids alone.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::imap::sync::Visited;
use super::triage::Digest;
use crate::base::time::stamp;
use crate::storage::lines::Lines;

/// Name of the journal.
pub(super) const STREAM: &str = "support_digest";
/// Name of the report in `logs/`.
pub(super) const FILE: &str = "support_digest.json";
/// A digest was made.
pub(super) const MADE: &str = "digest.made";

/// What waits in the mailbox.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Report {
    /// Items shown.
    pub count: usize,
    /// Whether no mailbox was read, for want of a setting; the item is then a sample.
    pub dry_run: bool,
    /// Why, such as `no IMAP_HOST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made, UTC; null before the first.
    pub made_at: Option<String>,
    /// The newest unread mails that are not set aside: each with `from`, `subject`, `date`,
    /// `message_id`, and how it was judged.
    pub items: Vec<Value>,
    /// The mailboxes, and how far each is read.
    pub mailboxes: Vec<MailboxReply>,
    /// Urgent words of the mail server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_alerts: Vec<String>,
    /// Counts, who waits, topics, trend and bursts: see `docs/support.md`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A mailbox in a report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct MailboxReply {
    /// Its name.
    pub mailbox: String,
    /// Mails in it.
    pub exists: u32,
    /// Mails read in this visit.
    pub read: u32,
    /// Mails found that are too old to be read.
    pub older: u32,
    /// Whether everything in it has been read; the next visits go on where it is not.
    pub is_complete: bool,
    /// Why it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl From<Visited> for MailboxReply {
    fn from(visited: Visited) -> Self {
        Self {
            mailbox: visited.mailbox,
            exists: visited.exists,
            read: visited.read,
            older: visited.older,
            is_complete: visited.is_complete,
            refused: visited.refused,
        }
    }
}

impl Report {
    /// The report of `digest`.
    pub(super) fn of(digest: &Digest, at: Option<DateTime<Utc>>) -> Self {
        let mut rest = match serde_json::to_value(digest) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let items = match rest.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        rest.remove("count");
        Self {
            count: items.len(),
            dry_run: false,
            reason: None,
            made_at: at.map(stamp),
            items,
            mailboxes: Vec::new(),
            server_alerts: Vec::new(),
            rest,
        }
    }

    /// The report of a mailbox that cannot be read, for `reason`: one sample.
    pub(super) fn sample(reason: &str, now: DateTime<Utc>) -> Self {
        let item = json!({
            "from": "Sample Customer <customer@example.com>",
            "subject": "Sample: how do I change my plan?",
            "date": stamp(now),
            "message_id": "sample@echopilot.invalid",
            "sample": true,
        });
        Self {
            count: 1,
            dry_run: true,
            reason: Some(reason.to_owned()),
            made_at: Some(stamp(now)),
            items: vec![item],
            mailboxes: Vec::new(),
            server_alerts: Vec::new(),
            rest: Map::new(),
        }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Saved<'a> {
            ok: bool,
            #[serde(flatten)]
            report: &'a Report,
        }
        let saved = Saved {
            ok: true,
            report: self,
        };
        // Maps with text keys and plain values always serialise.
        let mut text = serde_json::to_vec_pretty(&saved).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Its line in the history.
    pub(super) fn line(&self, digest: &Digest, now: DateTime<Utc>) -> Lines {
        let named = |name: &str| self.rest.get(name).cloned().unwrap_or_default();
        let waiting = &digest.waiting;
        let oldest = waiting.oldest.as_ref();
        let oldest =
            oldest.map(|wait| json!({ "message_id": wait.message_id, "since": stamp(wait.since) }));
        let shown: Vec<&str> = digest
            .items
            .iter()
            .map(|item| item.message_id.as_str())
            .collect();
        let members = json!({
            "count": digest.count,
            "mails": digest.mails,
            "unread": digest.unread,
            "set_aside": digest.set_aside,
            "by_kind": named("by_kind"),
            "by_urgency": named("by_urgency"),
            "by_category": named("by_category"),
            "threads": digest.threads,
            "waiting": waiting.count,
            "breached": waiting.breached,
            "oldest": oldest,
            "first_answers": named("first_answers"),
            "trend": named("trend"),
            "bursts": named("bursts"),
            "shown": shown,
            "mailboxes": self.mailboxes,
        });
        let mut lines = Lines::new();
        lines.push_members(MADE, now, &members);
        lines
    }
}
