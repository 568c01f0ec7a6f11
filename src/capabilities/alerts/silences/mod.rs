//! Silences: alerts that some conditions fit are not told for a time, because somebody said so and
//! why. Sole writer of `logs/silences.ndjson`. What was told of before and ends meanwhile is told
//! to have ended: a silence hides what holds, not that it is over.

pub(super) mod api;
pub(super) mod event;
pub(super) mod model;

mod logic;
mod view;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use self::event::{Event, STREAM};
pub(super) use self::model::{Draft, Phase, Silence};
use self::view::SilencesView;
use super::labels::Labelled;
use super::matcher::Matcher;
use crate::platform::wiring::Wiring;
use crate::seams::ids::{Ids, SystemIds};
use crate::storage::engine::{Position, StorageError};
use crate::storage::lines::Lines;
use crate::storage::view::{Kept, View as _};

/// Conditions of a silence at most.
const MOST_MATCHERS: usize = 32;
/// Bytes of a comment or an author at most.
const MOST_COMMENT: usize = 1024;
/// Silences that are not over at most. Our own choice: each is tried on each alert.
const MOST_STANDING: usize = 2000;

/// Why a silence was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum SilenceError {
    /// No such silence.
    #[error("there is no silence `{id}`")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It is over already.
    #[error("the silence `{id}` is over")]
    Over {
        /// Which.
        id: String,
    },
    /// It makes no sense.
    #[error("{found} is not allowed, must be {allowed}")]
    Refused {
        /// What was found.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system has no randomness to give.
    #[error("no identity could be drawn")]
    Lost,
}

/// The silences.
#[derive(Debug)]
pub(super) struct Silences {
    kept: Kept<SilencesView>,
    ids: Arc<dyn Ids>,
    /// One verb at a time: each is decided on what is on record.
    turn: tokio::sync::Mutex<()>,
    /// Counts changes.
    version: watch::Sender<u64>,
}

impl Silences {
    /// Opens the journal and works out what it means.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let journal = wiring.opened(STREAM)?;
        let clock = Arc::clone(&wiring.clock);
        let (kept, _) = Kept::open(journal, clock, SilencesView::default)?;
        Ok(Arc::new(Self {
            kept,
            ids: Arc::new(SystemIds),
            turn: tokio::sync::Mutex::default(),
            version: watch::Sender::new(0),
        }))
    }

    /// Makes a silence, or edits one: the same one where only its end and its words change, else
    /// another in its place. Gives the id; it is durable when this ends.
    pub(super) async fn create(
        self: &Arc<Self>,
        draft: Draft,
        now: DateTime<Utc>,
    ) -> Result<String, SilenceError> {
        let _turn = self.turn.lock().await;
        let known = match &draft.edits {
            None => None,
            Some(id) => Some(self.known(id)?),
        };
        if known.is_none() && self.kept.lock().standing(now) >= MOST_STANDING {
            let found = format!("more than {MOST_STANDING} silences");
            let allowed = format!("at most {MOST_STANDING}, expire some");
            return Err(SilenceError::Refused { found, allowed });
        }
        let (id, events) = logic::decide(draft, known.as_deref(), self.draw()?, now)?;
        self.write(events, now).await?;
        Ok(id)
    }

    /// Ends the silence `id` now, in the name of `by`.
    pub(super) async fn expire(
        self: &Arc<Self>,
        id: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), SilenceError> {
        let _turn = self.turn.lock().await;
        let (id, by) = (id.to_owned(), by.to_owned());
        if self.known(&id)?.phase(now) == Phase::Expired {
            return Err(SilenceError::Over { id });
        }
        self.write(vec![Event::Expired { id, by }], now).await
    }

    /// The silence `id`; those that are over for more than five days are forgotten.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Silence>> {
        self.kept.lock().find(id).cloned()
    }

    /// All of them, by id.
    pub(super) fn list(&self) -> Vec<Arc<Silence>> {
        self.kept.lock().all().cloned().collect()
    }

    /// Those that are in force at `now`.
    pub(super) fn active(&self, now: DateTime<Utc>) -> Vec<Arc<Silence>> {
        let view = self.kept.lock();
        let active = view.all().filter(|silence| silence.is_active(now));
        active.cloned().collect()
    }

    /// Ids of the silences that cover what has these labels at `now`.
    pub(super) fn silenced_by(
        &self,
        labels: &(impl Labelled + ?Sized),
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let active = self.active(now);
        let covering = active.iter().filter(|silence| silence.covers(labels));
        covering.map(|silence| silence.id.clone()).collect()
    }

    /// Tells whenever one is made, changed or ended by somebody.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Saves what makes the next start quick.
    pub(super) fn close(&self) {
        self.kept.close();
    }

    fn known(&self, id: &str) -> Result<Arc<Silence>, SilenceError> {
        let unknown = || SilenceError::Unknown { id: id.to_owned() };
        self.find(id).ok_or_else(unknown)
    }

    /// A UUID of version 4, RFC 9562, section 5.4.
    fn draw(&self) -> Result<String, SilenceError> {
        let drawn = self.ids.random().map_err(|_none| SilenceError::Lost)?;
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(drawn.get(..16).ok_or(SilenceError::Lost)?);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = crate::base::hex::of(&bytes);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let parts = [
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32),
        ];
        Ok(parts.join("-"))
    }

    async fn write(
        self: &Arc<Self>,
        events: Vec<Event>,
        now: DateTime<Utc>,
    ) -> Result<(), SilenceError> {
        let mut lines = Lines::new();
        for event in &events {
            event.push(&mut lines, now);
        }
        let (count, bytes) = (lines.len() as u64, lines.bytes() as u64);
        let own = Arc::clone(self);
        let committed = move |outcome: &Result<Position, StorageError>| {
            let Ok(position) = outcome else { return };
            {
                let mut view = own.kept.lock();
                for event in events {
                    view.apply_event(event, now);
                }
                view.reached(position.last);
            }
            own.kept.grew(count, bytes);
            own.version.send_modify(|version| *version += 1);
        };
        let journal = self.kept.journal();
        let written = journal.append(lines, None, Some(Box::new(committed)));
        Ok(written.await.map(|_position| ())?)
    }
}
