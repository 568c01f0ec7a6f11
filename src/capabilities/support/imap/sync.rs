//! One visit: what is new in each mailbox, the newest first, in batches that are kept one by one,
//! so that a visit that ends early loses nothing and the next one goes on from there.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fault::MailFault;
use super::look::{Examined, Listed, Part, cost};
use super::pending::Pending;
use super::session::Session;
use crate::capabilities::support::model::Fetched;

/// Numbers that one search covers in a large mailbox (our own choice: its answer has 220 KB).
const WINDOW: u32 = 20_000;
/// Mails whose sizes are asked for at once (our own choice).
const LISTED: usize = 250;
/// Bytes of mails that are asked for at once: half a MiB, so that a slow line brings them in time
/// (our own choice).
const BATCH_BYTES: u64 = 512 << 10;
/// No batch is begun with less time than this before the end of the visit.
const SPARE: Duration = Duration::from_secs(8);
/// No batch is begun with fewer bytes than this left of the visit.
const SPARE_BYTES: u64 = 2 << 20;

/// How far a mailbox has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The numbering of its mails; another one means that all numbers are new.
    pub uid_validity: u32,
    /// Every mail below this number has been read, but for those that are pending.
    pub uid_next: u32,
    /// What has not been read yet.
    pub pending: Pending,
    /// Mails in it.
    pub exists: u32,
}

/// Mails that were fetched, and how far the mailbox is read with them.
#[derive(Debug)]
pub struct Batch {
    /// The mailbox.
    pub mailbox: String,
    /// How far it is read.
    pub place: Place,
    /// The mails; may be none.
    pub mails: Vec<Fetched>,
}

/// How the known mails of a mailbox are marked.
#[derive(Debug)]
pub struct Marks {
    /// The mailbox.
    pub mailbox: String,
    /// The numbering.
    pub uid_validity: u32,
    /// Which numbers were asked for, both ends in.
    pub range: (u32, u32),
    /// Those that are there.
    pub present: BTreeSet<u32>,
    /// Those that nobody has opened.
    pub unseen: BTreeSet<u32>,
    /// Those that were answered.
    pub answered: BTreeSet<u32>,
}

/// A step of keeping.
pub type Keeping<'a> = Pin<Box<dyn Future<Output = Result<(), MailFault>> + Send + 'a>>;

/// Who remembers what was read.
pub trait Keeper: Send {
    /// How far `mailbox` was read by earlier visits.
    fn place(&self, mailbox: &str) -> Option<Place>;
    /// Keeps a batch.
    fn keep(&mut self, batch: Batch) -> Keeping<'_>;
    /// The lowest of the latest mails of `mailbox` whose marks are of interest.
    fn marked_from(&self, mailbox: &str) -> Option<u32>;
    /// Keeps how mails are marked.
    fn mark(&mut self, marks: Marks) -> Keeping<'_>;
}

/// What a visit looks for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Mailboxes that are read.
    pub mailboxes: &'a [String],
    /// Where our own answers are; `None` = where the server says.
    pub sent: Option<&'a str>,
    /// Mails from before are left alone.
    pub oldest: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// What became of one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Visited {
    /// The mailbox.
    pub mailbox: String,
    /// Mails in it.
    pub exists: u32,
    /// Mails read in this visit.
    pub read: u32,
    /// Mails found that are too old to be read.
    pub older: u32,
    /// Whether everything in it has been read.
    pub is_complete: bool,
    /// Why it was not read, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Reads what is new.
pub async fn visit(
    session: &mut Session,
    wish: Wish<'_>,
    keeper: &mut dyn Keeper,
) -> Result<Vec<Visited>, MailFault> {
    let mut all = Vec::new();
    let mut refusal = None;
    for mailbox in wish.mailboxes {
        let mut visited = Visited {
            mailbox: mailbox.clone(),
            ..Visited::default()
        };
        match read(session, wish, keeper, false, &mut visited).await {
            Err(fault @ MailFault::Refused { .. }) => {
                visited.refused = Some(fault.to_string());
                refusal = Some(fault);
            }
            other => other?,
        }
        all.push(visited);
    }
    if let Some(fault) = refusal
        && all.iter().all(|visited| visited.refused.is_some())
    {
        return Err(fault);
    }
    let found = match wish.sent {
        Some(name) => Some(name.to_owned()),
        None => session.sent_mailbox().await?,
    };
    let Some(sent) = found.filter(|sent| !wish.mailboxes.contains(sent)) else {
        return Ok(all);
    };
    let mut visited = Visited {
        mailbox: sent,
        ..Visited::default()
    };
    // Without it the inbox is read all the same: only answers from elsewhere are not known.
    match read(session, wish, keeper, true, &mut visited).await {
        Err(fault @ MailFault::Refused { .. }) => visited.refused = Some(fault.to_string()),
        other => other?,
    }
    all.push(visited);
    Ok(all)
}

async fn read(
    session: &mut Session,
    wish: Wish<'_>,
    keeper: &mut dyn Keeper,
    is_sent: bool,
    visited: &mut Visited,
) -> Result<(), MailFault> {
    let mailbox = visited.mailbox.clone();
    let examined = session.examine(&mailbox).await?;
    visited.exists = examined.exists;
    let known = keeper.place(&mailbox);
    let is_first = known.as_ref().map(|known| known.uid_validity) != Some(examined.uid_validity);
    let mut reading = Reading {
        place: reopened(session, known.clone(), examined).await?,
        wish,
        is_sent,
        is_first,
        visited,
    };
    while let Some(window) = reading.window(examined) {
        if !has_room(session) {
            break;
        }
        reading.window_read(session, keeper, window).await?;
    }
    let place = reading.place;
    visited.is_complete = place.pending.is_empty();
    let (uid_validity, last) = (place.uid_validity, place.uid_next.saturating_sub(1));
    if known.as_ref() != Some(&place) {
        let batch = Batch {
            mailbox: mailbox.clone(),
            place,
            mails: Vec::new(),
        };
        keeper.keep(batch).await?;
    }
    let Some(from) = keeper.marked_from(&mailbox).filter(|_| !is_sent) else {
        return Ok(());
    };
    let range = (from, last);
    let marks = Marks {
        present: session.search(range, "").await?,
        unseen: session.search(range, "UNSEEN").await?,
        answered: session.search(range, "ANSWERED").await?,
        mailbox,
        uid_validity,
        range,
    };
    keeper.mark(marks).await
}

fn has_room(session: &Session) -> bool {
    session.left() > SPARE && session.bytes_left() > SPARE_BYTES
}

/// The place of a mailbox with what has come since.
async fn reopened(
    session: &mut Session,
    known: Option<Place>,
    examined: Examined,
) -> Result<Place, MailFault> {
    let is_same = |place: &Place| place.uid_validity == examined.uid_validity;
    let mut place = known.filter(is_same).unwrap_or(Place {
        uid_validity: examined.uid_validity,
        uid_next: 1,
        ..Place::default()
    });
    place.exists = examined.exists;
    let uid_next = match examined.uid_next {
        // The server does not say: the last mail does.
        0 => {
            let found = session
                .search((place.uid_next.max(1), u32::MAX), "")
                .await?;
            found.last().map_or(0, |last| last.saturating_add(1))
        }
        next => next,
    };
    if uid_next > place.uid_next {
        place.pending.push(place.uid_next.max(1), uid_next - 1);
        place.uid_next = uid_next;
    }
    if examined.exists == 0 {
        place.pending.clear();
    }
    Ok(place)
}

/// One mailbox being read.
struct Reading<'a> {
    place: Place,
    wish: Wish<'a>,
    is_sent: bool,
    is_first: bool,
    visited: &'a mut Visited,
}

impl Reading<'_> {
    /// The numbers to look for next.
    fn window(&self, examined: Examined) -> Option<(u32, u32)> {
        // In a small mailbox numbers may be far apart: one search finds all of them.
        let widest = if examined.exists <= WINDOW {
            u32::MAX
        } else {
            WINDOW
        };
        self.place.pending.top(widest)
    }

    const fn part(&self) -> Part {
        if self.is_sent {
            Part::Head
        } else {
            Part::Start
        }
    }

    async fn window_read(
        &mut self,
        session: &mut Session,
        keeper: &mut dyn Keeper,
        window: (u32, u32),
    ) -> Result<(), MailFault> {
        let found = session.search(window, "").await?;
        let uids: Vec<u32> = found.into_iter().collect();
        for uids in uids.rchunks(LISTED) {
            if !has_room(session) {
                return Ok(());
            }
            let listed = session.list(uids).await?;
            let is_old = |one: &Listed| one.internal_date.is_some_and(|at| at < self.wish.oldest);
            let (old, young): (Vec<_>, Vec<_>) = listed.into_values().partition(is_old);
            self.visited.older += u32::try_from(old.len()).unwrap_or(u32::MAX);
            let is_past = self.is_first && young.is_empty() && !old.is_empty();
            for group in groups(young, self.part()) {
                if !has_room(session) {
                    return Ok(());
                }
                self.group_read(session, keeper, group).await?;
            }
            if is_past {
                // Below are still older ones.
                self.place.pending.clear();
                return Ok(());
            }
            if let Some(lowest) = uids.first() {
                self.place.pending.done_down_to(*lowest);
            }
        }
        self.place.pending.done_down_to(window.0);
        Ok(())
    }

    async fn group_read(
        &mut self,
        session: &mut Session,
        keeper: &mut dyn Keeper,
        group: Vec<Listed>,
    ) -> Result<(), MailFault> {
        let uids: Vec<u32> = group.iter().map(|one| one.uid).collect();
        let bytes = group.iter().map(|one| cost(one, self.part())).sum();
        let mut texts = session.fetch(&uids, self.part(), bytes).await?;
        let mails = group.into_iter().map(|one| {
            let text = texts.remove(&one.uid).unwrap_or_default();
            let head = text.slice(..head_end(&text));
            Fetched {
                uid: one.uid,
                uid_validity: self.place.uid_validity,
                mailbox: self.visited.mailbox.clone(),
                is_sent: self.is_sent,
                size: one.size,
                flags: one.flags,
                internal_date: one.internal_date.unwrap_or(self.wish.now),
                head,
                body: if self.is_sent {
                    bytes::Bytes::new()
                } else {
                    text
                },
            }
        });
        let mails: Vec<Fetched> = mails.collect();
        self.visited.read += u32::try_from(mails.len()).unwrap_or(u32::MAX);
        if let Some(lowest) = uids.first() {
            self.place.pending.done_down_to(*lowest);
        }
        let batch = Batch {
            mailbox: self.visited.mailbox.clone(),
            place: self.place.clone(),
            mails,
        };
        keeper.keep(batch).await
    }
}

/// Mails, which ascend, in groups of about half a MiB, the newest group first; each ascends.
fn groups(listed: Vec<Listed>, part: Part) -> Vec<Vec<Listed>> {
    let mut groups: Vec<Vec<Listed>> = Vec::new();
    let mut bytes = 0;
    for one in listed.into_iter().rev() {
        let its = cost(&one, part);
        match groups.last_mut() {
            Some(group) if bytes + its <= BATCH_BYTES => {
                bytes += its;
                group.push(one);
            }
            _ => {
                bytes = its;
                groups.push(vec![one]);
            }
        }
    }
    for group in &mut groups {
        group.reverse();
    }
    groups
}

/// Where the headers end: behind the first empty line.
fn head_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(end) = memchr::memchr(b'\n', text.get(at..).unwrap_or_default()) {
        let line = text.get(at..at + end).unwrap_or_default();
        at += end + 1;
        if line.is_empty() || line == b"\r" {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_at_the_first_empty_line() {
        for (text, head) in [
            ("A: b\r\n\r\nbody\r\n\r\n", "A: b\r\n\r\n"),
            ("A: b\n\nbody", "A: b\n\n"),
            ("\r\nbody", "\r\n"),
            ("A: b\r\nC: d", "A: b\r\nC: d"),
            ("", ""),
        ] {
            assert_eq!(head_end(text.as_bytes()), head.len(), "{text:?}");
        }
    }

    #[test]
    fn groups_are_bounded_and_the_newest_is_first() {
        let listed = (1..=20).map(|uid| Listed {
            uid,
            size: 200_000,
            flags: Vec::new(),
            internal_date: None,
        });
        let groups = groups(listed.collect(), Part::Start);
        let uids: Vec<Vec<u32>> = groups
            .iter()
            .map(|group| group.iter().map(|one| one.uid).collect())
            .collect();
        // Of each 64 KiB at most are fetched.
        assert_eq!(uids[0], (13..=20).collect::<Vec<_>>());
        assert_eq!(uids.len(), 3);
    }
}
