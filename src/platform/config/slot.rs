//! One document and its rules: load, check, swap; reject and stay; edit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::kind::{Config, read};
use super::live::{Accepted, Live};
use super::record::{LastGood, Note, Recorder, Shipped};
use super::status::{ConfigStatus, Degraded, EditError, unreadable};
use crate::base::json::Edit;
use crate::base::problems::Problems;
use crate::base::time;
use crate::seams::clock::Clock;
use crate::storage::engine::{Document, DocumentError, Engine, Revision};

/// Told of rules once they are in force.
pub type OnAccept<R> = Arc<dyn Fn(&Arc<Accepted<R>>) + Send + Sync>;

/// Actor of what was saved by hand.
const BY_HAND: &str = "file";

/// What every document needs.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recorder: Recorder,
}

/// A document, its type forgotten.
pub(super) trait AnySlot: Send + Sync {
    /// Looks at the file and puts it in force if it is new and good.
    fn refresh(&self);
    fn status(&self) -> ConfigStatus;
}

/// A document with its rules.
pub(super) struct Slot<C: Config> {
    doors: Arc<Doors>,
    pub(super) live: Live<C::Rules>,
    /// What the process started with.
    first: Arc<Accepted<C::Rules>>,
    /// Held from looking at the file until the swap: changes of one document come one by one.
    gate: Mutex<Vec<OnAccept<C::Rules>>>,
    told: Mutex<Option<Degraded>>,
}

/// Rules to start with, and what is to be told about them.
struct Start<R> {
    accepted: Accepted<R>,
    degraded: Option<Degraded>,
    /// Whether the journal does not know them yet.
    is_new: bool,
    /// Whether they are the shipped ones of a first start that the disk refused to take.
    unwritten: bool,
}

/// How the document of a file name is called in messages.
fn named(file: &str) -> Arc<str> {
    format!("configs/{file}").into()
}

impl<C: Config> Slot<C> {
    pub(super) fn open(doors: Arc<Doors>, good: Option<&LastGood>) -> anyhow::Result<Self> {
        let start = Self::start(&doors, good)?;
        let live = Live::new(start.accepted);
        let first = live.get_full();
        if start.is_new {
            doors.recorder.note(accepted_note::<C>(&first));
        }
        if start.unwritten {
            doors.recorder.note(Note::Unwritten(Shipped {
                file: C::FILE,
                text: Arc::clone(&first.text),
                actor: Arc::clone(&first.actor),
                at: first.at,
            }));
        }
        if let Some(degraded) = &start.degraded {
            tell_rejected::<C>(&doors, degraded, &first);
        }
        Ok(Self {
            doors,
            live,
            first,
            gate: Mutex::default(),
            told: Mutex::new(start.degraded),
        })
    }

    fn start(doors: &Doors, good: Option<&LastGood>) -> anyhow::Result<Start<C::Rules>> {
        let now = doors.clock.now();
        let (problems, revision) = match doors.engine.load(C::FILE) {
            Ok(document) => match read::<C>(&named(C::FILE), &document.body) {
                Ok(rules) => {
                    let known = good.filter(|good| good.revision == document.revision);
                    let (actor, at) = known.map_or_else(
                        || (BY_HAND.into(), now),
                        |good| (Arc::clone(&good.actor), good.at),
                    );
                    return Ok(Start {
                        accepted: accepted(rules, document, at, actor),
                        degraded: None,
                        is_new: known.is_none(),
                        unwritten: false,
                    });
                }
                Err(problems) => (problems, Some(document.revision)),
            },
            Err(DocumentError::Absent { .. }) if good.is_none() => {
                return Self::start_shipped(doors, now);
            }
            Err(error) => (unreadable(named(C::FILE), &error), None),
        };
        let degraded = Some(degraded(now, revision, problems));
        let kept = good.and_then(|good| kept::<C>(doors, good));
        let accepted = match kept {
            Some(accepted) => accepted,
            None => shipped::<C>(now)?,
        };
        Ok(Start {
            accepted,
            degraded,
            is_new: false,
            unwritten: false,
        })
    }

    /// The first start of all: the shipped text becomes the file.
    fn start_shipped(doors: &Doors, now: DateTime<Utc>) -> anyhow::Result<Start<C::Rules>> {
        let accepted = shipped::<C>(now)?;
        let written = doors.engine.replace(C::FILE, None, &accepted.text);
        let degraded = written
            .err()
            .map(|error| degraded(now, None, unreadable(named(C::FILE), &error)));
        Ok(Start {
            accepted,
            is_new: degraded.is_none(),
            unwritten: degraded.is_some(),
            degraded,
        })
    }

    fn gate(&self) -> MutexGuard<'_, Vec<OnAccept<C::Rules>>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Option<Degraded>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn on_accept(&self, hook: OnAccept<C::Rules>) {
        let mut hooks = self.gate();
        hook(&self.live.get_full());
        hooks.push(hook);
    }

    /// Puts rules in force: the swap first, then whoever wants to know, then the record.
    fn accept(&self, hooks: &[OnAccept<C::Rules>], next: Accepted<C::Rules>) {
        let next = Arc::new(next);
        self.live.set(Arc::clone(&next));
        self.cure();
        for hook in hooks {
            hook(&next);
        }
        self.doors.recorder.note(accepted_note::<C>(&next));
        let (revision, actor) = (&next.revision, &next.actor);
        tracing::info!(
            config.file = C::FILE,
            "`{}` is in force at {revision}, by {actor}",
            C::FILE
        );
        let restart = C::restart_needed(&self.first.rules, &next.rules);
        if !restart.is_empty() {
            let keys = restart.join("`, `");
            tracing::warn!(
                config.file = C::FILE,
                "`{keys}` takes effect at the next start"
            );
        }
    }

    /// The file is what is in force again.
    fn cure(&self) {
        if let Some(degraded) = self.told().take() {
            let since = time::stamp(degraded.since);
            tracing::info!(
                config.file = C::FILE,
                "`{}` is good again, bad since {since}",
                C::FILE
            );
        }
    }

    /// Stays on what is in force and says so, once per text.
    fn reject(&self, revision: Option<Revision>, problems: Problems) {
        let next = degraded(self.doors.clock.now(), revision, problems);
        let mut told = self.told();
        let same = told.as_ref().is_some_and(|before| {
            before.revision == next.revision && before.problems == next.problems
        });
        if !same {
            tell_rejected::<C>(&self.doors, &next, &self.live.get_full());
            *told = Some(next);
        }
    }

    fn already_rejected(&self, revision: &Revision) -> bool {
        self.told()
            .as_ref()
            .is_some_and(|told| told.revision.as_ref() == Some(revision))
    }

    /// Changes the text of the document and puts the result in force.
    pub(super) fn edit<E>(
        &self,
        base: Option<Revision>,
        actor: Arc<str>,
        change: impl FnOnce(&mut Edit) -> Result<(), E>,
    ) -> Result<Arc<Accepted<C::Rules>>, EditError<E>> {
        let hooks = self.gate();
        let expected = base.unwrap_or_else(|| self.live.get().revision.clone());
        let document = self
            .doors
            .engine
            .load(C::FILE)
            .map_err(EditError::Document)?;
        if document.revision != expected {
            return Err(moved::<C, E>(expected, document.revision));
        }
        let mut edit = Edit::of(&document.body).map_err(EditError::Text)?;
        change(&mut edit).map_err(EditError::Refused)?;
        let body = edit.into_bytes();
        let rules = read::<C>(&named(C::FILE), &body).map_err(EditError::Invalid)?;
        let revision = if body == document.body {
            document.revision
        } else {
            match self
                .doors
                .engine
                .replace(C::FILE, Some(&document.revision), &body)
            {
                Ok(revision) => revision,
                Err(DocumentError::Moved { found, .. }) => {
                    return Err(moved::<C, E>(expected, found));
                }
                Err(error) => return Err(EditError::Document(error)),
            }
        };
        // Nothing changed: what is in force keeps its date and its author.
        if revision != self.live.get().revision {
            let now = self.doors.clock.now();
            self.accept(
                &hooks,
                accepted(rules, Document { body, revision }, now, actor),
            );
        }
        Ok(self.live.get_full())
    }
}

impl<C: Config> AnySlot for Slot<C> {
    fn refresh(&self) {
        let hooks = self.gate();
        let document = match self.doors.engine.load(C::FILE) {
            Ok(document) => document,
            // Still being written: the engine tells again when it has come to rest.
            Err(DocumentError::Unsettled { .. }) => return,
            Err(error) => return self.reject(None, unreadable(named(C::FILE), &error)),
        };
        if document.revision == self.live.get().revision {
            return self.cure();
        }
        if self.already_rejected(&document.revision) {
            return;
        }
        match read::<C>(&named(C::FILE), &document.body) {
            Ok(rules) => {
                let now = self.doors.clock.now();
                self.accept(&hooks, accepted(rules, document, now, BY_HAND.into()));
            }
            Err(problems) => self.reject(Some(document.revision), problems),
        }
    }

    fn status(&self) -> ConfigStatus {
        let current = self.live.get_full();
        ConfigStatus {
            file: C::FILE,
            revision: current.revision.clone(),
            accepted_at: current.at,
            actor: current.actor.to_string(),
            degraded: self.told().clone(),
            restart_needed: C::restart_needed(&self.first.rules, &current.rules),
        }
    }
}

fn accepted<R>(rules: R, document: Document, at: DateTime<Utc>, actor: Arc<str>) -> Accepted<R> {
    Accepted {
        rules,
        revision: document.revision,
        text: document.body.into(),
        at,
        actor,
    }
}

fn degraded(since: DateTime<Utc>, revision: Option<Revision>, problems: Problems) -> Degraded {
    Degraded {
        since,
        revision,
        count: problems.count(),
        problems,
    }
}

fn moved<C: Config, E>(expected: Revision, found: Revision) -> EditError<E> {
    EditError::Moved {
        file: C::FILE,
        expected,
        found,
    }
}

fn accepted_note<C: Config>(accepted: &Accepted<C::Rules>) -> Note {
    Note::Accepted {
        file: C::FILE,
        revision: accepted.revision.clone(),
        text: Arc::clone(&accepted.text),
        actor: Arc::clone(&accepted.actor),
        at: accepted.at,
    }
}

/// Says loudly that the file is not in force, and writes it down.
fn tell_rejected<C: Config>(doors: &Doors, degraded: &Degraded, current: &Accepted<C::Rules>) {
    let running_on = current.revision.clone();
    let since = time::stamp(current.at);
    tracing::error!(
        config.file = C::FILE,
        "{}\nrunning on revision {running_on} since {since}",
        degraded.problems
    );
    doors.recorder.note(Note::Rejected {
        file: C::FILE,
        degraded: degraded.clone(),
        running_on,
    });
}

/// The rules of the shipped text.
fn shipped<C: Config>(now: DateTime<Utc>) -> anyhow::Result<Accepted<C::Rules>> {
    let body = C::SHIPPED.as_bytes().to_vec();
    let rules = read::<C>(&named(C::FILE), &body)?;
    let revision = Revision::of(&body);
    Ok(accepted(
        rules,
        Document { body, revision },
        now,
        "shipped".into(),
    ))
}

/// The rules of the last text that was in force, where it was kept and still passes the check.
fn kept<C: Config>(doors: &Doors, good: &LastGood) -> Option<Accepted<C::Rules>> {
    let document = match doors.engine.snapshot(C::FILE, &good.revision) {
        Ok(document) => document,
        Err(error) => {
            let revision = &good.revision;
            tracing::error!(
                "cannot read the text of `{}` at {revision}: {error}",
                C::FILE
            );
            return None;
        }
    };
    match read::<C>(&named(C::FILE), &document.body) {
        Ok(rules) => Some(accepted(rules, document, good.at, Arc::clone(&good.actor))),
        Err(problems) => {
            tracing::error!(
                "the last good text of `{}` does not pass any more: {problems}",
                C::FILE
            );
            None
        }
    }
}
