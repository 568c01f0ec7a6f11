//! Deploys: what was released when, told by whoever releases. Sole writer of `logs/deploys.ndjson`:
//! `deploy.recorded {id, service, version, actor, url, at}`; old lines stay readable for ever.
//!
//! Every deploy is a change that the memory of changes knows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::time::as_stamp;
use crate::platform::changes::{Change, ChangeKind, Changes};
use crate::platform::wiring::Wiring;
use crate::storage::engine::{Mark, Position, StorageError};
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Name of the journal.
pub(super) const STREAM: &str = "deploys";
/// Deploys that are remembered, for lists and for telling repeats (our own choice: years of a small
/// house).
const MOST: usize = 10_000;

/// A release of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Deploy {
    /// Names it: the same id again is the same deploy.
    pub(super) id: String,
    /// What was released.
    pub(super) service: String,
    /// As what.
    pub(super) version: String,
    /// Who released it.
    pub(super) actor: String,
    /// Where more of it is shown; left away where nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) url: String,
    /// When it took effect, UTC.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Line {
    seq: u64,
    kind: String,
    #[serde(flatten)]
    deploy: Deploy,
}

#[derive(Debug, Default)]
struct Known {
    order: VecDeque<Arc<Deploy>>,
    by_id: HashMap<String, Arc<Deploy>>,
}

/// All deploys that are remembered.
#[derive(Debug)]
pub(super) struct Deploys {
    journal: Journal,
    changes: Changes,
    known: Arc<Mutex<Known>>,
    turn: tokio::sync::Mutex<()>,
}

impl Deploys {
    /// Folds the journal.
    pub(super) fn open(wiring: &Wiring) -> Result<Self, StorageError> {
        let journal = wiring.opened(STREAM)?;
        let (mut known, now) = (Known::default(), wiring.clock.now());
        read_lines(journal.engine(), STREAM, &Mark::default(), |line: Line| {
            if line.kind == "deploy.recorded" {
                wiring.changes.note(change(&line.deploy, line.seq), now);
                known.add(Arc::new(line.deploy));
            }
        })?;
        Ok(Self {
            journal,
            changes: wiring.changes.clone(),
            known: Arc::new(Mutex::new(known)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Writes `deploy` down, or gives the one that has its id already. Whether it is new.
    pub(super) async fn record(
        &self,
        deploy: Deploy,
        now: DateTime<Utc>,
    ) -> Result<(Arc<Deploy>, bool), StorageError> {
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known().by_id.get(&deploy.id) {
            return Ok((Arc::clone(known), false));
        }
        let mut lines = Lines::new();
        lines.push_members("deploy.recorded", now, &deploy);
        let deploy = Arc::new(deploy);
        let (known, changes) = (Arc::clone(&self.known), self.changes.clone());
        let told = Arc::clone(&deploy);
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                changes.note(change(&told, position.last), now);
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                known.add(told);
            }
        };
        let written = self.journal.append(lines, None, Some(Box::new(committed)));
        written.await?;
        Ok((deploy, true))
    }

    /// The newest `limit`, of `service` if one is named, the last told first.
    pub(super) fn newest(&self, service: Option<&str>, limit: usize) -> Vec<Arc<Deploy>> {
        let known = self.known();
        let of = |one: &&Arc<Deploy>| service.is_none_or(|service| one.service == service);
        known
            .order
            .iter()
            .rev()
            .filter(of)
            .take(limit)
            .cloned()
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, deploy: Arc<Deploy>) {
        self.by_id.insert(deploy.id.clone(), Arc::clone(&deploy));
        self.order.push_back(deploy);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest.id);
        }
    }
}

fn change(deploy: &Deploy, seq: u64) -> Change {
    let Deploy {
        service, version, ..
    } = deploy;
    Change {
        at: deploy.at,
        kind: ChangeKind::Deploy,
        name: service.clone(),
        summary: format!("service `{service}` was released as `{version}`"),
        actor: deploy.actor.clone(),
        scope: vec![service.clone()],
        source: (STREAM, seq),
    }
}
