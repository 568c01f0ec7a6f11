//! The verbs of incidents: take in alert events, acknowledge, resolve, reopen, note, rank again.
//!
//! One at a time: each decides on the book as it is on record, appends, and ends when its lines are
//! on the medium. The next book takes the place of the one before on the writer's thread.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::config::{IncidentsConfig, IncidentsRules};
use super::deploys::Deploys;
use super::event::{Act, IncidentEvent, IncidentLine, Reopened, Resolved, STREAM, Suspected};
use super::links::Links;
use super::logic::decide;
use super::model::{Impact, Incident, State, Suspect};
use super::suspects::{LOOK_BACK, Scope, rank};
use super::view::Book;
use crate::platform::alerts::{Attachment, Record};
use crate::platform::config::Live;
use crate::platform::samples::Samples;
use crate::platform::wiring::Wiring;
use crate::storage::engine::{Mark, Position, StorageError};
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Causes that people are told at most: the brief of a notice, not the whole list.
const TOLD_CAUSES: usize = 3;
/// Alerts of one incident up to which the causes are ranked again with each that joins (our own
/// choice: by then all is known that a storm tells).
const RANKED_ALERTS: usize = 50;

/// Why a verb did nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum IncidentError {
    /// No such incident.
    #[error("there is no incident `{0}`")]
    Absent(String),
    /// It is over.
    #[error("incident `{0}` is resolved, only one that goes on can be acknowledged")]
    Over(String),
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a verb has done.
#[derive(Debug)]
pub(super) struct Done {
    /// The incident as it is now.
    pub(super) incident: Arc<Incident>,
    /// Whether anything is different.
    pub(super) changed: bool,
}

/// Incidents, running.
#[derive(Debug)]
pub(super) struct Incidents {
    pub(super) wiring: Wiring,
    pub(super) rules: Live<IncidentsRules>,
    pub(super) links: Links,
    pub(super) deploys: Deploys,
    journal: Journal,
    book: Arc<Mutex<Arc<Book>>>,
    turn: tokio::sync::Mutex<()>,
    /// Held from the look at the limits of a recovery action until its beginning is on record.
    pub(super) beginning: tokio::sync::Mutex<()>,
}

impl Incidents {
    /// Folds the journal and is ready.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let rules = wiring.config::<IncidentsConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let mut book = Book::default();
        read_lines(
            &*wiring.engine,
            STREAM,
            &Mark::default(),
            |line: IncidentLine| {
                book.fold(&line);
            },
        )?;
        Ok(Arc::new(Self {
            rules,
            links: Links::new(Arc::clone(&wiring.seams.files), &wiring.home),
            deploys: Deploys::open(wiring)?,
            journal,
            book: Arc::new(Mutex::new(Arc::new(book))),
            turn: tokio::sync::Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            wiring: wiring.clone(),
        }))
    }

    /// What is on record.
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in alert events, in order; what storage refuses has to be taken in again. Gives the
    /// lines that were written.
    pub(super) async fn take(
        &self,
        records: &[Record],
    ) -> Result<Vec<IncidentEvent>, StorageError> {
        let _turn = self.turn.lock().await;
        let (rules, mut next) = (self.rules.get_full(), (*self.book()).clone());
        let (mut lines, mut events) = (Lines::new(), Vec::new());
        let mut touched = BTreeSet::new();
        for record in records {
            for mut event in decide(&next, &rules.rules.windows, record) {
                self.complete(&next, &mut event, record.at);
                event.push(&mut lines, record.at, Some(record.seq));
                next.apply(&event, record.at, Some(record.seq));
                touched.insert(event.incident().to_owned());
                events.push(event);
            }
        }
        // Before the lines are on the medium: who tells people waits for nobody.
        for id in &touched {
            if let Some(incident) = next.find(id) {
                self.attach(incident, self.wiring.clock.now());
            }
        }
        self.commit(next, lines).await?;
        Ok(events)
    }

    /// Adds to an event what the alert does not tell.
    fn complete(&self, book: &Book, event: &mut IncidentEvent, at: DateTime<Utc>) {
        match event {
            IncidentEvent::Opened(one) => {
                let mut scope = Scope::default();
                scope.add(&one.alert.source, &one.alert.labels);
                one.suspects = self.suspects(&scope, one.started_at, at);
            }
            IncidentEvent::Joined(one) => {
                let Some(incident) = book.find(&one.incident) else {
                    return;
                };
                if incident.members.len() < RANKED_ALERTS {
                    let mut scope = scope_of(incident);
                    scope.add(&one.alert.source, &one.alert.labels);
                    let started_at = incident.started_at.min(one.alert.started_at);
                    let suspects = self.suspects(&scope, started_at, incident.detected_at);
                    one.suspects = (suspects != incident.suspects).then_some(suspects);
                }
            }
            IncidentEvent::Resolved(one) => {
                let incident = book.find(&one.incident);
                one.impact = incident.and_then(|one| impact(&self.wiring.samples, one, at));
            }
            _ => {}
        }
    }

    fn suspects(
        &self,
        scope: &Scope,
        started_at: DateTime<Utc>,
        detected_at: DateTime<Utc>,
    ) -> Vec<Suspect> {
        let from = started_at - LOOK_BACK;
        let changes = self.wiring.changes.between(from, detected_at);
        let splits = self.wiring.samples.splits();
        rank(scope, started_at, &changes, &|change| {
            splits.of(&change.name, change.at, detected_at)
        })
    }

    /// Lets whoever tells people know what is known.
    pub(super) fn attach(&self, incident: &Incident, now: DateTime<Utc>) {
        if !incident.is_live() {
            return;
        }
        let rules = self.rules.get_full();
        let ack_url = rules.rules.public_url.as_ref().and_then(|base| {
            let token = self.links.token(&incident.id, now + rules.rules.link_span);
            match token {
                Ok(token) => Some(format!("{base}/ack/{token}")),
                Err(error) => {
                    tracing::warn!("notices go without a link: {error}");
                    None
                }
            }
        });
        let causes = incident.suspects.iter().take(TOLD_CAUSES);
        let attachment = Arc::new(Attachment {
            incident: incident.id.clone(),
            causes: causes.map(Suspect::sentence).collect(),
            ack_url,
        });
        for key in incident.firing_keys() {
            self.wiring.alerts.attach(key, Arc::clone(&attachment));
        }
    }

    /// `by` takes it up, and with it its alerts: nobody else is told for now.
    pub(super) async fn acknowledge(
        &self,
        id: &str,
        by: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Done, IncidentError> {
        let done = self.act(id, now, |incident| match incident.state {
            State::Resolved => Err(IncidentError::Over(id.to_owned())),
            State::Acknowledged => Ok(None),
            State::Open => Ok(Some(IncidentEvent::Acknowledged(act(id, by, text)))),
        });
        let done = done.await?;
        let keys = done.incident.firing_keys();
        self.wiring.alerts.acknowledge(keys, by, now);
        Ok(done)
    }

    /// `by` says that it is over.
    pub(super) async fn resolve(
        &self,
        id: &str,
        by: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Done, IncidentError> {
        let done = self.act(id, now, |incident| {
            let resolved = Resolved {
                incident: id.to_owned(),
                by: by.to_owned(),
                text: text.to_owned(),
                impact: impact(&self.wiring.samples, incident, now),
            };
            Ok(incident
                .is_live()
                .then_some(IncidentEvent::Resolved(resolved)))
        });
        done.await
    }

    /// `by` says that it is not over.
    pub(super) async fn reopen(
        &self,
        id: &str,
        by: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Done, IncidentError> {
        let done = self.act(id, now, |incident| {
            let reopened = Reopened {
                incident: id.to_owned(),
                alert: None,
                by: by.to_owned(),
                text: text.to_owned(),
            };
            Ok((!incident.is_live()).then_some(IncidentEvent::Reopened(reopened)))
        });
        let done = done.await?;
        self.attach(&done.incident, now);
        Ok(done)
    }

    /// `by` writes something down.
    pub(super) async fn note(
        &self,
        id: &str,
        by: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<Done, IncidentError> {
        let noted = |_: &Incident| Ok(Some(IncidentEvent::Noted(act(id, by, text))));
        self.act(id, now, noted).await
    }

    /// Ranks the causes of everything that goes on again: a change was told late.
    pub(super) async fn rank_again(&self, now: DateTime<Utc>) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let mut next = (*self.book()).clone();
        let live: Vec<_> = next.newest().filter(|one| one.is_live()).cloned().collect();
        let mut lines = Lines::new();
        for incident in live {
            let scope = scope_of(&incident);
            let suspects = self.suspects(&scope, incident.started_at, incident.detected_at);
            if suspects == incident.suspects {
                continue;
            }
            let event = IncidentEvent::Suspected(Suspected {
                incident: incident.id.clone(),
                suspects,
            });
            event.push(&mut lines, now, None);
            next.apply(&event, now, None);
            if let Some(incident) = next.find(&incident.id) {
                self.attach(incident, now);
            }
        }
        self.commit(next, lines).await
    }

    /// Writes `events` of one moment.
    pub(super) async fn write(
        &self,
        events: &[IncidentEvent],
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let (mut next, mut lines) = ((*self.book()).clone(), Lines::new());
        for event in events {
            event.push(&mut lines, now, None);
            next.apply(event, now, None);
        }
        self.commit(next, lines).await
    }

    async fn act(
        &self,
        id: &str,
        now: DateTime<Utc>,
        decide: impl FnOnce(&Incident) -> Result<Option<IncidentEvent>, IncidentError> + Send,
    ) -> Result<Done, IncidentError> {
        let _turn = self.turn.lock().await;
        let book = self.book();
        let absent = || IncidentError::Absent(id.to_owned());
        let incident = book.find(id).cloned().ok_or_else(absent)?;
        let Some(event) = decide(&incident)? else {
            let changed = false;
            return Ok(Done { incident, changed });
        };
        let (mut next, mut lines) = ((*book).clone(), Lines::new());
        event.push(&mut lines, now, None);
        next.apply(&event, now, None);
        let incident = next.find(id).cloned().ok_or_else(absent)?;
        self.commit(next, lines).await?;
        let changed = true;
        Ok(Done { incident, changed })
    }

    /// Puts `next` in force once `lines` are on the medium. The turn must be held.
    async fn commit(&self, next: Book, lines: Lines) -> Result<(), StorageError> {
        if lines.is_empty() {
            return Ok(());
        }
        let (book, next) = (Arc::clone(&self.book), Arc::new(next));
        let committed = move |outcome: &Result<Position, StorageError>| {
            if outcome.is_ok() {
                *book.lock().unwrap_or_else(PoisonError::into_inner) = next;
            }
        };
        let written = self.journal.append(lines, None, Some(Box::new(committed)));
        written.await.map(drop)
    }
}

fn act(id: &str, by: &str, text: &str) -> Act {
    Act {
        incident: id.to_owned(),
        by: by.to_owned(),
        text: text.to_owned(),
    }
}

fn scope_of(incident: &Incident) -> Scope {
    let mut scope = Scope::default();
    let labels = incident.labels.iter();
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
    scope.add("", labels);
    for source in &incident.sources {
        scope.add(source, []);
    }
    scope
}

/// What `incident` cost until `until`; `None` where no series of samples is known.
pub(super) fn impact(
    samples: &Samples,
    incident: &Incident,
    until: DateTime<Utc>,
) -> Option<Impact> {
    let series = incident.series();
    if series.is_empty() {
        return None;
    }
    let mut impact = Impact {
        requests: 0,
        failed: 0,
        burned_minutes: 0.0,
    };
    // The minute that runs is told by its beginning.
    let until = until + TimeDelta::seconds(1);
    for one in series {
        for minute in samples.minutes(one, incident.started_at, until) {
            let counts = minute.counts;
            impact.requests += counts.total;
            impact.failed += counts.bad;
            if counts.total > 0 {
                impact.burned_minutes += counts.bad as f64 / counts.total as f64;
            }
        }
    }
    impact.burned_minutes = (impact.burned_minutes * 100.0).round() / 100.0;
    Some(impact)
}
