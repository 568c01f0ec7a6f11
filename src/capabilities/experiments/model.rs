//! Experiments as they are in force, with everything about them that can be prepared beforehand.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::event;

/// Whether users are assigned.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being prepared: nobody is assigned, no event is taken.
    Draft,
    /// Users are assigned and events are taken.
    #[default]
    Running,
    /// Over: nobody is assigned, no event is taken; its results stay.
    Stopped,
}

impl Status {
    /// As it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// One way that things may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: Box<str>,
    /// An assignment's answer after the user.
    pub answer_tail: Box<[u8]>,
    /// An exposure's members up to the user.
    pub exposure_prefix: Box<[u8]>,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Its name.
    pub name: Box<str>,
    /// What it is about.
    pub description: Box<str>,
    /// What its assignment is salted with.
    pub salt: Box<str>,
    /// Whether users are assigned.
    pub status: Status,
    /// Its variants, in the order that the assignment counts them.
    pub variants: Vec<Variant>,
}

impl Experiment {
    /// An experiment; the caller has checked that there is a variant.
    pub fn new(
        name: &str,
        description: &str,
        salt: &str,
        status: Status,
        names: &[String],
    ) -> Self {
        let variant = |variant: &String| {
            let mut tail = b"\",\"experiment\":\"".to_vec();
            event::push_text(&mut tail, name);
            tail.extend_from_slice(b"\",\"variant\":\"");
            event::push_text(&mut tail, variant);
            tail.extend_from_slice(b"\",\"description\":\"");
            event::push_text(&mut tail, description);
            tail.extend_from_slice(b"\"}");
            let mut prefix = Vec::new();
            event::push_prefix(&mut prefix, name, variant, None);
            Variant {
                name: variant.as_str().into(),
                answer_tail: tail.into(),
                exposure_prefix: prefix.into(),
            }
        };
        Self {
            name: name.into(),
            description: description.into(),
            salt: salt.into(),
            status,
            variants: names.iter().map(variant).collect(),
        }
    }

    /// The variant of `user`; `None` only for an experiment without variants, which no check lets
    /// through.
    pub fn assign(&self, user: &str) -> Option<&Variant> {
        self.variants
            .get(assign(user, &self.salt, self.variants.len()))
    }

    /// The variant called `name`.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| *variant.name == *name)
    }

    /// The names of all variants.
    pub fn variant_names(&self) -> Vec<&str> {
        self.variants.iter().map(|variant| &*variant.name).collect()
    }
}

/// Assignment by `"hash": 1`: SHA-256 over the bytes of user and salt, without a separator, read as
/// one big-endian number, modulo `count`. Never changes.
pub fn assign(user: &str, salt: &str, count: usize) -> usize {
    let mut hasher = Sha256::new();
    hasher.update(user.as_bytes());
    hasher.update(salt.as_bytes());
    let digest = hasher.finalize();
    let Some(count) = u64::try_from(count)
        .ok()
        .filter(|count| (1..1 << 32).contains(count))
    else {
        return 0;
    };
    let words = digest.as_chunks::<4>().0;
    // Schoolbook division, 32 bits at a time: the remainder stays below 2^32.
    let step =
        |rest: u64, word: &[u8; 4]| (rest << 32 | u64::from(u32::from_be_bytes(*word))) % count;
    usize::try_from(words.iter().fold(0, step)).unwrap_or(0)
}

/// All experiments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExperimentsRules {
    experiments: Vec<Experiment>,
    by_name: HashMap<Box<str>, usize>,
}

impl ExperimentsRules {
    /// Rules of these experiments, whose names differ.
    pub fn new(experiments: Vec<Experiment>) -> Self {
        let by_name = experiments
            .iter()
            .enumerate()
            .map(|(at, exp)| (exp.name.clone(), at))
            .collect();
        Self {
            experiments,
            by_name,
        }
    }

    /// The experiment called `name`.
    pub fn get(&self, name: &str) -> Option<&Experiment> {
        self.experiments.get(*self.by_name.get(name)?)
    }

    /// All of them, as they stand in the file.
    pub fn iter(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments.iter()
    }
}
