//! `configs/keys.json`: one entry per key, by its identity. Only digests are kept; who reads the
//! file cannot use a key from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::auth::KeySpec;
use crate::platform::config::{Config, schema_of, typed};
use crate::platform::http::Role;

/// The file.
#[derive(Debug)]
pub(super) struct KeysConfig;

/// Keys of the HTTP API.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: keys of the HTTP API")]
#[serde(deny_unknown_fields)]
struct RawKeys {
    /// Keys by identity, the part between role and secret.
    keys: BTreeMap<String, KeyEntry>,
}

/// One key as it is written.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    /// What its holder may do: `reader`, `dash` or `admin`.
    #[schemars(with = "RoleWord")]
    pub(super) role: Role,
    /// For people: who holds it, what for.
    #[serde(default)]
    pub(super) name: String,
    /// SHA-256 of the whole key, as 64 hex digits.
    pub(super) sha256: String,
    /// When it was made, UTC.
    pub(super) created_at: String,
    /// Not valid before, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<String>,
    /// Not valid from then on, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_after: Option<String>,
    /// When it was taken back, UTC; it is not valid any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked_at: Option<String>,
    /// Requests a minute; the daemon's general bound where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60_000_000))]
    pub(super) per_minute: Option<u32>,
}

/// The words for roles, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum RoleWord {
    Reader,
    Dash,
    Admin,
}

/// The keys, checked.
#[derive(Debug)]
pub(super) struct KeysRules {
    /// Entries by identity.
    pub(super) entries: BTreeMap<String, KeyEntry>,
    specs: Vec<(String, KeyTimes, [u8; 32])>,
}

#[derive(Debug, Clone, Copy)]
struct KeyTimes {
    not_before: Option<DateTime<Utc>>,
    not_after: Option<DateTime<Utc>>,
}

impl KeysRules {
    /// The keys as the gate wants them.
    pub(super) fn specs(&self) -> Vec<KeySpec> {
        let spec = |(id, times, digest): &(String, KeyTimes, [u8; 32])| {
            let entry = self.entries.get(id)?;
            Some(KeySpec {
                id: id.clone(),
                name: entry.name.clone(),
                role: entry.role,
                digest: *digest,
                not_before: times.not_before,
                not_after: times.not_after,
                revoked: entry.revoked_at.is_some(),
                per_minute: entry.per_minute,
                ours: true,
            })
        };
        self.specs.iter().filter_map(spec).collect()
    }
}

impl Config for KeysConfig {
    const FILE: &'static str = "keys.json";
    const SHIPPED: &'static str = concat!(
        "{\n",
        "  \"$schema\": \"schema/keys.schema.json\",\n",
        "  \"keys\": {}\n",
        "}\n"
    );
    type Rules = KeysRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<KeysRules> {
        let raw: RawKeys = typed(tree, problems)?;
        let before = problems.count();
        let mut specs = Vec::with_capacity(raw.keys.len());
        for (id, entry) in &raw.keys {
            let place = Path::root().key("keys").key(id);
            let digest = digest_of(&entry.sha256);
            if digest.is_none() {
                let hint = "`echopilot key new` makes a key and writes its entry";
                problems.not_allowed(place.key("sha256"), "something else", "64 hex digits", hint);
            }
            let mut time = |key: &str, text: Option<&String>| {
                let text = text?;
                let read = text.parse::<DateTime<Utc>>().ok();
                if read.is_none() {
                    let allowed = "a time such as \"2026-11-21T09:15:02Z\"";
                    problems.not_allowed(place.key(key), format!("{text:?}"), allowed, "");
                }
                read
            };
            let times = KeyTimes {
                not_before: time("not_before", entry.not_before.as_ref()),
                not_after: time("not_after", entry.not_after.as_ref()),
            };
            specs.extend(digest.map(|digest| (id.clone(), times, digest)));
        }
        (problems.count() == before).then_some(KeysRules {
            entries: raw.keys,
            specs,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawKeys>()
    }
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
