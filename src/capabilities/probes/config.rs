//! `configs/probes.json`: from what is written to what is run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::Schema;
use siphasher::sip::SipHasher13;

use super::model::{Check, Maintenance, Probe, ProbesRules};
use super::raw::{RawMaintenance, RawProbe, RawProbes};
use super::target;
use crate::base::calendar::{CalendarError, Span, TimeOfDay, Weekdays, Window, Zone};
use crate::base::json::{Path, Tree};
use crate::base::names;
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
use crate::seams::outbound::Target;

/// Probes at most: 500 are what the daemon is measured with.
const MOST_PROBES: usize = 5_000;
/// Seconds after which a look is given up, where nothing is said (as every call of ours).
const DEFAULT_TIMEOUT_SECS: u32 = 10;
/// Seconds from one look to the next while it is not sure, where nothing is said: three failures
/// are then known within a minute (our own choice).
const DEFAULT_RETRY_SECS: u32 = 20;

/// The file.
#[derive(Debug)]
pub(super) struct ProbesConfig;

impl Config for ProbesConfig {
    const FILE: &'static str = "probes.json";
    const SHIPPED: &'static str = include_str!("../../../configs/probes.json");
    type Rules = ProbesRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<ProbesRules> {
        let raw: RawProbes = typed(tree, problems)?;
        let before = problems.count();
        let rules = checked(&raw, problems);
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawProbes>()
    }
}

fn checked(raw: &RawProbes, problems: &mut Problems) -> ProbesRules {
    let root = Path::root();
    if raw.probes.len() > MOST_PROBES {
        let found = format!("a list of {}", raw.probes.len());
        let allowed = format!("at most {MOST_PROBES} probes");
        problems.not_allowed("probes", found, allowed, "");
    }
    let mut connectivity = Vec::new();
    for (index, text) in raw.connectivity.targets.iter().enumerate() {
        let place = root.key("connectivity").key("targets").index(index);
        match Target::parse(text) {
            Ok(target) => connectivity.push(target),
            Err(fault) => target::refuse(problems, place, text, "a host with a port", &fault),
        }
    }
    let mut probes = BTreeMap::new();
    for (name, one) in &raw.probes {
        let place = root.key("probes").key(name);
        if !names::is_name(name) {
            let allowed = "a name: a-z, 0-9, `_` and `-`, at most 64 of them";
            problems.not_allowed(place, format!("the key `{name}`"), allowed, "");
            continue;
        }
        if let Some(probe) = probe(name, one, &place, problems)
            && one.enabled
        {
            probes.insert(Arc::clone(&probe.name), Arc::new(probe));
        }
    }
    parents(raw, problems);
    let maintenance = raw.maintenance.iter().enumerate();
    let maintenance = maintenance.filter_map(|(index, one)| {
        let place = root.key("maintenance").index(index);
        for (at, name) in one.probes.iter().enumerate() {
            if !raw.probes.contains_key(name) {
                let known = raw.probes.keys().map(String::as_str);
                problems.unknown_word(place.key("probes").index(at), name, known, "");
            }
        }
        window(one, &place, problems)
    });
    let maintenance = maintenance.collect();
    ProbesRules {
        probes,
        connectivity,
        maintenance,
    }
}

fn window(raw: &RawMaintenance, place: &Path, problems: &mut Problems) -> Option<Maintenance> {
    let mut told = |key: &str, fault: CalendarError| {
        problems.not_allowed(place.key(key), fault.found, fault.allowed, fault.hint);
    };
    let days = Weekdays::parse(&raw.days).map_err(|fault| told("days", fault));
    let start = TimeOfDay::parse(&raw.start).map_err(|fault| told("start", fault));
    let length = Span::parse(&raw.length).map_err(|fault| told("length", fault));
    let zone = Zone::parse(&raw.zone).map_err(|fault| told("zone", fault));
    let (days, start, length, zone) = (days.ok()?, start.ok()?, length.ok()?, zone.ok()?);
    let window = Window::new(days, start, length, zone).map_err(|fault| told("length", fault));
    Some(Maintenance {
        probes: raw.probes.clone(),
        window: window.ok()?,
    })
}

/// What is called, and a number that is the same as long as that is.
fn check(raw: &RawProbe, place: &Path, problems: &mut Problems) -> Option<(Check, u64)> {
    let kinds = [
        ("http", raw.http.is_some()),
        ("tcp", raw.tcp.is_some()),
        ("tls", raw.tls.is_some()),
        ("dns", raw.dns.is_some()),
    ];
    let given: Vec<&str> = kinds
        .iter()
        .filter(|(_, given)| *given)
        .map(|(kind, _)| *kind)
        .collect();
    if given.len() != 1 {
        let found = match given.as_slice() {
            [] => "without a kind".to_owned(),
            given => format!("of {} kinds, `{}`", given.len(), given.join("` and `")),
        };
        let allowed = "exactly one of `http`, `tcp`, `tls` and `dns`";
        let hint = "make a probe of its own for each thing that is looked at";
        problems.not_allowed(place, found, allowed, hint);
        return None;
    }
    let hashed = |raw: Option<String>| SipHasher13::new().hash(raw.unwrap_or_default().as_bytes());
    if let Some(raw) = &raw.http {
        let check = target::http(raw, &place.key("http"), problems)?;
        return Some((check, hashed(serde_json::to_string(&("http", raw)).ok())));
    }
    if let Some(raw) = &raw.tcp {
        let check = target::tcp(raw, &place.key("tcp"), problems)?;
        return Some((check, hashed(serde_json::to_string(&("tcp", raw)).ok())));
    }
    if let Some(raw) = &raw.tls {
        let check = target::tls(raw, &place.key("tls"), problems)?;
        return Some((check, hashed(serde_json::to_string(&("tls", raw)).ok())));
    }
    let raw = raw.dns.as_ref()?;
    let check = target::dns(raw, &place.key("dns"), problems)?;
    Some((check, hashed(serde_json::to_string(&("dns", raw)).ok())))
}

fn probe(name: &str, raw: &RawProbe, place: &Path, problems: &mut Problems) -> Option<Probe> {
    let checked = check(raw, place, problems);
    let interval = raw.interval_secs;
    let timeout = raw
        .timeout_secs
        .unwrap_or(DEFAULT_TIMEOUT_SECS.min(interval));
    let retry = raw.retry_secs.unwrap_or(DEFAULT_RETRY_SECS.min(interval));
    for (key, secs) in [("timeout_secs", timeout), ("retry_secs", retry)] {
        if secs > interval {
            let allowed = format!("at most `interval_secs`, which is {interval}");
            problems.out_of_range(place.key(key), secs, allowed, "a look ends before the next");
        }
    }
    for label in raw.labels.keys() {
        if !names::is_name(label) || label == "probe" || label == "kind" {
            let found = format!("the label `{label}`");
            let allowed = "a name other than `probe` and `kind`, which every alert has";
            problems.not_allowed(place.key("labels").key(label), found, allowed, "");
        }
    }
    let (mut check, definition) = checked?;
    let secs = |secs: u32| Duration::from_secs(u64::from(secs));
    let timeout = secs(timeout);
    if let Check::Http(http) = &mut check {
        http.request.limits = crate::seams::outbound::Limits::of(timeout);
    }
    Some(Probe {
        name: name.into(),
        is_remote: target::is_remote(&check),
        check,
        definition,
        interval: secs(interval),
        timeout,
        retry: secs(retry),
        failures_to_open: raw.failures_to_open,
        successes_to_close: raw.successes_to_close,
        reminder: raw.reminder_minutes.map(|minutes| secs(minutes * 60)),
        parent: raw.parent.as_deref().map(Arc::from),
        severity: raw.severity,
        labels: raw.labels.clone(),
    })
}

/// Parents must be probes that are run, and lead to an end.
fn parents(raw: &RawProbes, problems: &mut Problems) {
    let parent_of = |name: &str| raw.probes.get(name)?.parent.as_deref();
    for (name, one) in &raw.probes {
        let place = Path::root().key("probes").key(name).key("parent");
        let Some(parent) = one.parent.as_deref() else {
            continue;
        };
        match raw.probes.get(parent) {
            None => {
                let known = raw
                    .probes
                    .keys()
                    .map(String::as_str)
                    .filter(|known| known != name);
                problems.unknown_word(
                    place,
                    parent,
                    known,
                    "a parent is the name of another probe",
                );
            }
            Some(other) if one.enabled && !other.enabled => {
                let found = format!("`{parent}`, which is not run");
                let hint = "set its `enabled` to true, or leave the parent away";
                problems.not_allowed(place, found, "a probe that is run", hint);
            }
            Some(_) => {
                let mut way = vec![name.as_str()];
                let mut seen = BTreeSet::from([name.as_str()]);
                let mut next = Some(parent);
                while let Some(at) = next {
                    way.push(at);
                    if !seen.insert(at) {
                        break;
                    }
                    next = parent_of(at);
                }
                // Each probe of the circle is told once, those that only lead into it are not.
                if next == Some(name) {
                    let found = format!("a circle: {}", way.join(" → "));
                    let hint = "a parent is what the probe needs, never the other way round";
                    problems.not_allowed(place, found, "parents that come to an end", hint);
                }
            }
        }
    }
}
