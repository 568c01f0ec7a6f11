//! `configs/experiments.json`: one object per experiment, under its name.

use std::collections::{BTreeMap, HashSet};

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::logic::is_event_name;
use super::model::{Experiment, ExperimentsRules, Status};
use super::refusal::MAX_EVENT_BYTES;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};

/// Variants of an experiment at most; each has counts of its own for every event.
const MAX_VARIANTS: usize = 64;
/// Experiments at most, running or not.
const MAX_EXPERIMENTS: usize = 1000;
/// Bytes of a salt at most.
const MAX_SALT_BYTES: usize = 256;
/// Bytes of a description at most; it is sent with every assignment.
const MAX_DESCRIPTION_BYTES: usize = 1024;
/// What a name of an experiment or a variant may be.
const NAME_RULE: &str = "1..=64 letters, digits or `_.:-`, the first a letter or digit";

/// One experiment as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExperimentConfig {
    /// What users are divided into, evenly. The order matters: changing it, or
    /// the number, moves users.
    #[schemars(length(min = 1, max = 64))]
    variants: Vec<String>,
    /// Mixed into the assignment, so that two experiments divide users differently.
    /// Changing it moves users.
    #[schemars(length(max = 256))]
    salt: String,
    /// What it is about; sent with every assignment.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    description: String,
    /// How users are assigned. 1 = SHA-256 over user and salt, modulo the number of variants.
    #[serde(default = "first_hash")]
    #[schemars(range(min = 1, max = 1))]
    hash: u32,
    /// draft = being prepared, running = users are assigned and events are taken, stopped = over.
    #[serde(default)]
    status: Status,
}

fn first_hash() -> u32 {
    1
}

/// The file.
#[derive(Debug)]
pub struct ExperimentsConfig;

impl Config for ExperimentsConfig {
    const FILE: &'static str = "experiments.json";
    const SHIPPED: &'static str = include_str!("../../../configs/experiments.json");
    type Rules = ExperimentsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<ExperimentsRules> {
        let raw: BTreeMap<String, ExperimentConfig> = typed(tree, problems)?;
        if raw.len() > MAX_EXPERIMENTS {
            let hint = "remove experiments that are over; their lines stay in the log";
            problems.out_of_range(Path::root(), raw.len(), "at most 1000 experiments", hint);
        }
        for (name, exp) in &raw {
            check(name, exp, problems);
        }
        if !problems.is_empty() {
            return None;
        }
        let in_order = tree.root().members().filter_map(|(name, _)| {
            let name = name.str()?;
            let ExperimentConfig {
                variants,
                salt,
                description,
                status,
                ..
            } = raw.get(name)?;
            Some(Experiment::new(name, description, salt, *status, variants))
        });
        Some(ExperimentsRules::new(in_order.collect()))
    }

    fn schema() -> Schema {
        schema_of::<BTreeMap<String, ExperimentConfig>>()
    }
}

fn check(name: &str, exp: &ExperimentConfig, problems: &mut Problems) {
    let path = Path::root().key(name);
    if !is_event_name(name) {
        let hint = "rename it; it stands in URLs and in every log line";
        problems.not_allowed(&path, format!("the name `{name}`"), NAME_RULE, hint);
    }
    check_variants(&path.key("variants"), &exp.variants, problems);
    if exp.hash != 1 {
        let hint = "remove `hash`: 1 is the only assignment so far";
        problems.not_allowed(path.key("hash"), exp.hash, "1", hint);
    }
    for (key, text, most) in [
        ("salt", &exp.salt, MAX_SALT_BYTES),
        ("description", &exp.description, MAX_DESCRIPTION_BYTES),
    ] {
        if text.len() > most {
            let (found, allowed) = (format!("{} bytes", text.len()), format!("at most {most}"));
            problems.out_of_range(path.key(key), found, allowed, "shorten it");
        }
    }
}

fn check_variants(path: &Path, variants: &[String], problems: &mut Problems) {
    if variants.is_empty() || variants.len() > MAX_VARIANTS {
        let hint = "name what users are to be divided into, such as [\"A\", \"B\"]";
        problems.out_of_range(path, variants.len(), "1..=64 variants", hint);
    }
    let mut seen = HashSet::new();
    for (at, variant) in variants.iter().enumerate() {
        if !is_event_name(variant) {
            let hint = format!("shorten it to {MAX_EVENT_BYTES} bytes or take out odd characters");
            problems.not_allowed(path.index(at), format!("`{variant}`"), NAME_RULE, hint);
        }
        if !seen.insert(variant) {
            let hint = "remove one: users of both could not be told apart";
            problems.not_allowed(
                path.index(at),
                format!("`{variant}` again"),
                "each once",
                hint,
            );
        }
    }
}
