//! Every command that the README shows is one that the program takes.

use std::fs;

use super::tree::repository;

/// Words of a shell line up to a comment or a pipe; quotes are heeded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '|' | '#' | '>' | ';') => break,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') if !word.is_empty() => words.push(std::mem::take(&mut word)),
            (None, ' ') => {}
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Lines that a person types: in a `console` block those behind the prompt, else all.
fn typed(text: &str) -> Vec<&str> {
    let mut console = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            console = line == "```console";
        } else if let Some(line) = line.strip_prefix("$ ") {
            found.push(line);
        } else if !console {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_command_of_the_documents_is_one_of_the_program() {
    let mut seen = 0;
    let mut faults = Vec::new();
    for name in [
        "README.md",
        "docs/files.md",
        "docs/systemd.md",
        "docs/api.md",
        "docs/backup.md",
        "docs/doctor.md",
        "docs/standby.md",
        "docs/probes.md",
        "docs/host.md",
        "docs/costs.md",
    ] {
        let text = fs::read_to_string(repository().join(name)).expect("a document");
        let shell = typed(&text);
        let inline = text.split('`').skip(1).step_by(2);
        for line in shell.into_iter().chain(inline) {
            let line = line.strip_prefix("sudo -u echopilot ").unwrap_or(line);
            // `echopilot 0.1.0 serves …` is what the program says, not what it is told.
            let said = line.starts_with("echopilot 0.");
            if said || !line.starts_with("echopilot ") {
                continue;
            }
            let parsed = echopilot::cli::command().try_get_matches_from(words(line));
            seen += 1;
            if let Err(error) = parsed
                && error.use_stderr()
            {
                faults.push(format!("{name}: `{line}`: {error}"));
            }
        }
    }
    assert!(seen > 15, "the documents are read: {seen} commands");
    super::none("commands in the documents are real", &faults);
}
