//! The verbs of keys: new, list, rotate, revoke. Each is an edit of the document and one line of
//! the audit journal, which never holds a secret.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::config::{KeyEntry, KeysConfig, KeysRules};
use crate::base::json::{EditFault, Path};
use crate::base::{hex, time};
use crate::platform::auth::{Gate, KeySpec, KeyText};
use crate::platform::config::{ConfigStore, EditError, Live};
use crate::platform::http::Role;
use crate::platform::wiring::Wiring;
use crate::seams::ids::{Ids, SystemIds};
use crate::storage::engine::{Engine, Expect, Revision, StorageError};
use crate::storage::lines::Lines;

/// Name of the journal: `key.created`, `key.rotated`, `key.abandoned`, `key.revoked`, each with
/// `id`, `role`, `actor`.
pub(super) const STREAM: &str = "keys";

/// Keys, running.
#[derive(Debug)]
pub(super) struct Keys {
    live: Live<KeysRules>,
    configs: ConfigStore,
    engine: Arc<dyn Engine>,
    gate: Arc<Gate>,
    ids: Arc<dyn Ids>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// No such key.
    #[error("there is no key `{id}`")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It was taken back before.
    #[error("key `{id}` is revoked, a new one must be made")]
    Revoked {
        /// The key.
        id: String,
    },
    /// The file could not be edited.
    #[error(transparent)]
    Edit(#[from] EditError<EditFault>),
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// No randomness, or the edit itself died.
    #[error("the key was not made")]
    Lost,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub(super) struct NewKey {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) not_after: Option<DateTime<Utc>>,
    pub(super) per_minute: Option<u32>,
}

/// A key that was made. Its text is shown once and kept nowhere.
pub(super) struct MadeKey {
    pub(super) text: KeyText,
    pub(super) entry: KeyEntry,
}

/// Who asks, and when.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) name: Arc<str>,
    pub(super) now: DateTime<Utc>,
}

/// What is to be written into the document: values, each at its place, never a whole entry that was
/// read a moment ago, so that nothing written in between is taken back.
#[derive(Debug, Default)]
struct Change {
    /// The revision it was made for; `None` where it holds for any.
    base: Option<Revision>,
    leaves: Vec<(Path, serde_json::Value)>,
}

fn leaf(id: &str, name: &str) -> Path {
    Path::root().key("keys").key(id).key(name)
}

impl Keys {
    /// Loads the file, opens the journal and hands the keys to the gate, now and at each change.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<KeysConfig>()?;
        wiring.journal(STREAM)?;
        let (gate, fixed) = (Arc::clone(&wiring.gate), Arc::clone(&wiring.fixed_keys));
        wiring
            .configs
            .on_accept::<KeysConfig>(Arc::new(move |accepted| {
                let mut specs: Vec<KeySpec> = fixed.to_vec();
                specs.extend(accepted.rules.specs());
                gate.replace(specs);
            }))?;
        Ok(Arc::new(Self {
            live,
            configs: wiring.configs.clone(),
            engine: Arc::clone(&wiring.engine),
            gate: Arc::clone(&wiring.gate),
            ids: Arc::new(SystemIds),
        }))
    }

    /// The keys in force.
    pub(super) fn live(&self) -> &Live<KeysRules> {
        &self.live
    }

    /// Who uses them.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Makes a key.
    pub(super) async fn create(
        self: &Arc<Self>,
        new: NewKey,
        by: Asker,
    ) -> Result<MadeKey, KeyError> {
        let made = self.draw(&new, by.now)?;
        self.make("key.created", &made, None, Change::default(), &by)
            .await?;
        Ok(made)
    }

    /// Makes a key in the place of `id`, which stays valid for `overlap`.
    pub(super) async fn rotate(
        self: &Arc<Self>,
        id: &str,
        overlap: TimeDelta,
        by: Asker,
    ) -> Result<MadeKey, KeyError> {
        let seen = self.live.get_full();
        let old = self.entry(id)?;
        if old.revoked_at.is_some() {
            return Err(KeyError::Revoked { id: id.to_owned() });
        }
        let new = NewKey {
            role: old.role,
            name: old.name.clone(),
            not_before: None,
            not_after: None,
            per_minute: old.per_minute,
        };
        let made = self.draw(&new, by.now)?;
        let end = by.now.checked_add_signed(overlap).unwrap_or(by.now);
        let known = old
            .not_after
            .as_ref()
            .and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let end = time::stamp(known.map_or(end, |known| known.min(end)));
        // Based on what was seen: a key that is revoked or edited in the meantime stays so.
        let change = Change {
            base: Some(seen.revision.clone()),
            leaves: vec![(leaf(id, "not_after"), end.into())],
        };
        self.make("key.rotated", &made, Some(id), change, &by)
            .await?;
        Ok(made)
    }

    /// The line comes first: no key may be valid that the audit does not know. Where the document
    /// then cannot be written, another line says that the key never was.
    async fn make(
        self: &Arc<Self>,
        kind: &'static str,
        made: &MadeKey,
        replaces: Option<&str>,
        mut change: Change,
        by: &Asker,
    ) -> Result<(), KeyError> {
        let (id, role) = (made.text.id.as_str(), made.entry.role);
        self.record(kind, id, role, replaces, by).await?;
        let entry = serde_json::to_value(&made.entry).unwrap_or_default();
        change
            .leaves
            .push((Path::root().key("keys").key(id), entry));
        let put = self.put(change, by).await;
        if put.is_err()
            && let Err(error) = self.record("key.abandoned", id, role, replaces, by).await
        {
            tracing::warn!(%error, "key `{id}` was not made, though `logs/keys.ndjson` has it");
        }
        put
    }

    /// Takes `id` back; it fails on the next request.
    pub(super) async fn revoke(self: &Arc<Self>, id: &str, by: Asker) -> Result<(), KeyError> {
        let entry = self.entry(id)?;
        if entry.revoked_at.is_some() {
            return Ok(());
        }
        let role = entry.role;
        let change = Change {
            base: None,
            leaves: vec![(leaf(id, "revoked_at"), time::stamp(by.now).into())],
        };
        // Here the line comes last: a full disk must not keep a lost key alive.
        self.put(change, &by).await?;
        self.record("key.revoked", id, role, None, &by).await
    }

    fn entry(&self, id: &str) -> Result<KeyEntry, KeyError> {
        let found = self.live.get().rules.entries.get(id).cloned();
        found.ok_or_else(|| KeyError::Unknown { id: id.to_owned() })
    }

    fn draw(&self, new: &NewKey, now: DateTime<Utc>) -> Result<MadeKey, KeyError> {
        let text = KeyText::draw(new.role, &*self.ids).map_err(|_none| KeyError::Lost)?;
        let entry = KeyEntry {
            role: new.role,
            name: new.name.clone(),
            sha256: hex::of(&Sha256::digest(text.text.reveal().as_bytes())),
            created_at: time::stamp(now),
            not_before: new.not_before.map(time::stamp),
            not_after: new.not_after.map(time::stamp),
            revoked_at: None,
            per_minute: new.per_minute,
        };
        Ok(MadeKey { text, entry })
    }

    /// Writes `change` into the document, where blocking is allowed.
    async fn put(self: &Arc<Self>, change: Change, by: &Asker) -> Result<(), KeyError> {
        let (keys, actor) = (Arc::clone(self), Arc::clone(&by.name));
        let edited = tokio::task::spawn_blocking(move || {
            keys.configs
                .edit::<KeysConfig, EditFault>(change.base, actor, |edit| {
                    let mut leaves = change.leaves.into_iter();
                    leaves.try_for_each(|(path, value)| edit.set(path, &value))
                })
        });
        edited.await.map_err(|_died| KeyError::Lost)??;
        Ok(())
    }

    async fn record(
        &self,
        kind: &'static str,
        id: &str,
        role: Role,
        replaces: Option<&str>,
        by: &Asker,
    ) -> Result<(), KeyError> {
        let mut lines = Lines::new();
        lines.push(kind, by.now, |out| {
            let members = Members {
                id,
                role,
                replaces,
                actor: &by.name,
            };
            let json = serde_json::to_vec(&members).unwrap_or_default();
            let inside = json.get(1..json.len().saturating_sub(1));
            out.extend_from_slice(inside.unwrap_or_default());
        });
        self.engine
            .append(STREAM, Expect::Any, None, lines, None)
            .await?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Members<'a> {
    id: &'a str,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    actor: &'a str,
}
