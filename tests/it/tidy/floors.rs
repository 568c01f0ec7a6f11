//! Floors and siblings: what a file may import.

use super::rust::Source;

/// Folders under `src` by floor, lowest first. `cli` may call `app`, never the other way round.
const FLOORS: [&str; 7] = [
    "base",
    "seams",
    "storage",
    "platform",
    "capabilities",
    "app",
    "cli",
];

/// Modules of a capability that its siblings may read: data, no code.
const SHARED: [&str; 2] = ["event", "model"];

/// What a file imports that it must not.
pub fn faults(source: &Source) -> Vec<String> {
    let Some(here) = module(&source.name) else {
        return vec![];
    };
    let Some(floor) = floor_of(&here) else {
        return vec![];
    };
    let mut faults = Vec::new();
    for path in paths(&source.code, &here) {
        let shown = path.join("::");
        if let Some(other) = floor_of(&path)
            && other > floor
        {
            faults.push(format!("`{shown}` is on a higher floor"));
        }
        if let ([a, mine, ..], [b, other, inside @ ..]) = (here.as_slice(), path.as_slice())
            && a == "capabilities"
            && b == "capabilities"
            && mine != other
            && is_capability(other)
            && !inside
                .first()
                .is_some_and(|first| SHARED.contains(&first.as_str()))
        {
            faults.push(format!(
                "`{shown}` is a sibling's code; only {SHARED:?} may be read"
            ));
        }
    }
    faults
}

/// Module path of a file: `src/storage/files/tail.rs` → storage, files, tail. None outside floors.
fn module(name: &str) -> Option<Vec<String>> {
    let inner = name.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<_> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    Some(parts)
}

fn floor_of(path: &[String]) -> Option<usize> {
    FLOORS
        .iter()
        .position(|floor| path.first().is_some_and(|first| first == floor))
}

/// Whether `name` is a folder or file of a capability, rather than an item of the list itself.
fn is_capability(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// All paths from the crate's root that `code` mentions, `super` resolved from `here`.
fn paths(code: &str, here: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, start) in code
        .match_indices("crate::")
        .chain(code.match_indices("super::"))
    {
        let before = code[..at].chars().next_back();
        // `$crate::` and the inner parts of `super::super::` are seen from their beginning.
        if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
            continue;
        }
        let mut prefix = if start == "crate::" {
            Vec::new()
        } else {
            parent(here)
        };
        let mut rest = &code[at + start.len()..];
        while let Some(more) = rest.strip_prefix("super::") {
            prefix = parent(&prefix);
            rest = more;
        }
        tree(rest, &prefix, &mut found);
    }
    found
}

fn parent(path: &[String]) -> Vec<String> {
    path.split_last()
        .map(|(_, rest)| rest.to_vec())
        .unwrap_or_default()
}

/// Reads `a::b::{c, d::e}` and gives what is left of the text after it.
fn tree<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start();
                if let Some(after) = inner.strip_prefix('}') {
                    return after;
                }
                let after = tree(inner, &path, found).trim_start();
                let after = after.strip_prefix(',').unwrap_or(after);
                // Something that is no list of paths: leave it.
                if after.len() == inner.len() {
                    return after;
                }
                inner = after;
            }
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if !word.is_empty() {
            path.push(word.to_owned());
        }
        let Some(after) = after.strip_prefix("::") else {
            found.push(path);
            let alias = after.trim_start().strip_prefix("as ");
            return alias.map_or(after, |alias| {
                alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
            });
        };
        rest = after;
    }
}

#[cfg(test)]
fn of(name: &str, code: &str) -> Vec<String> {
    faults(&Source {
        name: name.into(),
        text: code.into(),
        code: code.into(),
    })
}

#[test]
fn a_higher_floor_is_seen_in_every_form() {
    for code in [
        "use crate::platform::http;",
        "use crate::{base::hex, platform::http::{self, Call}};",
        "fn f() { crate::cli::main() }",
        "use super::super::app::assemble;",
    ] {
        assert!(!of("src/storage/files.rs", code).is_empty(), "{code}");
    }
    assert!(
        of(
            "src/storage/files.rs",
            "use crate::{base::hex, seams::clock as c};"
        )
        .is_empty()
    );
}

#[test]
fn a_sibling_shows_only_its_data() {
    let name = "src/capabilities/experiments/service.rs";
    assert_eq!(
        of(name, "use crate::capabilities::flags::service::Flags;").len(),
        1
    );
    assert_eq!(of(name, "use super::super::flags::Flags;").len(), 1);
    assert!(of(name, "use crate::capabilities::flags::{event::X, model};").is_empty());
    assert!(of(name, "use crate::capabilities::experiments::logic;").is_empty());
}
