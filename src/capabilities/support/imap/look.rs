//! Looking into a mailbox: which mails there are, how large they are, and their first bytes. Only
//! EXAMINE, UID SEARCH, LIST and UID FETCH with BODY.PEEK.

use std::collections::{BTreeMap, BTreeSet};

use async_imap::imap_proto::{AttributeValue, MailboxDatum, NameAttribute, Response, ResponseCode};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::fault::MailFault;
use super::sasl::quoted;
use super::session::{Command, MOST_WORDS, Session};
use super::utf7;

/// Bytes of a mail that are asked for: 64 KiB, `ops.md` §4.2.
pub const MOST_BODY: u32 = 64 << 10;
/// Bytes of headers that are asked for where nothing else is (our own choice).
const MOST_HEAD: u32 = 16 << 10;
/// Bytes that a search may bring: the numbers of 40,000 mails (our own choice).
const MOST_NUMBERS: u64 = 448 << 10;
/// Bytes that the line of one mail may have beside its text (our own choice).
const MOST_FRAME: u64 = 2 << 10;
/// Flags of one mail that are kept; servers allow hundreds (our own choice).
const MOST_FLAGS: usize = 32;

/// A mailbox that was opened, read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Mails in it.
    pub exists: u32,
    /// The numbering of its mails.
    pub uid_validity: u32,
    /// The number that the next mail will have; 0 where the server does not say.
    pub uid_next: u32,
}

/// A mail as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub uid: u32,
    /// Bytes of it.
    pub size: u32,
    /// Its flags.
    pub flags: Vec<String>,
    /// When it came into the mailbox, where the server says.
    pub internal_date: Option<DateTime<Utc>>,
}

/// What is asked for of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its first bytes, headers included.
    Start,
    /// Its headers alone.
    Head,
}

impl Session {
    /// Opens `mailbox` read-only.
    pub async fn examine(&mut self, mailbox: &str) -> Result<Examined, MailFault> {
        let name = quoted(&utf7::encoded(mailbox)).unwrap_or_default();
        let (mut exists, mut uid_validity, mut uid_next) = (0, 0, 0);
        let mut each = |response: &Response<'_>| match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => exists = *count,
            Response::Data { outcome, .. } => match outcome.code {
                Some(ResponseCode::UidValidity(number)) => uid_validity = number,
                Some(ResponseCode::UidNext(number)) => uid_next = number,
                _ => {}
            },
            _ => {}
        };
        let command = Command {
            doing: "opening the mailbox",
            text: &format!("EXAMINE {}", name.as_str()),
            most: MOST_WORDS,
        };
        self.run(command, &mut each).await?;
        if uid_validity == 0 {
            return Err(MailFault::Strange {
                host: self.host(),
                doing: "opening the mailbox",
                found: "without a UIDVALIDITY".into(),
            });
        }
        Ok(Examined {
            exists,
            uid_validity,
            uid_next,
        })
    }

    /// The mails of the opened mailbox from `from` to `to` that are `key` (such as `UNSEEN`; empty
    /// for all).
    pub async fn search(
        &mut self,
        (from, to): (u32, u32),
        key: &str,
    ) -> Result<BTreeSet<u32>, MailFault> {
        let mut found = BTreeSet::new();
        let mut each = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::Search(numbers)) = response {
                // A range that begins behind the last mail finds that one.
                let within = numbers.iter().filter(|uid| (from..=to).contains(uid));
                found.extend(within.copied());
            }
        };
        let range = match to {
            u32::MAX => format!("UID SEARCH UID {from}:* {key}"),
            _ => format!("UID SEARCH UID {from}:{to} {key}"),
        };
        let command = Command {
            doing: "looking for mails",
            text: range.trim_end(),
            most: MOST_NUMBERS,
        };
        self.run(command, &mut each).await?;
        Ok(found)
    }

    /// Size, flags and date of the mails `uids`, by number.
    pub async fn list(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Listed>, MailFault> {
        let mut found = BTreeMap::new();
        let mut each = |response: &Response<'_>| {
            if let Response::Fetch(_, values) = response
                && let Some(listed) = listed(values)
            {
                found.insert(listed.uid, listed);
            }
        };
        let command = Command {
            doing: "asking for the sizes of mails",
            text: &format!(
                "UID FETCH {} (UID FLAGS INTERNALDATE RFC822.SIZE)",
                set(uids)
            ),
            most: uids.len() as u64 * MOST_FRAME + MOST_WORDS,
        };
        self.run(command, &mut each).await?;
        found.retain(|uid, _| uids.binary_search(uid).is_ok());
        Ok(found)
    }

    /// The first bytes of the mails `uids`, or their headers. `bytes` is what they should come to.
    pub async fn fetch(
        &mut self,
        uids: &[u32],
        part: Part,
        bytes: u64,
    ) -> Result<BTreeMap<u32, Bytes>, MailFault> {
        let mut found = BTreeMap::new();
        let mut each = |response: &Response<'_>| {
            let Response::Fetch(_, values) = response else {
                return;
            };
            let (mut uid, mut text) = (None, None);
            for value in values {
                match value {
                    AttributeValue::Uid(number) => uid = Some(*number),
                    AttributeValue::BodySection { data, .. } => text = data.as_deref(),
                    _ => {}
                }
            }
            if let (Some(uid), Some(text)) = (uid, text) {
                let kept = text.get(..MOST_BODY as usize).unwrap_or(text);
                found.insert(uid, Bytes::copy_from_slice(kept));
            }
        };
        let section = match part {
            Part::Start => format!("BODY.PEEK[]<0.{MOST_BODY}>"),
            Part::Head => format!("BODY.PEEK[HEADER]<0.{MOST_HEAD}>"),
        };
        let command = Command {
            doing: "fetching mails",
            text: &format!("UID FETCH {} (UID {section})", set(uids)),
            most: bytes + uids.len() as u64 * MOST_FRAME + MOST_WORDS,
        };
        self.run(command, &mut each).await?;
        found.retain(|uid, _| uids.binary_search(uid).is_ok());
        Ok(found)
    }

    /// The mailbox that the server marks as the one for sent mail.
    pub async fn sent_mailbox(&mut self) -> Result<Option<String>, MailFault> {
        let mut found = None;
        let mut each = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::List(list)) = response
                && list.name_attributes.contains(&NameAttribute::Sent)
            {
                found = Some(utf7::decoded(&list.name));
            }
        };
        let text = if self.can("SPECIAL-USE") {
            "LIST (SPECIAL-USE) \"\" \"*\""
        } else {
            "LIST \"\" \"%\""
        };
        let command = Command {
            doing: "looking for the mailbox of sent mail",
            text,
            most: MOST_WORDS * 2,
        };
        self.run(command, &mut each).await?;
        Ok(found)
    }
}

/// What a mail may bring, in bytes, when `part` of it is asked for.
pub fn cost(listed: &Listed, part: Part) -> u64 {
    let most = match part {
        Part::Start => MOST_BODY,
        Part::Head => MOST_HEAD,
    };
    u64::from(listed.size.min(most))
}

fn listed(values: &[AttributeValue<'_>]) -> Option<Listed> {
    let (mut uid, mut size, mut flags, mut date) = (None, 0, Vec::new(), None);
    for value in values {
        match value {
            AttributeValue::Uid(number) => uid = Some(*number),
            AttributeValue::Rfc822Size(bytes) => size = *bytes,
            AttributeValue::Flags(list) => {
                let kept = list.iter().take(MOST_FLAGS);
                flags = kept.map(|flag| flag.clone().into_owned()).collect();
            }
            AttributeValue::InternalDate(text) => {
                let read = DateTime::parse_from_str(text.trim(), "%d-%b-%Y %H:%M:%S %z");
                date = read.ok();
            }
            _ => {}
        }
    }
    Some(Listed {
        uid: uid.filter(|uid| *uid > 0)?,
        size,
        flags,
        internal_date: date.map(|date| date.to_utc()),
    })
}

/// Numbers, which ascend, as IMAP has them: `1:3,5`.
pub fn set(uids: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &uid in uids {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => runs.push((uid, uid)),
        }
    }
    let texts = runs.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}:{last}")
        }
    });
    texts.collect::<Vec<_>>().join(",")
}
