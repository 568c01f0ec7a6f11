//! `echopilot bugreport`: what somebody else needs to find a fault, in one file, with everything
//! taken out that is secret or tells of people. Nothing is sent. Only the bundle is written.
//!
//! The bytes of each part go through `redact::Redactor` on their way in; no part is copied as it
//! is.

mod redact;
mod tar;
mod words;

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::doctor::Finding;
use super::past;
use crate::base::secret::Secret;
use crate::platform::config::ConfigKind;
use crate::seams::files::{Files, read_whole};
use crate::seams::host::Reading;
use redact::Redactor;

/// Journals whose newest lines go in: those that tell of the daemon and not of customers.
const JOURNALS: [&str; 4] = ["storage", "upkeep", "configs", "task_runs"];
/// Bytes of one journal that are looked at.
const MOST_OF_JOURNAL: usize = 8 << 20;
/// Bytes of a document that are read at most: what the daemon takes.
const MOST_BYTES: u64 = 5 << 20;
/// How hard is packed: zstd's own default.
const PACKING: i32 = 3;

/// What goes into a bundle.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The home folder.
    pub home: &'a Path,
    /// The file system.
    pub files: &'a dyn Files,
    /// Every configuration file there is.
    pub kinds: &'a [ConfigKind],
    /// What the doctor found.
    pub findings: &'a [Finding],
    /// The daemon's answer to `/health`.
    pub health: Option<Value>,
    /// The daemon's page at `/metrics`.
    pub metrics: Option<String>,
    /// The machine's figures.
    pub reading: &'a Reading,
    /// Newest lines of each journal, at most.
    pub lines: usize,
    /// Names of variables that are set.
    pub variables: Vec<String>,
    /// Randomness for the stand-ins.
    pub salt: [u8; 32],
}

/// A bundle, ready to be written.
#[derive(Debug)]
pub struct Bundle {
    /// Each part and its bytes, unpacked.
    pub parts: Vec<(String, Vec<u8>)>,
}

impl Bundle {
    /// As one file: a tape archive, packed by zstd unless it is to be `plain`.
    pub fn bytes(&self, plain: bool) -> io::Result<Vec<u8>> {
        let archive = tar::archive(&self.parts);
        if plain {
            return Ok(archive);
        }
        zstd::stream::encode_all(archive.as_slice(), PACKING)
    }
}

/// Gathers and redacts. `known` are the secrets of this machine.
pub fn bundle(facts: &Facts<'_>, known: Vec<Secret>) -> Bundle {
    let home = facts.home.display().to_string();
    let redactor = Redactor::new(known, home, facts.salt);
    let mut parts = vec![
        ("version.json".to_owned(), version()),
        ("doctor.json".to_owned(), doctor(facts, &redactor)),
        ("machine.txt".to_owned(), machine(facts, &redactor)),
    ];
    for kind in facts.kinds {
        if let Some(text) = config(facts, kind, &redactor) {
            parts.push((format!("configs/{}", kind.file), text));
        }
    }
    for journal in JOURNALS {
        parts.push((
            format!("logs/{journal}.ndjson"),
            lines(facts, journal, &redactor),
        ));
    }
    if let Some(health) = &facts.health {
        parts.push(("health.json".to_owned(), pretty(&redactor.line(health))));
    }
    if let Some(page) = &facts.metrics {
        parts.push(("metrics.txt".to_owned(), metrics(page, &redactor)));
    }
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    let told = format!("{README}\n{}\n", names.join("\n"));
    parts.insert(0, ("README.txt".to_owned(), told.into_bytes()));
    Bundle { parts }
}

/// What stands in front of the list of parts.
const README: &str = "\
A bug report of echopilot. Nothing was sent: whoever made it decides who gets it.

Taken out: secrets that this machine knows, wherever they stood; what looks like one; hashes of
keys; notes, texts, headers and arguments in configurations; user names and queries of URLs.
Replaced by stand-ins such as [who gkpabc], the same for the same person within this report only:
ids, users, e-mail addresses, addresses of the open internet. Please look it through all the same.

Parts:
";

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text.into_bytes()
}

fn version() -> Vec<u8> {
    pretty(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "system": std::env::consts::OS,
        "processor": std::env::consts::ARCH,
    }))
}

fn doctor(facts: &Facts<'_>, redactor: &Redactor) -> Vec<u8> {
    let findings = facts.findings.iter().map(|one| {
        // What is wrong with a configuration repeats what stands in it: the place is enough.
        let place = one.found.split_once(", column ").map(|(file, rest)| {
            let column = rest.split(':').next().unwrap_or_default();
            format!("{file}, column {column}: [left out]")
        });
        let cure = one.cure.as_deref().filter(|_| place.is_none());
        json!({
            "check": one.check,
            "status": one.status,
            "found": redactor.text(place.as_deref().unwrap_or(&one.found)),
            "cure": cure.map(|cure| redactor.text(cure)),
        })
    });
    pretty(&Value::Array(findings.collect()))
}

/// The machine's figures and what systemd says of the unit, in words.
fn machine(facts: &Facts<'_>, redactor: &Redactor) -> Vec<u8> {
    let reading = facts.reading;
    let variables = facts.variables.join(" ");
    let text = format!(
        "variables set: {variables}\nprocessors: {:?}\nload: {:?}\nmemory: {:?}\nhandles: {:?}\n\
         clock: {:?}\nvolumes: {:#?}\nunits: {:#?}\n",
        reading.cpus,
        reading.load,
        reading.memory,
        reading.own_handles,
        reading.clock,
        reading.volumes,
        reading.units,
    );
    redactor.unquoted(&text).into_bytes()
}

/// A configuration without what is secret. A text that does not parse is not shown at all: there is
/// no telling what is in it.
fn config(facts: &Facts<'_>, kind: &ConfigKind, redactor: &Redactor) -> Option<Vec<u8>> {
    let path = facts.home.join("configs").join(kind.file);
    let mut file = facts.files.open_read(&path).ok()?;
    let Ok(text) = read_whole(&mut *file, MOST_BYTES) else {
        return Some(b"it cannot be read\n".to_vec());
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(&text) else {
        let told = format!("{} bytes that do not parse as JSON: left out\n", text.len());
        return Some(told.into_bytes());
    };
    if kind.file == "flags.json" {
        // The value of a flag may be any text, and none of it matters.
        for (_, value) in value.as_object_mut().into_iter().flatten() {
            if value.is_string() {
                *value = Value::from("[text]");
            }
        }
    }
    Some(pretty(&redactor.config(&value)))
}

fn lines(facts: &Facts<'_>, journal: &str, redactor: &Redactor) -> Vec<u8> {
    let all = match past::newest(facts.files, facts.home, journal, MOST_OF_JOURNAL) {
        Ok(all) => all,
        Err(error) => return format!("it cannot be read: {error}\n").into_bytes(),
    };
    let mut out = Vec::new();
    for line in all.iter().skip(all.len().saturating_sub(facts.lines)) {
        let told = match serde_json::from_str::<Value>(line) {
            Ok(value) => redactor.line(&value).to_string(),
            Err(_) => "a line that does not parse: left out".to_owned(),
        };
        out.extend_from_slice(told.as_bytes());
        out.push(b'\n');
    }
    out
}

/// Labels of metrics whose values are names of parts, not of people.
const LABELS: [&str; 16] = [
    "journal", "file", "task", "route", "method", "status", "le", "quantile", "level", "severity",
    "state", "part", "check", "kind", "outcome", "version",
];

/// The page with the values of all other labels replaced by stand-ins.
fn metrics(page: &str, redactor: &Redactor) -> Vec<u8> {
    let mut out = String::new();
    for line in page.lines() {
        out.push_str(&metric(line, redactor));
        out.push('\n');
    }
    out.into_bytes()
}

fn metric(line: &str, redactor: &Redactor) -> String {
    let inside = line.split_once('{').and_then(|(name, rest)| {
        let (labels, value) = rest.rsplit_once('}')?;
        Some((name, labels, value))
    });
    let Some((name, labels, value)) = inside.filter(|_| !line.starts_with('#')) else {
        return if line.starts_with('#') {
            redactor.text(line)
        } else {
            line.to_owned()
        };
    };
    let told: Vec<String> = labels
        .split("\",")
        .filter_map(|label| {
            let (key, value) = label.split_once("=\"")?;
            let value = value.trim_end_matches('"');
            let value = if LABELS.contains(&key) {
                redactor.unquoted(value)
            } else {
                redactor.stand_in("label", value)
            };
            Some(format!("{key}=\"{value}\""))
        })
        .collect();
    format!("{name}{{{}}}{value}", told.join(","))
}
