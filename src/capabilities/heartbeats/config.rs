//! `configs/heartbeats.json`: which jobs are expected to give signs of life, and whom echopilot
//! itself gives one. Of keys only digests are kept; who reads the file cannot ping with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::model::Watch;
use crate::base::calendar::{Cadence, CalendarError, Cron, Span, Zone};
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::alerts::Severity;
use crate::platform::config::{Config, schema_of, typed};
use crate::seams::outbound::Url;

/// Heartbeats at most. Our own choice: each costs some hundred bytes and a look at every deadline.
pub(super) const MOST_HEARTBEATS: usize = 1000;
/// Tags of one heartbeat at most.
const MOST_TAGS: usize = 16;
/// Bytes of a name or a tag at most.
const MOST_NAME: usize = 64;
/// Bytes of a description at most.
const MOST_ABOUT: usize = 1024;
/// Grace time where nothing is said: an hour, in seconds. The same as Healthchecks.
const GRACE_SECS: u64 = 3600;
/// Shortest period, in seconds: what is due more often is better probed.
const LEAST_PERIOD_SECS: u64 = 10;
/// Longest grace time, in seconds: a leap year.
const MOST_GRACE_SECS: u64 = 366 * 86_400;
/// What a name may be.
const NAME_RULE: &str = "1..=64 letters, digits or `_.-`, the first a letter or digit";

/// Signs of life: of your jobs, and of echopilot itself. Applied as soon as the file is saved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: heartbeats")]
#[serde(deny_unknown_fields, default)]
struct RawHeartbeats {
    /// Jobs by name, such as `nightly-backup`; `echopilot heartbeat url NAME` gives the address
    /// that the job calls. Default: none.
    heartbeats: BTreeMap<String, RawHeartbeat>,
    /// A watcher elsewhere that echopilot calls as long as it is well. Default: none.
    outgoing: Option<RawOutgoing>,
}

/// One job: exactly one of `every` and `cron` says when it is due.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawHeartbeat {
    /// For people: what the job does, where it runs.
    about: String,
    /// A success is due this long after the last one: `5m`, `1d`; 10s to 366d.
    every: Option<String>,
    /// A success is due at these times: five fields, `30 2 * * *`.
    cron: Option<String>,
    /// The zone by whose clocks `cron` goes, such as `Europe/London`. Default `UTC`.
    zone: Option<String>,
    /// How much later is still well, and how long a run may take: `10m`; 1s to 366d. Default `1h`.
    grace: Option<String>,
    /// Words that go into the alert's label `tags`. Default: none.
    tags: Vec<String>,
    /// How bad it is when it is down: `info`, `warning`, `error` or `critical`. Default `error`.
    severity: Option<Severity>,
    /// A success ends a pause. Default false: only somebody who resumes it does.
    resumes_by_ping: bool,
    /// Whether the name alone, `/ping/NAME`, is an address too. Whoever can reach the daemon can
    /// then speak for the job. Default false.
    slug: bool,
    /// SHA-256 of the key in the job's address, as 64 hex digits; `echopilot heartbeat url NAME`
    /// draws a key and writes this. Without it no call reaches the heartbeat.
    key_sha256: Option<String>,
}

/// A watcher elsewhere, which tells when echopilot itself has died.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawOutgoing {
    /// Called by GET once a minute, unless `configs/tasks.json` gives `outgoing-heartbeat` another
    /// cadence. What it leads to is checked against `outbound.allow` of `configs/echopilot.json`.
    url: String,
}

/// The file.
#[derive(Debug)]
pub(super) struct HeartbeatsConfig;

/// The heartbeats, checked.
#[derive(Debug, Default)]
pub(super) struct HeartbeatsRules {
    watches: BTreeMap<String, Arc<Watch>>,
    keys: HashMap<[u8; 32], Arc<Watch>>,
    /// Whom we call ourselves.
    pub(super) outgoing: Option<Url>,
}

impl HeartbeatsRules {
    /// All heartbeats, by name.
    pub(super) fn watches(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.watches.values()
    }

    /// The heartbeat `name`.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Watch>> {
        self.watches.get(name)
    }

    /// The heartbeat that is called by its name alone.
    pub(super) fn with_slug(&self, name: &str) -> Option<&Arc<Watch>> {
        self.watches.get(name).filter(|watch| watch.slug)
    }

    /// The heartbeat whose key has this digest.
    pub(super) fn with_key(&self, digest: &[u8; 32]) -> Option<&Arc<Watch>> {
        self.keys.get(digest)
    }
}

impl Config for HeartbeatsConfig {
    const FILE: &'static str = "heartbeats.json";
    const SHIPPED: &'static str = include_str!("../../../configs/heartbeats.json");
    type Rules = HeartbeatsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<HeartbeatsRules> {
        let raw: RawHeartbeats = typed(tree, problems)?;
        let before = problems.count();
        let place = Path::root().key("heartbeats");
        if raw.heartbeats.len() > MOST_HEARTBEATS {
            let allowed = format!("at most {MOST_HEARTBEATS} heartbeats");
            problems.out_of_range(&place, raw.heartbeats.len(), allowed, "remove some");
        }
        let mut rules = HeartbeatsRules::default();
        for (name, raw) in &raw.heartbeats {
            let place = place.key(name);
            let Some(watch) = read_watch(name, raw, &place, problems).map(Arc::new) else {
                continue;
            };
            if let Some(key) = watch.key
                && let Some(other) = rules.keys.insert(key, Arc::clone(&watch))
            {
                let found = format!("the key of `{}`", other.name);
                let hint = "`echopilot heartbeat url NAME --renew` draws another";
                let allowed = "a key of its own";
                problems.not_allowed(place.key("key_sha256"), found, allowed, hint);
            }
            rules.watches.insert(name.clone(), watch);
        }
        rules.outgoing = raw
            .outgoing
            .as_ref()
            .and_then(|raw| read_outgoing(raw, problems));
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawHeartbeats>()
    }
}

/// Whether `name` may name a heartbeat, or be a tag.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MOST_NAME
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn read_watch(
    name: &str,
    raw: &RawHeartbeat,
    place: &Path,
    problems: &mut Problems,
) -> Option<Watch> {
    let before = problems.count();
    if !is_name(name) {
        let found = format!("the name `{name}`");
        problems.not_allowed(place, found, NAME_RULE, "rename it; it stands in addresses");
    }
    if raw.about.len() > MOST_ABOUT {
        let (found, allowed) = (raw.about.len(), format!("at most {MOST_ABOUT} bytes"));
        problems.out_of_range(place.key("about"), found, allowed, "shorten it");
    }
    if raw.tags.len() > MOST_TAGS {
        let allowed = format!("at most {MOST_TAGS} tags");
        problems.out_of_range(place.key("tags"), raw.tags.len(), allowed, "remove some");
    }
    for (at, tag) in raw.tags.iter().enumerate().filter(|(_, tag)| !is_name(tag)) {
        let found = format!("the tag `{tag}`");
        problems.not_allowed(place.key("tags").index(at), found, NAME_RULE, "rename it");
    }
    let cadence = read_cadence(raw, place, problems);
    let bounds = (1, MOST_GRACE_SECS, "1s..=366d");
    let grace = match &raw.grace {
        Some(text) => read_span(text, bounds, place.key("grace"), problems),
        None => Some(Duration::from_secs(GRACE_SECS)),
    };
    let key = raw.key_sha256.as_ref().and_then(|text| {
        let digest = digest_of(text);
        if digest.is_none() {
            let hint = "`echopilot heartbeat url NAME` draws a key and writes its digest";
            let place = place.key("key_sha256");
            problems.not_allowed(place, "something else", "64 hex digits", hint);
        }
        digest
    });
    if problems.count() > before {
        return None;
    }
    Some(Watch {
        name: name.to_owned(),
        about: raw.about.clone(),
        cadence: cadence?,
        grace: grace?,
        tags: raw.tags.clone(),
        severity: raw.severity.unwrap_or(Severity::Error),
        resumes_by_ping: raw.resumes_by_ping,
        slug: raw.slug,
        key,
    })
}

fn read_cadence(raw: &RawHeartbeat, place: &Path, problems: &mut Problems) -> Option<Cadence> {
    let zone = match &raw.zone {
        Some(text) => noted(Zone::parse(text), place.key("zone"), problems)?,
        None => Zone::UTC,
    };
    match (&raw.every, &raw.cron) {
        (Some(text), None) => {
            if raw.zone.is_some() {
                let hint = "remove it, or write `cron` in the place of `every`";
                let found = "a zone beside `every`";
                problems.not_allowed(place.key("zone"), found, "a zone beside `cron`", hint);
            }
            let bounds = (LEAST_PERIOD_SECS, 366 * 86_400, "10s..=366d");
            let every = read_span(text, bounds, place.key("every"), problems)?;
            noted(
                Cadence::every(Span::secs(every.as_secs())),
                place.key("every"),
                problems,
            )
        }
        (None, Some(text)) => {
            let cron = noted(Cron::parse(text), place.key("cron"), problems)?;
            Some(Cadence::cron(cron, zone))
        }
        (None, None) => {
            let hint = "write \"every\": \"1d\" or \"cron\": \"30 2 * * *\"";
            problems.missing_key(place.key("every"), "`every` or `cron`", hint);
            None
        }
        (Some(_), Some(_)) => {
            let hint = "remove one: only one of them can say when it is due";
            let found = "both `every` and `cron`";
            problems.not_allowed(place.key("cron"), found, "one of them", hint);
            None
        }
    }
}

fn noted<T>(read: Result<T, CalendarError>, place: Path, problems: &mut Problems) -> Option<T> {
    read.map_err(|error| {
        problems.not_allowed(place, &error.found, &error.allowed, error.hint.clone());
    })
    .ok()
}

/// A span from `bounds.0` to `bounds.1` seconds, which `bounds.2` says for people.
fn read_span(
    text: &str,
    bounds: (u64, u64, &str),
    place: Path,
    problems: &mut Problems,
) -> Option<Duration> {
    let span = noted(Span::parse(text), place.clone(), problems)?;
    if (bounds.0..=bounds.1).contains(&span.as_secs()) {
        return Some(span.as_duration());
    }
    problems.out_of_range(place, span, bounds.2, "");
    None
}

fn read_outgoing(raw: &RawOutgoing, problems: &mut Problems) -> Option<Url> {
    let place = Path::root().key("outgoing").key("url");
    Url::parse(&raw.url)
        .map_err(|fault| {
            let allowed = "an address such as `https://watcher.example.com/ping/…`";
            problems.not_allowed(place, fault.refused(), allowed, fault.hint.clone());
        })
        .ok()
}

/// The 32 bytes of `text`.
fn digest_of(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
