//! How long to wait after a failure, who takes over what a channel refuses, what a digest says.
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use siphasher::sip::SipHasher13;

use crate::capabilities::alerts::channels::rules::{ChannelRules, Channels, Kind};
use crate::capabilities::alerts::model::{Notice, NoticeAlert, Reason, Status};
use crate::platform::alerts::Severity;

/// Pauses between the tries of a webhook, in seconds, as Standard Webhooks suggests them: 5 s, 5
/// min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
const LADDER_SECS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// The first pause of other channels, in seconds (our own choice); each next one is twice as long.
const FIRST_SECS: u64 = 2;
/// The longest pause of other channels, in seconds (our own choice).
const MOST_SECS: u64 = 300;
/// Tries of one notice at most; it expires long before where the channel is only slow.
const MOST_TRIES: u32 = 100;
/// Alerts that a digest names.
const MOST_SUMMED: usize = 100;

/// Tries of one notice at most.
pub(super) fn most_tries(kind: &Kind) -> u32 {
    match kind {
        Kind::Webhook { .. } => u32::try_from(LADDER_SECS.len()).unwrap_or(0) + 1,
        _ => MOST_TRIES,
    }
}

/// How long to wait after try number `attempt` of the notice `id`, where the channel does not say:
/// up to a quarter less than the full pause, so that not all come again at once. What is in the way
/// here (`is_ours`) may be mended any minute.
pub(super) fn pause(kind: &Kind, is_ours: bool, id: &str, attempt: u32) -> Duration {
    let step = attempt.saturating_sub(1);
    let full = match kind {
        Kind::Webhook { .. } if !is_ours => {
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            let last = LADDER_SECS.len() - 1;
            LADDER_SECS
                .get(step.min(last))
                .copied()
                .unwrap_or(MOST_SECS)
        }
        _ => FIRST_SECS.saturating_mul(1 << step.min(20)).min(MOST_SECS),
    };
    let drawn = SipHasher13::new().hash(format!("{id} {attempt}").as_bytes());
    // 0 to 255 in 1024ths of the pause.
    let less = u32::try_from(drawn & 0xff).unwrap_or(0);
    let full = Duration::from_secs(full);
    full.saturating_sub(full * less / 1024)
}

/// The channel that takes over `notice`, which its own refused for good: the first in the list that
/// it has not been to.
pub(super) fn fallback<'c>(
    channels: &'c Channels,
    refused_by: &ChannelRules,
    notice: &Notice,
) -> Option<&'c Arc<ChannelRules>> {
    let firsts = notice.via.iter().filter_map(|name| channels.named(name));
    let lists = firsts.map(|rules| &rules.fallback);
    let names = lists.chain([&refused_by.fallback]).flatten();
    let is_new = |name: &&String| **name != refused_by.name && !notice.via.contains(name);
    names.filter(is_new).find_map(|name| channels.named(name))
}

/// `notice` for `channel`, as its own could not take it. The same in every try.
pub(super) fn taken_over(notice: &Notice, channel: &str) -> Notice {
    let mut copy = notice.clone();
    copy.via.push(notice.channel.clone());
    channel.clone_into(&mut copy.channel);
    copy.id = format!("{}~{channel}", notice.id);
    copy
}

/// One notice for all that `channel` could not be told in time, the oldest first. Each alert is
/// told once, as it was known last.
pub(super) fn digest(channel: &str, late: &[Arc<Notice>], now: DateTime<Utc>) -> Notice {
    let mut alerts: BTreeMap<&str, &NoticeAlert> = BTreeMap::new();
    let mut more = 0_u32;
    let mut severity = Severity::Info;
    for notice in late {
        more = more.saturating_add(notice.more);
        severity = severity.max(notice.severity);
        for alert in &notice.alerts {
            alerts.insert(&alert.key, alert);
        }
    }
    let mut alerts: Vec<NoticeAlert> = alerts.into_values().cloned().collect();
    let is_over = |alert: &NoticeAlert| alert.status == Status::Resolved;
    alerts.sort_by_key(|alert| (is_over(alert), std::cmp::Reverse(alert.severity)));
    let surplus = alerts.len().saturating_sub(MOST_SUMMED);
    alerts.truncate(MOST_SUMMED);
    let ids: Vec<&str> = late.iter().map(|notice| notice.id.as_str()).collect();
    let of = SipHasher13::new().hash(ids.join(" ").as_bytes());
    let id = format!("digest-{channel}-{of:016x}");
    Notice {
        group: format!("digest:{channel}"),
        id,
        channel: channel.to_owned(),
        reason: Reason::Digest,
        severity,
        at: now,
        group_labels: BTreeMap::new(),
        alerts,
        more: more.saturating_add(u32::try_from(surplus).unwrap_or(u32::MAX)),
        incident: String::new(),
        causes: Vec::new(),
        ack_url: None,
        via: Vec::new(),
    }
}
