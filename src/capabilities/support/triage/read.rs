//! A fetched mail, read: any bytes become a [`Mail`]. What cannot be read is left out and said.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use sha2::{Digest as _, Sha256};

use super::super::model::{Category, Fetched, Kind, Mail, Party, Urgent};
use super::automatic::{self, Seen};
use super::headers::{Headers, clip};
use super::mime::{self, Parts};
use super::rules::Rules;
use super::urgency::{self, Said};
use super::words::{STOP, tokens};
use super::{category, language, text};
use crate::base::hex;

/// Characters of a subject that are kept.
const SUBJECT: usize = 300;
/// Recipients that are kept.
const MOST_TO: usize = 20;
/// Ids of a thread that are kept: the first, which names it, and the last.
const MOST_REFERENCES: usize = 50;
/// How far a mail's own date may lie after its arrival: clocks differ, zones are mistaken.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// How far it may lie before: what was longer on its way is told by the clock of its arrival.
const BEHIND: TimeDelta = TimeDelta::days(365 * 5);
/// Fields of a header from which it is told as odd.
const MANY_FIELDS: usize = 1_000;

/// Reads a mail. Never fails: the worst mail is one of a person with nothing in it.
pub fn read(fetched: &Fetched, rules: &Rules) -> Mail {
    let is_whole = !fetched.body.is_empty();
    let source = if is_whole {
        &fetched.body
    } else {
        &fetched.head
    };
    let whole = Headers::of(source);
    let alone = Headers::of(&fetched.head);
    // The longer header counts: the body is cut, the head may be left out.
    let headers = if alone.count > whole.count {
        &alone
    } else {
        &whole
    };
    let body = source.get(whole.length..).filter(|_| is_whole);
    let parts = mime::parts_of(headers, body.unwrap_or_default());
    let (message_id, id_made) = id_of(fetched, headers);
    let (date, date_made) = date_of(fetched, headers);
    let sender = sender_of(headers, rules, fetched.is_sent);
    let subject = clip(&headers.text("subject").unwrap_or_default(), SUBJECT);
    let to = recipients(headers);
    let fresh = text::fresh(&parts.text);
    let seen = Seen {
        headers,
        parts: &parts,
        from: &sender.from,
        to: &to,
        subject: &subject,
        fresh: &fresh,
        is_sent: fetched.is_sent,
        is_form: sender.is_form,
        rules,
    };
    let (kind, kind_reasons) = automatic::kind_of(&seen);
    let meaning = meaning_of(&seen, kind);
    let has = |flag: &str| {
        fetched
            .flags
            .iter()
            .any(|held| held.eq_ignore_ascii_case(flag))
    };
    Mail {
        mailbox: fetched.mailbox.clone(),
        uid_validity: fetched.uid_validity,
        uid: fetched.uid,
        message_id,
        id_made,
        oddities: oddities(headers, &parts, &sender, id_made, date_made),
        from: sender.from,
        to,
        date,
        date_made,
        in_reply_to: few(headers.ids("in-reply-to")),
        references: few(headers.ids("references")),
        kind,
        kind_reasons,
        language: meaning.language.to_owned(),
        urgency: meaning.urgency,
        category: meaning.category,
        category_reason: meaning.category_reason,
        attachments: parts.attachments,
        snippet: text::snippet(&fresh),
        subject,
        size: fetched.size,
        is_unread: !has("\\Seen"),
        is_answered: has("\\Answered"),
    }
}

/// What the words of a mail say.
struct Meaning {
    language: &'static str,
    urgency: Urgent,
    category: Category,
    category_reason: String,
}

fn meaning_of(seen: &Seen<'_>, kind: Kind) -> Meaning {
    let mut words = tokens(seen.subject);
    let in_subject = words.len();
    words.push(STOP.to_owned());
    words.extend(tokens(seen.fresh));
    let language = language::guess(&words);
    let hits = seen.rules.words.find(&words, language);
    let (category, category_reason) = category::of(&hits, in_subject);
    let said = Said {
        kind,
        address: &seen.from.address,
        subject: seen.subject,
        fresh: seen.fresh,
        hits: &hits,
        headers: seen.headers,
    };
    let urgency = urgency::of(&said, seen.rules);
    Meaning {
        language,
        urgency,
        category,
        category_reason,
    }
}

fn oddities(
    headers: &Headers<'_>,
    parts: &Parts,
    sender: &Sender,
    id_made: bool,
    date_made: bool,
) -> Vec<String> {
    let seen = [
        (id_made, "no Message-ID"),
        (date_made, "no sane date, the arrival counts"),
        (sender.is_form, "sent by a form of ours"),
        (sender.from.address.is_empty(), "no sender's address"),
        (
            headers.count > MANY_FIELDS,
            "more than 1000 fields in its header",
        ),
        (headers.raw("from").nth(1).is_some(), "more than one From"),
        (
            headers.raw("subject").nth(1).is_some(),
            "more than one Subject",
        ),
    ];
    let seen = seen
        .into_iter()
        .filter(|(is_odd, _)| *is_odd)
        .map(|(_, what)| what);
    parts
        .oddities
        .iter()
        .copied()
        .chain(seen)
        .map(str::to_owned)
        .collect()
}

struct Sender {
    from: Party,
    is_form: bool,
}

/// Who wrote it. A form on our site sends from our own address and names the writer in Reply-To.
fn sender_of(headers: &Headers<'_>, rules: &Rules, is_sent: bool) -> Sender {
    let with_address = |party: &Party| party.address.contains('@');
    let all = headers.parties("from");
    let named = all
        .iter()
        .find(|party| with_address(party))
        .or(all.first())
        .cloned();
    let from = named
        .or_else(|| headers.parties("sender").into_iter().find(with_address))
        .or_else(|| {
            headers
                .parties("return-path")
                .into_iter()
                .find(with_address)
        })
        .unwrap_or_default();
    if !is_sent && rules.is_own(&from.address) {
        let foreign = |party: &Party| with_address(party) && !rules.is_own(&party.address);
        if let Some(from) = headers.parties("reply-to").into_iter().find(foreign) {
            return Sender {
                from,
                is_form: true,
            };
        }
    }
    Sender {
        from,
        is_form: false,
    }
}

fn recipients(headers: &Headers<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for party in headers
        .parties("to")
        .into_iter()
        .chain(headers.parties("cc"))
    {
        if found.len() < MOST_TO && !party.address.is_empty() && !found.contains(&party.address) {
            found.push(party.address);
        }
    }
    found
}

/// The first of many ids, which names the thread, and the last, which are nearest.
fn few(mut ids: Vec<String>) -> Vec<String> {
    if ids.len() > MOST_REFERENCES {
        let drop = ids.len() - MOST_REFERENCES;
        ids.drain(1..=drop);
    }
    ids
}

/// Its id; where it has none, one over its header and size, the same at every reading.
fn id_of(fetched: &Fetched, headers: &Headers<'_>) -> (String, bool) {
    if let Some(id) = headers.ids("message-id").into_iter().next() {
        return (id, false);
    }
    let written = headers
        .line("message-id")
        .map(|id| clip(id.trim_matches(['<', '>', ' ']), 250));
    if let Some(id) = written.filter(|id| !id.is_empty()) {
        return (id, false);
    }
    let mut hash = Sha256::new();
    hash.update(&fetched.head);
    hash.update(fetched.size.to_be_bytes());
    let digest = hash.finalize();
    (
        format!("sha256:{}", hex::of(digest.get(..16).unwrap_or_default())),
        true,
    )
}

/// When it was sent; the arrival where that is not said or cannot be.
fn date_of(fetched: &Fetched, headers: &Headers<'_>) -> (DateTime<Utc>, bool) {
    let arrived = fetched.internal_date;
    let sane = |date: &DateTime<Utc>| *date <= arrived + AHEAD && *date >= arrived - BEHIND;
    let found = headers.raw("date").find_map(date).filter(sane);
    found.map_or((arrived, true), |date| (date, false))
}

fn date(value: &[u8]) -> Option<DateTime<Utc>> {
    let mut line = value.trim_ascii_end().to_vec();
    line.extend_from_slice(b"\r\n");
    let HeaderValue::DateTime(found) = MessageStream::new(&line).parse_date() else {
        return None;
    };
    let (day, month) = (u32::from(found.day), u32::from(found.month));
    let date = NaiveDate::from_ymd_opt(i32::from(found.year), month, day)?;
    let (hour, minute) = (u32::from(found.hour), u32::from(found.minute));
    // A leap second is read as the second before.
    let local = date.and_hms_opt(hour, minute, u32::from(found.second).min(59))?;
    let offset = TimeDelta::minutes(i64::from(found.tz_hour) * 60 + i64::from(found.tz_minute));
    let offset = if found.tz_before_gmt { -offset } else { offset };
    Some(local.checked_sub_signed(offset)?.and_utc())
}
