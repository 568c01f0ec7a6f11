//! Deadlines: how long a conversation waits for us. The first answer and every next one have a
//! deadline by the customer's tier, in business hours. An answer in the Sent folder stops it.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::model::{Kind, Mail};
use super::hours::Timetable;
use super::rules::Rules;
use super::threads::Thread;

/// Share of the time to a deadline after which it is near: three quarters.
const NEAR: i32 = 4;

/// A conversation that waits for our answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The mail that waits longest in it.
    pub(super) mail: usize,
    /// The last mail that waits in it.
    pub(super) last: usize,
    /// How many mails of the customer wait.
    pub(super) count: usize,
    /// Since when.
    pub(super) since: DateTime<Utc>,
    /// Business time that it has waited.
    pub(super) waited: TimeDelta,
    /// Until when it should be answered; none where that is further off than is reckoned.
    pub(super) due: Option<DateTime<Utc>>,
    /// Whether we have answered nothing in it yet.
    pub(super) is_first: bool,
    /// The customer's tier.
    pub(super) tier: String,
    /// Business time that the tier allows.
    pub(super) allowed: TimeDelta,
}

impl Waiting {
    /// Whether the deadline has passed.
    pub(super) fn is_breached(&self) -> bool {
        self.waited > self.allowed
    }

    /// Whether three quarters of the time have passed.
    pub(super) fn is_near(&self) -> bool {
        !self.is_breached() && self.waited * NEAR >= self.allowed * (NEAR - 1)
    }
}

/// A first answer that was given: how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    /// Business time from the first mail to our first answer.
    pub(super) took: TimeDelta,
    /// When it was given.
    pub(super) at: DateTime<Utc>,
    /// Whether that was in time.
    pub(super) in_time: bool,
}

/// What a conversation is due: none where nobody waits in it.
pub(super) fn waiting(
    thread: &Thread,
    mails: &[&Mail],
    rules: &Rules,
    table: &Timetable,
    now: DateTime<Utc>,
) -> Option<Waiting> {
    let mut open: Vec<usize> = Vec::new();
    let mut has_answer = false;
    for &at in &thread.mails {
        match mails.get(at) {
            Some(mail) if mail.kind == Kind::Own => {
                has_answer = true;
                open.clear();
            }
            // Somebody's mail program says that it answered; the answer itself is not seen here.
            Some(mail) if mail.kind == Kind::Person && mail.is_answered => {
                has_answer = true;
                open.clear();
            }
            Some(mail) if mail.kind == Kind::Person => open.push(at),
            _ => {}
        }
    }
    let (&first, &last) = (open.first()?, open.last()?);
    let mail = mails.get(first)?;
    let tier = rules.tier(&mail.from.address);
    let hours = if has_answer {
        tier.next_hours
    } else {
        tier.first_hours
    };
    let allowed = TimeDelta::hours(i64::from(hours));
    Some(Waiting {
        mail: first,
        last,
        count: open.len(),
        since: mail.date,
        waited: table.between(mail.date, now),
        due: table.after(mail.date, allowed),
        is_first: !has_answer,
        tier: tier.name.clone(),
        allowed,
    })
}

/// How long our first answer in a conversation took; none where there is none that we saw.
pub(super) fn first_answer(
    thread: &Thread,
    mails: &[&Mail],
    rules: &Rules,
    table: &Timetable,
) -> Option<Answered> {
    let mut in_order = thread.mails.iter().filter_map(|&at| mails.get(at));
    // A conversation that we began has no first answer.
    let first = in_order.find(|mail| matches!(mail.kind, Kind::Person | Kind::Own))?;
    if first.kind == Kind::Own {
        return None;
    }
    let answer = in_order.find(|mail| mail.kind == Kind::Own)?;
    let took = table.between(first.date, answer.date);
    let allowed = TimeDelta::hours(i64::from(rules.tier(&first.from.address).first_hours));
    Some(Answered {
        took,
        at: answer.date,
        in_time: took <= allowed,
    })
}
