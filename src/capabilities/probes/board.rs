//! Where every probe stands and when it is looked at next. Takes looks, gives lines; never waits,
//! never calls anybody.
//!
//! A probe has slots: its first look is spread over the time after the start by a hash of its name,
//! the others follow at its interval, so that probes never bunch up. While it is not sure whether
//! it is up, it is looked at again after `retry_secs`; a child that fails has its parent looked at
//! at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use siphasher::sip::SipHasher13;

use super::event::ProbeEvent;
use super::judge::{self, CertLevel};
use super::logic::{Parent, Phase, Seen, Standing};
use super::look::{Look, Sight, Verdict};
use super::model::{CertDays, Check, Probe, ProbesRules};
use super::restored::Restored;

/// Over which the first looks are spread at most: 500 probes are then 17 a second (our own choice).
const SPREAD: Duration = Duration::from_secs(30);

/// Everything known of one probe.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is probed.
    pub(super) probe: Arc<Probe>,
    /// Where it stands.
    pub(super) standing: Standing,
    /// How near the end of its certificate is.
    pub(super) cert: CertLevel,
    /// The last look.
    pub(super) last: Option<Last>,
    /// The first of its slots.
    first: Duration,
    due: Duration,
    flying: Option<Duration>,
    again: bool,
    /// When its last failing look began, up to the one that was enough.
    failing: Option<Duration>,
}

/// A look as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Last {
    /// When it began.
    pub(super) at: DateTime<Utc>,
    /// When it began, on the monotonic clock.
    pub(super) begun: Duration,
    /// How much later than due.
    pub(super) late: Duration,
    /// Whether a failure was planned.
    pub(super) is_planned: bool,
    /// What it found.
    pub(super) sight: Sight,
}

/// What a look means for others.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Lines for the journal.
    pub(super) events: Vec<ProbeEvent>,
    /// Whether it counts as a sample: bad or not, and how long it took.
    pub(super) sample: Option<(bool, Duration)>,
}

/// All probes.
#[derive(Debug, Default)]
pub(super) struct Board {
    entries: BTreeMap<Arc<str>, Entry>,
    children: HashMap<Arc<str>, Vec<Arc<str>>>,
    due: BTreeSet<(Duration, Arc<str>)>,
    flying: usize,
    /// Since when this machine is offline.
    pub(super) offline_since: Option<DateTime<Utc>>,
    /// The latest that a look has begun after its time.
    pub(super) latest: Duration,
}

impl Board {
    /// Every probe, by name.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// One probe.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// How many looks are under way.
    pub(super) fn flying(&self) -> usize {
        self.flying
    }

    /// Takes other rules: probes that call the same as before stay where they stand.
    pub(super) fn adopt(
        &mut self,
        rules: &ProbesRules,
        restored: &mut Restored,
        uptime: Duration,
        now: DateTime<Utc>,
    ) -> Vec<ProbeEvent> {
        let mut events = Vec::new();
        let mut before = std::mem::take(&mut self.entries);
        self.due.clear();
        self.children.clear();
        self.flying = 0;
        for (name, probe) in &rules.probes {
            let known = before.remove(name);
            let entry = match known {
                Some(known) if known.probe.definition == probe.definition => Entry {
                    probe: Arc::clone(probe),
                    due: known.due.min(uptime + probe.interval),
                    ..known
                },
                other => {
                    events.extend(other.iter().flat_map(|old| ended(old, now)));
                    fresh(probe, restored, uptime)
                }
            };
            if entry.flying.is_some() {
                self.flying += 1;
            } else {
                self.due.insert((entry.due, Arc::clone(name)));
            }
            if let Some(parent) = &probe.parent {
                let children = self.children.entry(Arc::clone(parent)).or_default();
                children.push(Arc::clone(name));
            }
            self.entries.insert(Arc::clone(name), entry);
        }
        events.extend(before.values().flat_map(|old| ended(old, now)));
        for (name, standing) in std::mem::take(&mut restored.standings) {
            let began = standing.failing_since.unwrap_or(now);
            events.push(ProbeEvent::removed(&name, began, standing.phase, now));
        }
        for (name, level) in std::mem::take(&mut restored.certs) {
            events.extend(level.is_near().then(|| ProbeEvent::forgotten(&name)));
        }
        events.extend(self.release_orphans(now));
        events
    }

    /// Suppressed ones whose parent is gone, or well as far as is known.
    fn release_orphans(&mut self, now: DateTime<Utc>) -> Vec<ProbeEvent> {
        let blocked: BTreeSet<Arc<str>> = self
            .entries
            .values()
            .filter(|entry| matches!(entry.standing.phase, Phase::Down | Phase::Suppressed))
            .map(|entry| Arc::clone(&entry.probe.name))
            .collect();
        let entries = self.entries.values_mut();
        let orphans = entries.filter(|entry| {
            let parent = entry.probe.parent.as_ref();
            !parent.is_some_and(|parent| blocked.contains(parent))
        });
        orphans
            .filter_map(|entry| entry.standing.release(&Arc::clone(&entry.probe), now))
            .collect()
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes the next probe whose time has come, with how much later than due it is, and whether a
    /// failure decides.
    pub(super) fn launch(&mut self, uptime: Duration) -> Option<(Arc<Probe>, Duration, bool)> {
        let (due, name) = self.due.pop_first()?;
        if due > uptime {
            self.due.insert((due, name));
            return None;
        }
        let late = uptime.saturating_sub(due);
        self.latest = self.latest.max(late);
        let (probe, decides) = self.take(&name, uptime)?;
        Some((probe, late, decides))
    }

    /// Takes a probe that is not looked at yet, due or not.
    pub(super) fn take(&mut self, name: &str, uptime: Duration) -> Option<(Arc<Probe>, bool)> {
        let entry = self.entries.get_mut(name)?;
        if entry.flying.is_some() {
            return None;
        }
        self.due.remove(&(entry.due, Arc::clone(&entry.probe.name)));
        entry.flying = Some(uptime);
        self.flying += 1;
        let standing = &entry.standing;
        let told = matches!(standing.phase, Phase::Down | Phase::Suppressed);
        let decides = !told && standing.failures + 1 >= entry.probe.failures_to_open;
        Some((Arc::clone(&entry.probe), decides))
    }

    /// Has a probe looked at now; a look that began before `since` does not count. Whether it is
    /// known.
    pub(super) fn hasten(&mut self, name: &str, since: Duration, uptime: Duration) -> bool {
        let Some((name, entry)) = self.entries.get_key_value(name) else {
            return false;
        };
        let name = Arc::clone(name);
        let (due, flying) = (entry.due, entry.flying);
        let Some(entry) = self.entries.get_mut(&name) else {
            return false;
        };
        if let Some(begun) = flying {
            entry.again |= begun < since;
        } else if due > uptime {
            self.due.remove(&(due, Arc::clone(&name)));
            entry.due = uptime;
            self.due.insert((uptime, name));
        }
        true
    }

    /// Takes a look. One at what a probe does not call any more is passed over.
    pub(super) fn land(
        &mut self,
        look: Look,
        rules: &ProbesRules,
        uptime: Duration,
        now: DateTime<Utc>,
    ) -> Told {
        let mut told = Told::default();
        let name = Arc::clone(&look.probe.name);
        let known = self.entries.get(&name).filter(|entry| {
            entry.flying == Some(look.begun) && entry.probe.definition == look.probe.definition
        });
        if known.is_none() {
            return told;
        }
        self.flying = self.flying.saturating_sub(1);
        let sight = &look.sight;
        let is_planned = rules.maintained_until(&name, now).is_some();
        if !is_planned && sight.verdict != Verdict::Unable {
            told.sample = Some((sight.verdict == Verdict::Bad, sight.timings.total));
        }
        told.events.extend(self.note_network(&look, now));
        let seen = match sight.verdict {
            Verdict::Good => Seen::Good,
            Verdict::Bad if is_planned => Seen::Planned,
            Verdict::Bad => Seen::Bad(sight.reason.clone()),
            Verdict::Unable => Seen::Nothing,
        };
        let failed = matches!(seen, Seen::Bad(_));
        if let Some(entry) = self.entries.get_mut(&name) {
            // Once failures are enough, a verdict need only be younger than the one that made them
            // so: a slow parent would never be as young as the newest.
            if failed && !entry.standing.is_waiting(&entry.probe) {
                entry.failing = Some(look.begun);
            }
            if !is_planned {
                told.events.extend(note_cert(entry, &look.sight, now));
            }
            entry.last = Some(Last {
                at: look.at,
                begun: look.begun,
                late: look.late,
                is_planned,
                sight: look.sight,
            });
        }
        let parent = self.verdict_on_parent(&name);
        if let Some(entry) = self.entries.get_mut(&name) {
            let probe = Arc::clone(&entry.probe);
            told.events
                .extend(entry.standing.take(&probe, seen, &parent, now));
        }
        self.ask_parent(&name, failed, &parent, uptime);
        self.spread(&name, uptime, now, &mut told.events);
        self.reschedule(&name, look.begun, uptime);
        told
    }

    /// Has the parent of a failing child looked at, unless that is known already.
    fn ask_parent(&mut self, name: &str, failed: bool, parent: &Parent, uptime: Duration) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let undecided = entry.standing.phase == Phase::Failing;
        if failed
            && undecided
            && *parent == Parent::Open
            && let (Some(parent), Some(since)) = (entry.probe.parent.clone(), entry.failing)
        {
            self.hasten(&parent, since, uptime);
        }
    }

    /// What is known of the parent of `name`, as young as its last failure.
    fn verdict_on_parent(&self, name: &str) -> Parent {
        let Some(child) = self.entries.get(name) else {
            return Parent::Clear;
        };
        let parent = child.probe.parent.as_ref();
        let Some(entry) = parent.and_then(|parent| self.entries.get(parent)) else {
            return Parent::Clear;
        };
        let down = || Parent::Down(Arc::clone(&entry.probe.name));
        let since = child.failing.unwrap_or_default();
        let last = entry.last.as_ref().filter(|last| last.begun >= since);
        match entry.standing.phase {
            Phase::Down | Phase::Suppressed => down(),
            Phase::Failing => Parent::Open,
            Phase::Up | Phase::Unknown => match last {
                None => Parent::Open,
                // It fails as planned, and takes its children with it.
                Some(last) if last.is_planned && last.sight.verdict == Verdict::Bad => down(),
                Some(_) => Parent::Clear,
            },
        }
    }

    /// Lets children, their children and so on know where `name` stands now.
    fn spread(
        &mut self,
        name: &Arc<str>,
        uptime: Duration,
        now: DateTime<Utc>,
        events: &mut Vec<ProbeEvent>,
    ) {
        let mut queue = VecDeque::from([Arc::clone(name)]);
        while let Some(name) = queue.pop_front() {
            let is_up = self
                .get(&name)
                .is_some_and(|entry| entry.standing.phase == Phase::Up);
            for child in self.children.get(&name).cloned().unwrap_or_default() {
                let verdict = self.verdict_on_parent(&child);
                let Some(entry) = self.entries.get_mut(&child) else {
                    continue;
                };
                let probe = Arc::clone(&entry.probe);
                let settled = entry.standing.settle(&probe, &verdict, now);
                let released = if is_up {
                    entry.standing.release(&probe, now)
                } else {
                    None
                };
                let waits = entry.standing.is_waiting(&probe) && verdict == Parent::Open;
                let since = entry.failing.unwrap_or_default();
                let is_released = released.is_some();
                if settled.is_some() || is_released {
                    queue.push_back(Arc::clone(&child));
                }
                events.extend(settled.into_iter().chain(released));
                if is_released {
                    self.hasten(&child, uptime, uptime);
                } else if waits && is_up {
                    // The parent's last look is older than the failure.
                    self.hasten(&name, since, uptime);
                }
            }
        }
    }

    fn reschedule(&mut self, name: &Arc<str>, begun: Duration, uptime: Duration) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.flying = None;
        let slot = slot_after(entry.first, entry.probe.interval, begun);
        let next = if std::mem::take(&mut entry.again) {
            uptime
        } else if entry.standing.is_unsure() {
            slot.min(begun + entry.probe.retry)
        } else {
            slot
        };
        entry.due = next.max(uptime);
        self.due.insert((entry.due, Arc::clone(name)));
    }

    /// Takes note of whether this machine is online.
    fn note_network(&mut self, look: &Look, now: DateTime<Utc>) -> Option<ProbeEvent> {
        let good = look.probe.is_remote && look.sight.verdict == Verdict::Good;
        match look.sight.online.or(good.then_some(true)) {
            Some(false) if self.offline_since.is_none() => {
                self.offline_since = Some(now);
                Some(ProbeEvent::offline(&look.probe.name))
            }
            Some(true) if self.offline_since.take().is_some() => Some(ProbeEvent::online()),
            _ => None,
        }
    }
}

/// The first slot after `begun`.
fn slot_after(first: Duration, interval: Duration, begun: Duration) -> Duration {
    let since = begun.saturating_sub(first).as_millis();
    let number = since / interval.as_millis().max(1) + 1;
    first + interval * u32::try_from(number).unwrap_or(u32::MAX)
}

fn fresh(probe: &Arc<Probe>, restored: &mut Restored, uptime: Duration) -> Entry {
    let spread = probe.interval.min(SPREAD).as_millis().max(1);
    let hash = SipHasher13::new().hash(probe.name.as_bytes());
    let offset = u128::from(hash) % spread;
    let first = uptime + Duration::from_millis(u64::try_from(offset).unwrap_or_default());
    let name: &str = &probe.name;
    Entry {
        probe: Arc::clone(probe),
        standing: restored.standings.remove(name).unwrap_or_default(),
        cert: restored.certs.remove(name).unwrap_or(CertLevel::Fine),
        last: None,
        first,
        due: first,
        flying: None,
        again: false,
        failing: None,
    }
}

/// The lines that end a probe which is not run any more.
fn ended(old: &Entry, now: DateTime<Utc>) -> impl Iterator<Item = ProbeEvent> {
    let (name, phase) = (&old.probe.name, old.standing.phase);
    let began = old.standing.failing_since.unwrap_or(now);
    let down = matches!(phase, Phase::Down | Phase::Suppressed)
        .then(|| ProbeEvent::removed(name, began, phase, now));
    let near = old.cert.is_near().then(|| ProbeEvent::forgotten(name));
    down.into_iter().chain(near)
}

/// Whole days until a certificate ends; negative once it has.
pub(super) fn days_left(not_after: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (not_after - now).num_seconds().div_euclid(86_400)
}

fn cert_days(check: &Check) -> Option<CertDays> {
    match check {
        Check::Http(check) => Some(check.days),
        Check::Tls { days, .. } => Some(*days),
        Check::Tcp { .. } | Check::Dns(_) => None,
    }
}

/// Takes note of how near the end of the certificate is.
fn note_cert(entry: &mut Entry, sight: &Sight, now: DateTime<Utc>) -> Option<ProbeEvent> {
    let (days, cert) = (cert_days(&entry.probe.check)?, sight.cert.as_ref()?);
    let left = days_left(cert.not_after, now);
    let level = judge::cert(days, left);
    if level == entry.cert {
        return None;
    }
    entry.cert = level;
    let (probe, not_after) = (&entry.probe, cert.not_after);
    Some(ProbeEvent::flagged(probe, level.word(), not_after, left))
}
