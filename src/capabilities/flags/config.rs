//! `configs/flags.json`: one bare value per flag.
//!
//! A flag that is an object or an array is refused, never taken as a value: a definition misread as
//! data would switch something nobody meant. Definitions with `variants` have their place in the
//! loader ([`Shape`]) and are told apart from mistakes already.

use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderValue;
use schemars::{Schema, json_schema};

use super::model::{FlagValue, MAX_KEY, is_flag_key};
use crate::base::escape::escape_steering;
use crate::base::json::{Node, Path, Tree, Value};
use crate::base::problems::Problems;
use crate::platform::config::Config;
use crate::platform::switches::{self, Switched};
use crate::storage::engine::Revision;

/// The file.
#[derive(Debug)]
pub(super) struct FlagsConfig;

/// All flags, checked, with the answer to "all flags" ready to be sent.
#[derive(Debug)]
pub(super) struct FlagsRules {
    flags: Vec<(String, FlagValue)>,
    index: HashMap<String, usize>,
    answer: Bytes,
    tag: OnceLock<HeaderValue>,
}

impl FlagsRules {
    fn new(flags: Vec<(String, FlagValue)>) -> Self {
        let index = flags
            .iter()
            .enumerate()
            .map(|(at, (key, _))| (key.clone(), at))
            .collect();
        let answer = answer(&flags);
        Self {
            flags,
            index,
            answer,
            tag: OnceLock::new(),
        }
    }

    /// One flag.
    pub(super) fn get(&self, key: &str) -> Option<&FlagValue> {
        self.index
            .get(key)
            .and_then(|at| self.flags.get(*at))
            .map(|(_, value)| value)
    }

    /// All flags, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &FlagValue)> {
        self.flags.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What these flags let act by itself.
    pub(super) fn switched(&self) -> Switched {
        Switched::from_flags(|flag| {
            self.get(flag).map(|value| match value {
                FlagValue::Bool(on) => switches::Value::Bool(*on),
                _ => switches::Value::Other,
            })
        })
    }

    /// The revision that these rules came from, as an entity tag.
    pub(super) fn tag(&self, revision: &Revision) -> HeaderValue {
        let made = || HeaderValue::try_from(format!("\"{revision}\""));
        let tag = self
            .tag
            .get_or_init(|| made().unwrap_or(HeaderValue::from_static("\"\"")));
        tag.clone()
    }

    /// `{"ok":true,"count":N,"flags":{…}}`, made once per revision.
    pub(super) fn answer(&self) -> Bytes {
        self.answer.clone()
    }
}

fn answer(flags: &[(String, FlagValue)]) -> Bytes {
    let mut out = format!("{{\"ok\":true,\"count\":{},\"flags\":{{", flags.len());
    for (at, (key, value)) in flags.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        // A key needs no escaping: `is_flag_key` has seen it.
        out.push('"');
        out.push_str(key);
        out.push_str("\":");
        out.push_str(&value.to_json());
    }
    out.push_str("}}");
    let mut json = out.into_bytes();
    escape_steering(&mut json, 0);
    Bytes::from(json)
}

/// What stands at a flag's key.
enum Shape {
    Bare(FlagValue),
    Definition,
    Mistake,
}

fn shape(node: Node<'_>) -> Shape {
    match node.value() {
        Value::Null => Shape::Bare(FlagValue::Null),
        Value::Bool(value) => Shape::Bare(FlagValue::Bool(value)),
        Value::Number(source) => Shape::Bare(FlagValue::Number(source.to_owned())),
        Value::String(text) => Shape::Bare(FlagValue::Text(text.to_owned())),
        Value::Object(_) if node.get("variants").is_some() => Shape::Definition,
        Value::Object(_) | Value::Array(_) => Shape::Mistake,
    }
}

/// What a bare flag may be.
const BARE: &str = "true, false, a string, a number or null";

impl Config for FlagsConfig {
    const FILE: &'static str = "flags.json";
    const SHIPPED: &'static str = include_str!("../../../configs/flags.json");
    type Rules = FlagsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<FlagsRules> {
        let root = tree.root();
        if !root.is_object() {
            let hint = "write { \"my.flag\": true }";
            problems.wrong_type(Path::root(), root.type_name(), "an object of flags", hint);
            return None;
        }
        let members = root
            .members()
            .filter_map(|(key, node)| Some((key.str()?, node)));
        let flags = members
            .filter(|(key, _)| !key.starts_with('$'))
            .filter_map(|(key, node)| read_flag(key, node, problems))
            .collect();
        problems.is_empty().then(|| FlagsRules::new(flags))
    }

    fn schema() -> Schema {
        json_schema!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "flags.json",
            "description": "Feature flags of echopilot: one value per flag. Applied as soon as the file is saved.",
            "type": "object",
            "propertyNames": {
                "pattern": "^(\\$.*|[A-Za-z0-9][A-Za-z0-9_.:/-]*)$",
                "maxLength": MAX_KEY,
            },
            "properties": {
                "$schema": { "type": "string" },
            },
            "additionalProperties": {
                "description": "The flag's value; null means: it exists, and the caller's own default holds.",
                "type": ["boolean", "string", "number", "null"],
            },
        })
    }
}

fn read_flag(key: &str, node: Node<'_>, problems: &mut Problems) -> Option<(String, FlagValue)> {
    let path = Path::root().key(key);
    if !is_flag_key(key) {
        let allowed = format!("letters, digits and `_.:/-`, at most {MAX_KEY} bytes");
        problems.not_allowed(path, "such a name", allowed, "rename the flag");
        return None;
    }
    match shape(node) {
        Shape::Bare(value) => return Some((key.to_owned(), value)),
        Shape::Definition => problems.not_allowed(
            path,
            "a definition with variants",
            BARE,
            "this version evaluates bare values only; write the value itself",
        ),
        Shape::Mistake => {
            let hint = "write the value itself; structured data belongs into a string";
            problems.wrong_type(path, node.type_name(), BARE, hint);
        }
    }
    None
}
