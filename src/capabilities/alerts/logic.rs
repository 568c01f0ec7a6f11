//! Whether a channel is told of a group now, and why. Pure: what holds against what was told.
//!
//! The reasons are Alertmanager's: the group is new, alerts have joined it, all have ended, some
//! have ended, the repeat interval has passed, else nothing. Three are our own: an alert has become
//! more severe, it escalates, it flaps. What ended before it was told is never told.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::model::{Reason, Status};
use super::outbox::Told;
use crate::base::hex;
use crate::base::time::stamp;
use crate::platform::alerts::Severity;

/// An alert of the group that holds and that the channel may be told of, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Standing<'a> {
    /// Its key.
    pub(super) key: &'a str,
    /// How bad it is.
    pub(super) severity: Severity,
    /// When it was noticed.
    pub(super) fired_at: DateTime<Utc>,
    /// Whether the channel was told that it holds.
    pub(super) is_told: bool,
    /// Whether somebody has taken it up.
    pub(super) is_acknowledged: bool,
    /// Whether nothing of it may be told for now but what was told already: quiet hours.
    pub(super) is_quiet: bool,
    /// Whether the channel hears of it only because nobody has taken it up.
    pub(super) is_escalated: bool,
    /// Whether it flaps and that has not been told.
    pub(super) is_flapping_news: bool,
}

/// What a channel knows and what is so, of one group.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// What the channel was last told.
    pub(super) told: Option<&'a Told>,
    /// What holds.
    pub(super) firing: &'a [Standing<'a>],
    /// What it was told to hold and has ended.
    pub(super) ended: &'a [&'a str],
    /// Whether something that it was told of still holds but is hidden now.
    pub(super) is_hiding: bool,
    /// When what has not changed is told again.
    pub(super) repeat: TimeDelta,
}

/// Whether `told` says that `key` holds.
pub(super) fn is_named(told: &Told, key: &str) -> bool {
    let known = told.alerts.get(key);
    known.is_some_and(|(status, _)| *status == Status::Firing)
}

/// Whether `key` was counted in what was told, where that named only the worst of too many: what
/// was there by then. `since` is from when on it may be told.
pub(super) fn is_counted(told: Option<&Told>, key: &str, since: DateTime<Utc>) -> bool {
    told.is_some_and(|told| told.more > 0 && since <= told.at && !told.alerts.contains_key(key))
}

/// Why the channel is told now; `None`: it is not.
pub(super) fn reason(case: &Case<'_>, now: DateTime<Utc>) -> Option<Reason> {
    let mut fresh = case.firing.iter().filter(|one| !one.is_told).peekable();
    if fresh.peek().is_some() {
        let mut rest = fresh.clone();
        if fresh.clone().all(|one| one.is_escalated) {
            return Some(Reason::Escalation);
        }
        return Some(if rest.all(|one| one.is_flapping_news) {
            Reason::Flapping
        } else if case.told.is_none() {
            Reason::First
        } else {
            Reason::NewAlerts
        });
    }
    let told = case.told?;
    let open = || case.firing.iter().filter(|one| !one.is_quiet);
    let worse = |one: &Standing<'_>| {
        let known = told.alerts.get(one.key);
        !one.is_acknowledged && known.is_some_and(|(_, severity)| one.severity > *severity)
    };
    if open().any(worse) {
        return Some(Reason::Worse);
    }
    if open().any(|one| one.is_flapping_news) {
        return Some(Reason::Flapping);
    }
    if !case.ended.is_empty() {
        let all = case.firing.is_empty() && !case.is_hiding;
        return Some(if all {
            Reason::AllResolved
        } else {
            Reason::NewResolved
        });
    }
    let unattended = open().any(|one| !one.is_acknowledged);
    (unattended && told.at + case.repeat <= now).then_some(Reason::Repeat)
}

/// The identity of the notice that this case makes: the same if the same is decided again, such as
/// after a crash between deciding and knowing that the outbox has it.
pub(super) fn notice_id(group: &str, channel: &str, case: &Case<'_>) -> String {
    let mut hash = Sha256::new();
    let mut put = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    put(group);
    put(channel);
    put(&case.told.map(|told| stamp(told.at)).unwrap_or_default());
    for one in case.firing {
        put(one.key);
        put(&stamp(one.fired_at));
        put(super::labels::level(one.severity));
        put(if one.is_flapping_news {
            "flapping"
        } else {
            "firing"
        });
    }
    for key in case.ended {
        put(key);
        put("ended");
    }
    hex::of(hash.finalize().get(..16).unwrap_or_default())
}
