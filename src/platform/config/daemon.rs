//! `configs/echopilot.json`: the daemon's own settings. A file of `{}` is complete: every key has
//! the default that is written beside it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::kind::{Config, schema_of, typed};
use super::outbound::{self, RawOutbound};
use super::retention;
use crate::base::json::{Path, Tree};
use crate::base::names;
use crate::base::problems::Problems;
use crate::seams::outbound::Allow;
use crate::storage::engine::{Durability, StreamOptions};

/// The daemon's own configuration.
#[derive(Debug, Clone, Copy)]
pub struct DaemonConfig;

/// The daemon's settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: the daemon's own settings")]
#[serde(deny_unknown_fields, default)]
struct RawDaemon {
    /// IP address and port to listen on; port 0 takes any free one. Takes effect at the next start.
    listen: String,
    /// Names that the `Host` header may carry, without port; `*` allows all. Other names are
    /// refused, so that no foreign web page reaches the daemon through a browser.
    allowed_hosts: Vec<String>,
    /// Addresses or networks, such as `10.0.0.0/8`, whose `X-Forwarded-For` is believed.
    trusted_proxies: Vec<String>,
    /// What clients may ask for.
    limits: Limits,
    /// What probes, scrapes and webhooks may call beyond the open internet.
    outbound: RawOutbound,
    /// How journals are kept.
    journals: RawJournals,
    /// Bytes set aside for what must still be written on a full disk; 0 = none. Takes effect at the
    /// next start.
    #[schemars(range(max = 1_073_741_824))]
    reserve_bytes: u64,
}

/// What clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a minute of one address without a key.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub keyless_per_ip_per_minute: u32,
    /// Requests a minute of all addresses together without a key.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub keyless_total_per_minute: u32,
    /// Requests a minute without a key of an address on this machine.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub loopback_per_ip_per_minute: u32,
    /// Requests a minute of one key that has no limit of its own.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub per_key_per_minute: u32,
    /// Wrong keys a minute of one address.
    #[schemars(range(min = 1, max = 60_000))]
    pub failed_auth_per_ip_per_minute: u32,
    /// Open connections in all.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_connections: u32,
    /// Open connections of one address; at most `max_connections`.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_connections_per_ip: u32,
    /// Requests being worked on at the same time.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_requests_in_work: u32,
}

/// How journals are kept, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawJournals {
    /// Bytes after which a segment is sealed and the next one begun. Takes effect at the next
    /// start.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    segment_bytes: u64,
    /// Hours after which a segment is sealed, however small. Takes effect at the next start.
    #[schemars(range(min = 1, max = 8784))]
    segment_age_hours: u32,
    /// When a line counts as written, by journal: `always` = on the medium, `os` = handed to the
    /// system, `interval:1s` = handed to the system and on the medium within that time (s or ms).
    /// `always` where nothing is said. `exposures` are the first exposures within `experiments`.
    durability: BTreeMap<String, String>,
    /// Days after its last line at which a sealed segment is compressed; 0 = never. Default 7.
    /// Every zstd program reads it; the task `retention` does it at night.
    #[schemars(range(max = 36_500))]
    compress_after_days: u32,
    /// Days that lines are kept, by journal; a sealed segment is removed when all of its lines are
    /// older. A journal that is not named is kept for ever. Only journals that mean the same
    /// without their beginning may be named.
    retention_days: BTreeMap<String, u32>,
}

impl Default for RawDaemon {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            listen: "127.0.0.1:5000".into(),
            allowed_hosts: words(&["localhost", "127.0.0.1", "[::1]"]),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            outbound: RawOutbound::default(),
            journals: RawJournals::default(),
            reserve_bytes: DEFAULT_RESERVE_BYTES,
        }
    }
}

/// Name of the first exposures of users among the durabilities. By default they are answered after
/// `write(2)` and on the medium within a second: one that a power cut takes is recorded at the
/// user's next assignment.
pub const EXPOSURES: &str = "exposures";

/// Days that a sealed segment stays plain by default: who looks at the last week with `grep` needs
/// no other tool.
const COMPRESS_AFTER_DAYS: u32 = 7;

/// Bytes in reserve by default. Source: rule L9 of the reliability notes.
const DEFAULT_RESERVE_BYTES: u64 = 8 << 20;

/// The least and the greatest interval of `interval:`, a bound on what a power cut may take.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_mins(1);

impl Default for Limits {
    /// Rules H3 and H9 of the reliability notes; 6 million a minute is a loop gone wild, not an
    /// application.
    fn default() -> Self {
        Self {
            keyless_per_ip_per_minute: 20,
            keyless_total_per_minute: 200,
            loopback_per_ip_per_minute: 20,
            per_key_per_minute: 6_000_000,
            failed_auth_per_ip_per_minute: 10,
            max_connections: 4096,
            max_connections_per_ip: 256,
            max_requests_in_work: 1024,
        }
    }
}

impl Default for RawJournals {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age_hours: 24,
            durability: [(EXPOSURES.to_owned(), "interval:1s".to_owned())].into(),
            compress_after_days: COMPRESS_AFTER_DAYS,
            retention_days: BTreeMap::new(),
        }
    }
}

/// The daemon's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonRules {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names that `Host` may carry: lower case, without port and brackets; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Addresses and networks in the usual form, each valid.
    pub trusted_proxies: Vec<String>,
    /// What clients may ask for.
    pub limits: Limits,
    /// What may be called beyond the open internet.
    pub outbound: Arc<Allow>,
    /// Bytes after which a segment is sealed.
    pub segment_bytes: u64,
    /// Age after which a segment is sealed.
    pub segment_age: Duration,
    /// Bytes in reserve.
    pub reserve_bytes: u64,
    /// Age at which a sealed segment is packed; `None` = never.
    pub compress_after: Option<Duration>,
    /// Days that lines are kept, by journal; others are kept for ever.
    pub retention_days: BTreeMap<String, u32>,
    durability: BTreeMap<String, Durability>,
}

impl DaemonRules {
    /// When a line of `journal` counts as written.
    pub fn durability(&self, journal: &str) -> Durability {
        self.durability
            .get(journal)
            .copied()
            .unwrap_or(Durability::Always)
    }

    /// The durability of whole journals, which they are opened with; that of exposures is asked for
    /// with each of them.
    fn journals(&self) -> impl Iterator<Item = (&String, &Durability)> {
        self.durability
            .iter()
            .filter(|(name, _)| *name != EXPOSURES)
    }

    /// What a journal is opened with.
    pub fn stream_options(&self, journal: &str) -> StreamOptions {
        StreamOptions {
            durability: self.durability(journal),
            segment_bytes: self.segment_bytes,
            segment_age: self.segment_age,
        }
    }
}

impl Config for DaemonConfig {
    const FILE: &'static str = "echopilot.json";
    const SHIPPED: &'static str = include_str!("../../../configs/echopilot.json");
    type Rules = DaemonRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<DaemonRules> {
        check(typed(tree, problems)?, problems)
    }

    fn schema() -> Schema {
        schema_of::<RawDaemon>()
    }

    fn restart_needed(started_with: &DaemonRules, now: &DaemonRules) -> Vec<&'static str> {
        [
            ("listen", started_with.listen != now.listen),
            (
                "journals.segment_bytes",
                started_with.segment_bytes != now.segment_bytes,
            ),
            (
                "journals.segment_age_hours",
                started_with.segment_age != now.segment_age,
            ),
            (
                "journals.durability",
                !started_with.journals().eq(now.journals()),
            ),
            (
                "reserve_bytes",
                started_with.reserve_bytes != now.reserve_bytes,
            ),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect()
    }
}

fn check(raw: RawDaemon, problems: &mut Problems) -> Option<DaemonRules> {
    let before = problems.count();
    let listen = raw.listen.parse::<SocketAddr>().ok();
    if listen.is_none() {
        let hint =
            "0.0.0.0:5000 listens to every network; names such as localhost are not resolved";
        let allowed = "an IP address and a port, such as \"127.0.0.1:5000\" or \"[::1]:5000\"";
        problems.not_allowed("listen", quoted(&raw.listen), allowed, hint);
    }
    let list = |key: &str, index: usize| Path::root().key(key).index(index);
    let mut hosts = Vec::with_capacity(raw.allowed_hosts.len());
    for (index, host) in raw.allowed_hosts.iter().enumerate() {
        match host_name(host) {
            Some(name) => hosts.push(name),
            None => problems.not_allowed(
                list("allowed_hosts", index),
                quoted(host),
                "a host name, an IP address or `*`, without scheme, port and path",
                "every port is allowed for a name that is listed",
            ),
        }
    }
    for (index, network) in raw.trusted_proxies.iter().enumerate() {
        if !is_network(network) {
            let allowed = "an IP address or a network such as 10.0.0.0/8";
            problems.not_allowed(list("trusted_proxies", index), quoted(network), allowed, "");
        }
    }
    if raw.limits.max_connections_per_ip > raw.limits.max_connections {
        problems.out_of_range(
            "limits.max_connections_per_ip",
            raw.limits.max_connections_per_ip,
            format!(
                "at most `max_connections`, which is {}",
                raw.limits.max_connections
            ),
            "one address must not be able to take every connection",
        );
    }
    let outbound = outbound::checked(&raw.outbound, problems);
    let durability = durabilities(&raw.journals.durability, problems);
    retention::check(&raw.journals.retention_days, problems);
    let compress_days = raw.journals.compress_after_days;
    if problems.count() > before {
        return None;
    }
    Some(DaemonRules {
        listen: listen?,
        allowed_hosts: hosts,
        trusted_proxies: raw.trusted_proxies,
        limits: raw.limits,
        outbound,
        segment_bytes: raw.journals.segment_bytes,
        segment_age: Duration::from_hours(u64::from(raw.journals.segment_age_hours)),
        reserve_bytes: raw.reserve_bytes,
        compress_after: (compress_days > 0)
            .then(|| Duration::from_hours(24 * u64::from(compress_days))),
        retention_days: raw.journals.retention_days,
        durability,
    })
}

fn durabilities(
    raw: &BTreeMap<String, String>,
    problems: &mut Problems,
) -> BTreeMap<String, Durability> {
    let mut checked = BTreeMap::new();
    for (journal, text) in raw {
        let path = Path::from("journals.durability").key(journal);
        if !names::is_name(journal) {
            let allowed = "a journal's name: a-z, 0-9, `_` and `-`, at most 64 of them";
            problems.not_allowed(path, format!("the key `{journal}`"), allowed, "");
        } else if let Some(durability) = durability(text) {
            checked.insert(journal.clone(), durability);
        } else {
            let allowed = "`always`, `os`, or `interval:` and 1ms to 60s, such as `interval:1s`";
            problems.not_allowed(path, quoted(text), allowed, "");
        }
    }
    checked
}

fn durability(text: &str) -> Option<Durability> {
    match text {
        "always" => Some(Durability::Always),
        "os" => Some(Durability::Os),
        _ => {
            let span = text.strip_prefix("interval:")?;
            let span = if let Some(millis) = span.strip_suffix("ms") {
                Duration::from_millis(millis.parse().ok()?)
            } else {
                Duration::from_secs(span.strip_suffix('s')?.parse().ok()?)
            };
            INTERVALS
                .contains(&span)
                .then_some(Durability::Interval(span))
        }
    }
}

/// A host name as `Host` carries it, without the brackets of an IPv6 address.
fn host_name(text: &str) -> Option<String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let is_name = |text: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    (text == "*" || inner.parse::<IpAddr>().is_ok() || is_name(text))
        .then(|| inner.to_ascii_lowercase())
}

fn is_network(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let all = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= all))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
