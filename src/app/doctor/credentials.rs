//! The secrets that configurations ask for by name: where each was found, which is absent, empty
//! or open to others. Never their values, nor anything about them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Around, Notes};
use crate::app::schema_walk::Walk;
use crate::app::settings::{Found, found};
use crate::base::names;
use crate::platform::config::ConfigKind;
use crate::platform::secrets::{AUTOSCALE_WEBHOOK, INCIDENT_WEBHOOK, is_secret_name};

/// A secret that a configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name, such as `SLACK_WEBHOOK_URL`.
    pub name: String,
    /// The file that asks for it.
    pub file: &'static str,
}

/// Members that name a secret without ending in `_secret`.
const NAMING: [&str; 2] = ["client_secret", "refresh_token"];
/// The file that says who is told.
const ALERTS: &str = "alerts.json";

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let text = |file: &str| around.own(&format!("configs/{file}"));
    let wanted = asked(around.kinds, &text);
    let (mut given, mut absent) = (Vec::new(), Vec::new());
    let mut reaches_people = false;
    for one in &wanted {
        let (name, file) = (one.name.as_str(), one.file);
        match found(around.files, around.home, around.given, name) {
            Found::Absent => absent.push(format!("`{name}` ({file})")),
            Found::Given(place) => {
                reaches_people |= file == ALERTS;
                given.push(format!("`{name}` {place}"));
            }
            Found::Empty(place) => notes.warn(
                format!("`{name}`, which {file} asks for, is empty {place}"),
                "write it, or take the file or the variable away",
            ),
            Found::Open(path, mode) => notes.fail(
                format!("`{name}`, which {file} asks for, is not used: {path} has mode {mode:o}"),
                format!("chmod 600 {path}"),
            ),
            Found::Unreadable(path) => notes.fail(
                format!("`{name}`, which {file} asks for, cannot be read: {path}"),
                "it must be a plain file of the daemon's user; run the doctor as that user",
            ),
        }
    }
    if !absent.is_empty() {
        notes.skip(format!(
            "not given, so their parts run dry: {}",
            absent.join(", ")
        ));
    }
    if wanted.iter().any(|one| one.file == ALERTS) && !reaches_people {
        notes.warn(
            "no way to people has its secret: alerts stay in the files",
            "write one into `secrets/` and try it with `echopilot alert test`; docs/channels.md",
        );
    }
    strangers(around, &wanted, notes);
    if !given.is_empty() {
        notes.ok(given.join(", "));
    }
}

/// A misspelt file name is silently without effect otherwise.
fn strangers(around: &Around<'_>, wanted: &[Asked], notes: &mut Notes) {
    let known: Vec<String> = wanted
        .iter()
        .map(|one| one.name.to_ascii_lowercase())
        .collect();
    let there = around
        .files
        .list(&around.home.join("secrets"))
        .unwrap_or_default();
    for name in there.iter().filter(|name| !known.contains(name)) {
        let cure = match names::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? then `mv secrets/{name} secrets/{near}`"),
            None => "name it in a configuration, or remove the file".to_owned(),
        };
        notes.warn(format!("no configuration asks for `secrets/{name}`"), cure);
    }
}

/// Every secret that the configurations ask for, each once, in the order of the files; `text` gives
/// a file's text. What cannot be parsed asks for nothing.
pub fn asked(kinds: &[ConfigKind], text: &dyn Fn(&str) -> Option<String>) -> Vec<Asked> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut all = Vec::new();
    for kind in kinds {
        let document = text(kind.file).unwrap_or_else(|| kind.shipped.to_owned());
        let Ok(document) = serde_json::from_str::<Value>(&document) else {
            continue;
        };
        let walk = Walk::new((kind.schema)().to_value());
        let mut found = Vec::new();
        gather(&walk, walk.root(), &document, &mut found);
        found.extend(unnamed(kind.file, &document).into_iter().map(str::to_owned));
        for name in found {
            if names.insert(name.clone()) {
                let file = kind.file;
                all.push(Asked { name, file });
            }
        }
    }
    all
}

fn gather(walk: &Walk, schema: &Value, document: &Value, found: &mut Vec<String>) {
    for (key, inner) in walk.members(schema) {
        let here = document.get(key).filter(|value| !value.is_null());
        if key.ends_with("_secret") || NAMING.contains(&key) {
            let said = here.and_then(Value::as_str).map(str::to_owned);
            found.extend(
                said.or_else(|| default_name(inner))
                    .filter(|name| is_secret_name(name)),
            );
        } else if let Some(here) = here {
            gather(walk, inner, here, found);
        } else if !walk.is_optional(inner) && walk.word(inner, "properties").is_some() {
            gather(walk, inner, &Value::Null, found);
        }
    }
    let known = walk.members(schema);
    for (key, here) in document.as_object().into_iter().flatten() {
        if key.starts_with('$') || known.iter().any(|(name, _)| name == key) {
            continue;
        }
        if let Some(inner) = walk.member(schema, key) {
            gather(walk, inner, here, found);
        }
    }
    if let (Some(list), Some(inner)) = (document.as_array(), walk.element(schema)) {
        for here in list {
            gather(walk, inner, here, found);
        }
    }
}

/// The name that holds where none is written: the schema's default, or the one that its text tells.
fn default_name(schema: &Value) -> Option<String> {
    if let Some(name) = schema.get("default").and_then(Value::as_str) {
        return Some(name.to_owned());
    }
    let (_, told) = schema
        .get("description")?
        .as_str()?
        .split_once("Default `")?;
    told.split('`').next().map(str::to_owned)
}

/// Secrets whose names are fixed, where the document has a use for them.
fn unnamed(file: &str, document: &Value) -> Vec<&'static str> {
    let has = |pointer: &str| {
        document
            .pointer(pointer)
            .is_some_and(|value| !value.is_null())
    };
    match file {
        "support.json" => [
            ("/connection/host", "IMAP_HOST"),
            ("/connection/user", "IMAP_USER"),
        ]
        .into_iter()
        .filter(|(pointer, _)| !has(pointer))
        .map(|(_, name)| name)
        .collect(),
        "autoscale.json" if calls(document) => vec![AUTOSCALE_WEBHOOK],
        "incidents.json" if calls(document) => vec![INCIDENT_WEBHOOK],
        _ => Vec::new(),
    }
}

/// Whether a webhook stands anywhere in a document.
fn calls(document: &Value) -> bool {
    match document {
        Value::Object(members) => members
            .iter()
            .any(|(key, inner)| (key == "webhook" && inner.is_object()) || calls(inner)),
        Value::Array(list) => list.iter().any(calls),
        _ => false,
    }
}
