//! Is the installed unit the one that this program was shipped with? Lines that a drop-in sets are
//! meant to differ and are only named.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Around, Notes, UNIT};

/// The unit of this version.
const SHIPPED: &str = include_str!("../../../systemd/echopilot.service");
/// Where units lie, what counts first: systemd.unit(5).
const PLACES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Lines that may differ from machine to machine.
const FREE: [&str; 4] = ["Description", "Documentation", "ExecStart", "Environment"];
/// Lines that are told by name; the rest is counted.
const MOST_TOLD: usize = 8;

/// Values by section and key, in their order.
type Unit = BTreeMap<(String, String), Vec<String>>;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let installed = PLACES.iter().find_map(|place| {
        let path = format!("{place}/{UNIT}");
        Some((around.machine(&path)?, path))
    });
    let Some((text, path)) = installed else {
        return notes.skip("no unit is installed; docs/systemd.md tells how");
    };
    let path = Path::new("/").join(path).display().to_string();
    let (drop_ins, set) = drop_ins(around);
    let (shipped, found) = (parsed(SHIPPED), parsed(&text));
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    for (at, values) in &shipped {
        let (_, key) = at;
        if FREE.contains(&key.as_str()) || set.contains_key(at) {
            continue;
        }
        let lines = values.iter().map(|value| format!("`{key}={value}`"));
        match found.get(at) {
            None => missing.extend(lines),
            Some(theirs) if theirs != values => {
                let theirs = theirs.iter().map(|value| format!("`{key}={value}`"));
                let theirs: Vec<String> = theirs.filter(|line| !SHIPPED.contains(line)).collect();
                other.push(if theirs.is_empty() {
                    format!("`{key}`")
                } else {
                    theirs.join(" ")
                });
            }
            Some(_) => {}
        }
    }
    let cure = "install the unit of this version (docs/systemd.md), keep what is yours in a \
                drop-in (`sudo systemctl edit echopilot`), then `sudo systemctl daemon-reload`";
    if !missing.is_empty() {
        notes.warn(format!("`{path}` lacks {}", listed(&missing)), cure);
    }
    if !other.is_empty() {
        notes.warn(format!("`{path}` differs in {}", listed(&other)), cure);
    }
    let drop_ins = match drop_ins.as_slice() {
        [] => String::new(),
        all => format!("; drop-ins: `{}`", all.join("`, `")),
    };
    notes.ok_otherwise(format!("`{path}` is the shipped one{drop_ins}"));
    if notes.found.iter().all(|one| one.cure.is_some()) && !drop_ins.is_empty() {
        notes.ok(drop_ins.trim_start_matches("; ").to_owned());
    }
}

/// Paths of all drop-ins, and what they set.
fn drop_ins(around: &Around<'_>) -> (Vec<String>, Unit) {
    let (mut paths, mut set) = (Vec::new(), Unit::new());
    for place in PLACES {
        let folder = format!("{place}/{UNIT}.d");
        let names = around
            .files
            .list(&around.root.join(&folder))
            .unwrap_or_default();
        for name in names
            .iter()
            .filter(|name| name.strip_suffix(".conf").is_some())
        {
            let path = format!("{folder}/{name}");
            set.extend(parsed(&around.machine(&path).unwrap_or_default()));
            paths.push(format!("/{path}"));
        }
    }
    (paths, set)
}

fn listed(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(MOST_TOLD);
    let told: Vec<&str> = lines.iter().take(MOST_TOLD).map(String::as_str).collect();
    match more {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// A unit as systemd reads it, without what only a person reads: systemd.syntax(7).
fn parsed(text: &str) -> Unit {
    let mut unit = Unit::new();
    let mut section = String::new();
    let whole = text.replace("\\\n", " ");
    for line in whole.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            let at = (section.clone(), key.trim().to_owned());
            unit.entry(at).or_default().push(value.trim().to_owned());
        }
    }
    unit
}
