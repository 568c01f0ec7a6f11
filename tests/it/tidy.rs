//! House rules as tests: floors, sizes, names, and that the documents tell the truth.

mod floors;
mod readme;
mod rust;
pub mod tree;
mod words;

use std::fs;

use rust::Source;
use tree::{files, repository, rust_files};

/// Lines a file may have at most, by the house rules.
const MOST_LINES_PER_FILE: usize = 500;
/// Lines between a function's braces at most, by the house rules; as clippy's `too_many_lines`.
const MOST_LINES_PER_FUNCTION: usize = 70;
/// Characters per line at most, as rustfmt's `max_width`.
const MOST_COLUMNS: usize = 100;
/// Bytes a file of the repository may have at most: what is larger does not belong in git.
const MOST_BYTES_PER_FILE: u64 = 200 * 1024;
/// Lines of ARCHITECTURE.md at most: it is read whole or not at all.
const MOST_LINES_OF_ARCHITECTURE: usize = 150;

/// Fails with all faults at once.
fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

/// Faults found by `look` in all Rust sources, each with its file.
fn in_sources(look: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for path in rust_files() {
        let source = Source::read(&path);
        faults.extend(
            look(&source)
                .into_iter()
                .map(|f| format!("{}: {f}", source.name)),
        );
    }
    faults
}

#[test]
fn every_file_says_what_it_is() {
    let faults = in_sources(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        let told = first
            .strip_prefix("//!")
            .is_some_and(|rest| rest.trim().contains(' '));
        if told {
            vec![]
        } else {
            vec!["does not begin with `//!` and a sentence".into()]
        }
    });
    none("every file begins with `//!`: what it is and why", &faults);
}

#[test]
fn files_functions_and_lines_are_short() {
    let faults = in_sources(|source| {
        let mut faults = Vec::new();
        let lines = source.text.lines().count();
        if lines > MOST_LINES_PER_FILE {
            faults.push(format!("{lines} lines, at most {MOST_LINES_PER_FILE}"));
        }
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            // A text in quotes cannot be broken, nor can a single word such as a link.
            let comment = line.trim_start().starts_with("//");
            let words = line
                .split_whitespace()
                .filter(|word| word.len() > 3)
                .count();
            let breakable = words > 1 && (comment || !line.contains('"'));
            if columns > MOST_COLUMNS && breakable {
                faults.push(format!("line {} has {columns} columns", index + 1));
            }
        }
        for function in source.functions() {
            if function.lines > MOST_LINES_PER_FUNCTION {
                faults.push(format!(
                    "`{}` has {} lines, at most {MOST_LINES_PER_FUNCTION}",
                    function.name, function.lines
                ));
            }
        }
        faults
    });
    none("files, functions and lines stay short", &faults);
}

#[test]
fn files_are_named_after_what_they_hold() {
    let banned = [
        "util", "utils", "helper", "helpers", "common", "manager", "misc", "stuff",
    ];
    let faults: Vec<_> = rust_files()
        .into_iter()
        .filter(|path| {
            path.components().any(|part| {
                let name = part.as_os_str().to_string_lossy();
                banned.contains(&name.trim_end_matches(".rs"))
            })
        })
        .map(|path| path.display().to_string())
        .collect();
    none("names that say nothing are not used", &faults);
}

#[test]
fn a_file_imports_only_from_lower_floors() {
    none("floors", &in_sources(floors::faults));
}

#[test]
fn numeric_constants_carry_a_doc() {
    let faults = in_sources(|source| {
        if source.name.starts_with("src/") {
            source.bare_constants()
        } else {
            vec![]
        }
    });
    none(
        "a number says what it is, in which unit, and where it comes from",
        &faults,
    );
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    // Spelt in two parts: this file must pass its own test.
    let words = [
        ("todo", "!"),
        ("unimplemented", "!"),
        ("#[igno", "re"),
        ("should_", "panic"),
        ("#![allo", "w("),
        ("#[allo", "w("),
    ];
    let faults = in_sources(|source| {
        let found = words.iter().map(|(a, b)| format!("{a}{b}"));
        found
            .filter(|word| source.code.contains(word.as_str()))
            .collect()
    });
    none(
        "no stub, no test that is switched off or meant to panic",
        &faults,
    );
}

#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    let faults = in_sources(|source| {
        let in_tests = source.name.starts_with("tests/") || source.name.ends_with("/tests.rs");
        // The bounded wait itself is the one place that may pause between two looks.
        if !in_tests || source.name == "tests/it/wait.rs" {
            return vec![];
        }
        let calls = ["thread::sleep(", "time::sleep(", " sleep("];
        calls
            .iter()
            .filter(|call| source.code.contains(**call))
            .map(|&c| c.to_owned())
            .collect()
    });
    none(
        "tests wait on a condition with a bound (`tests/it/wait.rs`)",
        &faults,
    );
}

#[test]
fn the_repository_holds_no_large_file() {
    let faults: Vec<_> = files()
        .into_iter()
        .filter_map(|path| {
            let bytes = fs::metadata(repository().join(&path)).ok()?.len();
            (bytes > MOST_BYTES_PER_FILE).then(|| format!("{}: {bytes} bytes", path.display()))
        })
        .collect();
    none("no file is larger than 200 kB", &faults);
}

#[test]
fn architecture_is_short_and_names_every_folder() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!(
        lines <= MOST_LINES_OF_ARCHITECTURE,
        "{lines} lines, at most 150"
    );
    let faults: Vec<_> = tree::source_folders()
        .into_iter()
        .filter(|name| !words::names(&text, name))
        .collect();
    none("ARCHITECTURE.md names every folder under src/", &faults);
}
