//! Logging events: what is checked is claimed, written in one piece, and counted once committed.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::body;
use super::event::{self, EVENT};
use super::fingerprint::Fingerprint;
use super::ids::{Seen, Ticket};
use super::logic::{self, Checked};
use super::model::ExperimentsRules;
use super::refusal::{MAX_EVENT_NAMES, Refusal, shortened};
use super::service::Experiments;
use super::view::{Delta, ExperimentsView, GroupName};
use crate::storage::engine::{Appending, StorageError};
use crate::storage::lines::Lines;

/// What became of one event of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the line this far behind the call's first.
    Written(u32),
    /// It is on record already, or will be before this call is answered.
    Repeated(Fingerprint),
    /// Not written.
    Refused(Refusal),
}

/// A call's events, checked and handed to storage.
pub struct Recorded {
    experiments: Arc<Experiments>,
    /// One fate for each event of the call, in order.
    pub fates: Vec<Fate>,
    written: u32,
    appending: Option<Appending>,
}

/// The answer of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// `seq` of the call's first line.
    pub first: u64,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorded")
            .field("fates", &self.fates)
            .finish_non_exhaustive()
    }
}

/// A line to be counted when it is committed.
#[derive(Clone, Copy)]
struct Claim {
    delta: Delta,
    ticket: Option<Ticket>,
}

/// What a call has gathered so far.
struct Plan {
    lines: Lines,
    claims: Vec<Claim>,
    fates: Vec<Fate>,
    in_flight: bool,
    prefix: Vec<u8>,
}

impl Experiments {
    /// Checks `texts`, each one event, and hands what is good to storage. With `all`, nothing is
    /// handed over unless everything is good.
    pub fn record<'b>(
        self: &Arc<Self>,
        rules: &ExperimentsRules,
        now: DateTime<Utc>,
        all: bool,
        texts: impl Iterator<Item = &'b [u8]>,
    ) -> Recorded {
        let read = |text| body::parse(text).and_then(|body| logic::check(rules, body));
        let checked: Vec<Result<Checked<'_, '_>, Refusal>> = texts.map(read).collect();
        let bad = checked.iter().any(Result::is_err);
        let mut recorded = Recorded {
            experiments: Arc::clone(self),
            fates: Vec::new(),
            written: 0,
            appending: None,
        };
        if all && bad {
            recorded.fates = checked.into_iter().map(unwritten).collect();
            return recorded;
        }
        let mut plan = Plan::for_events(checked.len());
        let _submitting = self.submit();
        {
            let mut view = self.kept.lock();
            for event in checked {
                plan.add(self, &mut view, now, event);
            }
            if all
                && plan
                    .fates
                    .iter()
                    .any(|fate| matches!(fate, Fate::Refused(_)))
            {
                plan.give_up(&mut view);
            }
        }
        recorded.written = u32::try_from(plan.lines.len()).unwrap_or(u32::MAX);
        if recorded.written > 0 || plan.in_flight {
            recorded.appending = Some(self.hand_over(plan.lines, plan.claims));
        }
        recorded.fates = plan.fates;
        recorded
    }

    fn hand_over(self: &Arc<Self>, lines: Lines, claims: Vec<Claim>) -> Appending {
        if lines.is_empty() {
            return self.kept.journal().barrier(None);
        }
        let (own, bytes) = (Arc::clone(self), lines.bytes());
        let on_commit = move |outcome: &Result<_, _>| {
            own.committed(outcome, bytes, |view, first| settle(view, &claims, first));
        };
        self.kept
            .journal()
            .append(lines, None, Some(Box::new(on_commit)))
    }
}

/// Counts committed lines, or sets the ids and the event names of refused ones free.
fn settle(view: &mut ExperimentsView, claims: &[Claim], first: Option<u64>) {
    let mut seq = first.unwrap_or_default();
    for claim in claims {
        match (first, claim.ticket) {
            (Some(_), Some(ticket)) => view.ids.settle(ticket, seq),
            (None, Some(ticket)) => view.ids.release(ticket),
            (_, None) => {}
        }
        if first.is_some() {
            view.count(claim.delta);
            seq += 1;
        }
        view.event_ended(claim.delta.group);
    }
}

/// The fate of an event in a call of which nothing is written.
fn unwritten(event: Result<Checked<'_, '_>, Refusal>) -> Fate {
    event.map_or_else(Fate::Refused, |_| Fate::Written(0))
}

/// Bytes of members that an event has on average, for the first allocation.
const TYPICAL_BYTES: usize = 128;

impl Plan {
    fn for_events(count: usize) -> Self {
        Self {
            lines: Lines::with_capacity(count, count * TYPICAL_BYTES),
            claims: Vec::with_capacity(count),
            fates: Vec::with_capacity(count),
            in_flight: false,
            prefix: Vec::with_capacity(TYPICAL_BYTES),
        }
    }

    fn add(
        &mut self,
        own: &Experiments,
        view: &mut ExperimentsView,
        now: DateTime<Utc>,
        event: Result<Checked<'_, '_>, Refusal>,
    ) {
        let fate = event.and_then(|event| self.claim(own, view, now, &event));
        self.fates.push(fate.unwrap_or_else(Fate::Refused));
    }

    fn claim(
        &mut self,
        own: &Experiments,
        view: &mut ExperimentsView,
        now: DateTime<Utc>,
        event: &Checked<'_, '_>,
    ) -> Result<Fate, Refusal> {
        let Checked { exp, variant, body } = event;
        self.prefix.clear();
        event::push_prefix(
            &mut self.prefix,
            &exp.name,
            &variant.name,
            Some(&body.event),
        );
        let user = own.key.of(body.user.as_bytes());
        // Looked at before the id: a refused event must not claim it.
        check_name(view, &self.prefix, &body.event)?;
        let mut ticket = None;
        if let Some(id) = body.id.as_deref() {
            let mark = own.key.of(id.as_bytes());
            let same = own.key.of_event(&self.prefix, user, body.value);
            match view.ids.claim(mark, same) {
                Seen::New(new) => ticket = Some(new),
                Seen::Line(_) => return Ok(Fate::Repeated(mark)),
                Seen::InFlight => {
                    self.in_flight = true;
                    return Ok(Fate::Repeated(mark));
                }
                Seen::Conflict => return Err(Refusal::IdConflict { id: shortened(id) }),
            }
        }
        let group = view.group(&self.prefix, || GroupName {
            exp: exp.name.clone(),
            variant: variant.name.clone(),
            event: Some((*body.event).into()),
        });
        view.expect_event(group);
        let prefix = &self.prefix;
        self.lines.push(EVENT, now, |out| {
            out.extend_from_slice(prefix);
            event::push_event(out, &body.user, body.value, body.id.as_deref());
        });
        let place = u32::try_from(self.claims.len()).unwrap_or(u32::MAX);
        self.claims.push(Claim {
            delta: Delta {
                group,
                user,
                value: body.value,
            },
            ticket,
        });
        Ok(Fate::Written(place))
    }

    /// Takes everything back, because one event is refused and all were to be written or none.
    fn give_up(&mut self, view: &mut ExperimentsView) {
        settle(view, &self.claims, None);
        self.claims.clear();
        self.lines = Lines::new();
        self.in_flight = false;
    }
}

fn check_name(view: &ExperimentsView, prefix: &[u8], name: &str) -> Result<(), Refusal> {
    let known = view.find_group(prefix).is_some()
        || view.event_names() < MAX_EVENT_NAMES
        || view.knows_event(name);
    if known {
        Ok(())
    } else {
        Err(Refusal::TooManyEvents {
            event: name.to_owned(),
        })
    }
}

impl Recorded {
    /// How many lines are written.
    pub fn written(&self) -> u32 {
        self.written
    }

    /// Ends when everything is on record, or storage has refused it.
    pub async fn settled(&mut self) -> Result<Settled, StorageError> {
        match self.appending.take() {
            None => Ok(Settled { first: 0 }),
            Some(appending) => Ok(Settled {
                first: appending.await?.first,
            }),
        }
    }

    /// The line of an event that was there before; `None` if storage refused it after all.
    pub fn line_of(&self, id: Fingerprint) -> Option<u64> {
        self.experiments.kept.lock().ids.line(id)
    }
}
