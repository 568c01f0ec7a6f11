//! Conversations: mails joined by what they answer (RFC 5322 `References`, `In-Reply-To`), and else
//! by subject and people within two weeks. A mail that comes twice counts once.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use mail_parser::parsers::fields::thread::thread_name;

use super::super::model::{Kind, Mail};
use super::headers::clip;
use super::rules::Rules;

/// How long after the last mail of a conversation one of the same subject and people joins it.
const SAME_SUBJECT: TimeDelta = TimeDelta::days(14);
/// Characters of a subject that are taken off its front at most, for it could be one long `Re:`.
const SUBJECT: usize = 300;

/// A conversation: indices of its mails, the oldest first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Thread {
    /// Its mails.
    pub(super) mails: Vec<usize>,
}

/// `mails` without those that come again, and how many that were: the same id from the same person
/// about the same. Of two, the unread one stays, then the one first given.
pub(super) fn unique<'m>(mails: impl IntoIterator<Item = &'m Mail>) -> (Vec<&'m Mail>, usize) {
    let mut kept: Vec<&Mail> = Vec::new();
    let mut known: HashMap<(&str, &str, &str), usize> = HashMap::new();
    let mut again = 0;
    for mail in mails {
        let key = (
            mail.message_id.as_str(),
            mail.from.address.as_str(),
            mail.subject.as_str(),
        );
        if let Some(first) = known.get(&key).and_then(|at| kept.get_mut(*at)) {
            again += 1;
            if mail.is_unread && !first.is_unread {
                *first = mail;
            }
        } else {
            known.insert(key, kept.len());
            kept.push(mail);
        }
    }
    (kept, again)
}

/// The conversations of `mails`, in the order of their first mails.
pub(super) fn of(mails: &[&Mail], rules: &Rules) -> Vec<Thread> {
    let mut sets = Sets::new(mails.len());
    join_by_ids(mails, &mut sets);
    join_by_subjects(mails, rules, &mut sets);
    let mut order: Vec<usize> = (0..mails.len()).collect();
    order.sort_by_key(|&at| mails.get(at).map(|mail| (mail.date, mail.uid)));
    let mut threads: Vec<Thread> = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for at in order {
        let number = *numbers.entry(sets.root(at)).or_insert_with(|| {
            threads.push(Thread::default());
            threads.len() - 1
        });
        if let Some(thread) = threads.get_mut(number) {
            thread.mails.push(at);
        }
    }
    threads
}

/// A subject without `Re:`, `AW:`, `Fwd:`, list names and the marks of answering programs.
pub(super) fn plain_subject(subject: &str) -> String {
    let mut plain = clip(subject, SUBJECT).to_lowercase();
    // `thread_name` takes most prefixes off; numbered ones (`re[2]:`, `antwort:`) are left.
    loop {
        let name = thread_name(&plain).trim();
        let name = numbered(name).unwrap_or(name).trim();
        let name = bracketed(name).unwrap_or(name).trim();
        if name.len() == plain.len() {
            return plain;
        }
        plain = name.to_owned();
    }
}

/// What stands within brackets around all of it: some programs put them around what they forward.
fn bracketed(subject: &str) -> Option<&str> {
    let inside = subject.strip_prefix('[')?.strip_suffix(']')?;
    (!inside.contains(['[', ']'])).then_some(inside)
}

/// What follows `re[2]:`, `antwort:` and the like.
fn numbered(subject: &str) -> Option<&str> {
    const PREFIXES: [&str; 9] = [
        "re",
        "aw",
        "antwort",
        "fwd",
        "fw",
        "wg",
        "rép",
        "sv",
        "weitergeleitet",
    ];
    let (start, rest) = subject.split_once([':', '：'])?;
    let word = start.split(['[', '(']).next().unwrap_or_default().trim();
    let mark = start.get(word.len()..).unwrap_or_default();
    let is_number = mark
        .chars()
        .all(|c| c.is_ascii_digit() || "[]()^ ".contains(c));
    (PREFIXES.contains(&word) && is_number).then_some(rest)
}

/// Ids that name a mail or are answered: mails that share one are of one conversation.
fn join_by_ids(mails: &[&Mail], sets: &mut Sets) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, mail) in mails.iter().enumerate() {
        let ids = mail
            .in_reply_to
            .iter()
            .chain(&mail.references)
            .chain([&mail.message_id]);
        for id in ids {
            match first.get(id.as_str()) {
                Some(other) => sets.join(*other, at),
                None => {
                    first.insert(id, at);
                }
            }
        }
    }
}

/// Mails of the same subject that share somebody who is not us, each within two weeks of another.
fn join_by_subjects(mails: &[&Mail], rules: &Rules, sets: &mut Sets) {
    let mut by_subject: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, mail) in mails.iter().enumerate() {
        // A machine's mails share their subjects with those of other people.
        if matches!(mail.kind, Kind::Person | Kind::Own | Kind::AutoReply) {
            let subject = plain_subject(&mail.subject);
            if !subject.is_empty() {
                by_subject.entry(subject).or_default().push(at);
            }
        }
    }
    for group in by_subject.values_mut().filter(|group| group.len() > 1) {
        group.sort_by_key(|&at| mails.get(at).map(|mail| mail.date));
        let mut last: HashMap<String, (usize, DateTime<Utc>)> = HashMap::new();
        for &at in group.iter() {
            let Some(mail) = mails.get(at) else { continue };
            for person in people(mail, rules) {
                if let Some((other, date)) = last.insert(person, (at, mail.date))
                    && mail.date - date <= SAME_SUBJECT
                {
                    sets.join(other, at);
                }
            }
        }
    }
}

/// Everybody on a mail but us.
fn people(mail: &Mail, rules: &Rules) -> BTreeSet<String> {
    let all = mail.to.iter().chain([&mail.from.address]);
    let others = all.filter(|address| !address.is_empty() && !rules.is_own(address));
    others.cloned().collect()
}

/// Different senders among `mails`.
pub(super) fn senders<'m>(mails: impl IntoIterator<Item = &'m Mail>) -> usize {
    let senders = mails.into_iter().map(|mail| mail.from.address.as_str());
    senders.collect::<HashSet<_>>().len()
}

/// Sets that grow together (union by the lower number, paths halved).
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, at: usize) -> usize {
        let mut at = at;
        while let Some(&above) = self.0.get(at).filter(|above| **above != at) {
            let top = self.0.get(above).copied().unwrap_or(above);
            if let Some(place) = self.0.get_mut(at) {
                *place = top;
            }
            at = above;
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(place) = self.0.get_mut(a.max(b)) {
            *place = a.min(b);
        }
    }
}
