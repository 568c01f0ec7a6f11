//! What the journal means now: the mails of the last weeks, how far each mailbox is read, and how
//! often the mailbox could not be read in a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{Event, Marked, Renumbered};
use super::imap::sync::{Marks, Place};
use super::model::Mail;

/// Mails that are remembered at most, about 1.5 KB each (our own choice): those of a small company
/// in the 90 days of the default.
const MOST_MAILS: usize = 10_000;
/// So many more before the oldest are forgotten, all at once (our own choice).
const SLACK: usize = 512;
/// The latest mails of a mailbox whose marks are asked for (our own choice).
const MOST_MARKED: usize = 2000;

/// A mail that is remembered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it was read. Its own date is what its sender says.
    pub at: DateTime<Utc>,
    /// The mail.
    pub mail: Arc<Mail>,
    /// Whether it is from where our own answers are.
    pub is_sent: bool,
    /// Whether it is not in the mailbox any more.
    pub is_gone: bool,
}

/// Visits that failed one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// The first.
    pub since: DateTime<Utc>,
    /// The last.
    pub last: DateTime<Utc>,
    /// How many of the last ones were not let in.
    pub sign_ins: u32,
}

/// The view.
#[derive(Debug, Default)]
pub struct SupportView {
    mails: BTreeMap<u64, Entry>,
    numbers: HashMap<(String, u32, u32), u64>,
    places: BTreeMap<String, Place>,
    /// When each of them was last written down.
    placed_at: BTreeMap<String, DateTime<Utc>>,
    failures: Option<Failures>,
}

impl SupportView {
    /// Takes in line `seq`.
    pub fn take(&mut self, seq: u64, at: DateTime<Utc>, event: Event) {
        match event {
            Event::Seen(mail) => self.insert((seq, at), *mail, false),
            Event::Sent(mail) => self.insert((seq, at), *mail, true),
            Event::Marked(marked) => self.marked(marked),
            Event::Renumbered(renumbered) => self.renumbered(renumbered),
            Event::Read(read) => {
                let place = Place {
                    uid_validity: read.uid_validity,
                    uid_next: read.uid_next,
                    pending: read.pending,
                    exists: read.exists,
                };
                self.placed_at.insert(read.mailbox.clone(), at);
                self.places.insert(read.mailbox, place);
            }
            Event::Failed(failed) => {
                let before = self.failures;
                self.failures = Some(Failures {
                    count: before.map_or(0, |before| before.count) + 1,
                    since: before.map_or(at, |before| before.since),
                    last: at,
                    sign_ins: if failed.is_sign_in {
                        before.map_or(0, |before| before.sign_ins) + 1
                    } else {
                        0
                    },
                });
            }
            Event::Recovered => self.failures = None,
        }
    }

    fn insert(&mut self, (seq, at): (u64, DateTime<Utc>), mail: Mail, is_sent: bool) {
        self.numbers.insert(number_of(&mail), seq);
        let entry = Entry {
            at,
            mail: Arc::new(mail),
            is_sent,
            is_gone: false,
        };
        self.mails.insert(seq, entry);
        if self.mails.len() >= MOST_MAILS + SLACK {
            let mails = self.mails.iter();
            let mut dates: Vec<_> = mails.map(|(seq, entry)| (entry.mail.date, *seq)).collect();
            dates.sort_unstable();
            for (_, seq) in dates.into_iter().take(SLACK) {
                self.forget(seq);
            }
        }
    }

    fn forget(&mut self, seq: u64) {
        if let Some(gone) = self.mails.remove(&seq) {
            let number = number_of(&gone.mail);
            if self.numbers.get(&number) == Some(&seq) {
                self.numbers.remove(&number);
            }
        }
    }

    fn marked(&mut self, marked: Marked) {
        if let Some(entry) = self.mails.get_mut(&marked.mail) {
            entry.is_gone = marked.is_gone;
            let mail = Arc::make_mut(&mut entry.mail);
            mail.is_unread = marked.is_unread;
            mail.is_answered = marked.is_answered;
        }
    }

    fn renumbered(&mut self, to: Renumbered) {
        let Some(entry) = self.mails.get_mut(&to.mail) else {
            return;
        };
        let before = number_of(&entry.mail);
        let mail = Arc::make_mut(&mut entry.mail);
        (mail.uid_validity, mail.uid) = (to.uid_validity, to.uid);
        entry.is_gone = false;
        let after = number_of(&entry.mail);
        self.numbers.remove(&before);
        self.numbers.insert(after, to.mail);
    }

    /// Forgets mails that were read before `oldest`.
    pub fn prune(&mut self, oldest: DateTime<Utc>) {
        let old = self.mails.iter().filter(|(_, entry)| entry.at < oldest);
        for seq in old.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.forget(seq);
        }
    }

    /// All mails, by the number of their line.
    pub fn mails(&self) -> &BTreeMap<u64, Entry> {
        &self.mails
    }

    /// When the oldest line was written that is needed to know how far each mailbox is read and
    /// since when visits fail. One that was not read since `forgotten` is none of ours any more.
    pub fn needed_from(&self, forgotten: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let places = self.placed_at.values().copied();
        let failures = self.failures.map(|failures| failures.since);
        let held = places.filter(|at| *at >= forgotten).chain(failures);
        held.min()
    }

    /// How far `mailbox` is read.
    pub fn place(&self, mailbox: &str) -> Option<&Place> {
        self.places.get(mailbox)
    }

    /// Visits that failed one after the other.
    pub fn failures(&self) -> Option<Failures> {
        self.failures
    }

    /// What becomes of a mail that was fetched: `None` where it is known already. `found` are those
    /// that others of the same batch were found to be: of two alike each is one.
    pub fn met(&self, mail: Mail, is_sent: bool, found: &mut BTreeSet<u64>) -> Option<Event> {
        if self.numbers.contains_key(&number_of(&mail)) {
            return None;
        }
        // The same mail under another numbering: the server has numbered its mails anew.
        let is_same = |entry: &Entry| {
            let known = &entry.mail;
            known.uid_validity != mail.uid_validity
                && known.message_id == mail.message_id
                && known.mailbox == mail.mailbox
                && known.size == mail.size
        };
        let mut known = self.mails.iter();
        let known = known.find(|(seq, entry)| is_same(entry) && !found.contains(seq));
        Some(match known {
            Some((seq, _)) => {
                found.insert(*seq);
                Event::Renumbered(Renumbered {
                    mail: *seq,
                    uid_validity: mail.uid_validity,
                    uid: mail.uid,
                })
            }
            None if is_sent => Event::Sent(Box::new(mail)),
            None => Event::Seen(Box::new(mail)),
        })
    }

    /// The lowest of the latest mails of `mailbox` under its present numbering.
    pub fn marked_from(&self, mailbox: &str) -> Option<u32> {
        let place = self.places.get(mailbox)?;
        let mut uids: Vec<u32> = self.of(mailbox, place.uid_validity).collect();
        uids.sort_unstable();
        let from = uids.len().saturating_sub(MOST_MARKED);
        uids.get(from).copied()
    }

    fn of<'a>(&'a self, mailbox: &'a str, uid_validity: u32) -> impl Iterator<Item = u32> + 'a {
        let mails = self.mails.values().map(|entry| &entry.mail);
        let inside =
            move |mail: &&Arc<Mail>| mail.mailbox == mailbox && mail.uid_validity == uid_validity;
        mails.filter(inside).map(|mail| mail.uid)
    }

    /// What is marked differently by now.
    pub fn changed(&self, marks: &Marks) -> Vec<Event> {
        let mut changed = Vec::new();
        for (seq, entry) in &self.mails {
            let mail = &entry.mail;
            let asked = mail.mailbox == marks.mailbox
                && mail.uid_validity == marks.uid_validity
                && (marks.range.0..=marks.range.1).contains(&mail.uid);
            if !asked {
                continue;
            }
            let is_gone = !marks.present.contains(&mail.uid);
            let marked = Marked {
                mail: *seq,
                // Of a mail that is gone nothing more is known.
                is_unread: if is_gone {
                    mail.is_unread
                } else {
                    marks.unseen.contains(&mail.uid)
                },
                is_answered: mail.is_answered || marks.answered.contains(&mail.uid),
                is_gone,
            };
            let known = (mail.is_unread, mail.is_answered, entry.is_gone);
            if known != (marked.is_unread, marked.is_answered, marked.is_gone) {
                changed.push(Event::Marked(marked));
            }
        }
        changed
    }
}

fn number_of(mail: &Mail) -> (String, u32, u32) {
    (mail.mailbox.clone(), mail.uid_validity, mail.uid)
}
