//! The files of the repository, without what is built or written by a running daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders at the top that do not belong to the source.
const NOT_SOURCE: [&str; 5] = ["target", ".git", "logs", "backups", ".echopilot"];

/// The repository's folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files, relative to the repository, sorted.
pub fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(repository().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().expect("a kind");
            if kind.is_file() {
                // In a second checkout `.git` is a file.
                found.push(path);
            } else if kind.is_dir() && !NOT_SOURCE.iter().any(|name| path == Path::new(name)) {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All Rust sources of ours, relative to the repository.
pub fn rust_files() -> Vec<PathBuf> {
    let rust: Vec<_> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect();
    assert!(rust.len() > 20, "the sources are where they are looked for");
    rust
}

/// Names of all folders under `src`, each once.
pub fn source_folders() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in rust_files() {
        let parts: Vec<_> = path
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if let [first, folders @ .., _file] = parts.as_slice()
            && first == "src"
        {
            names.extend(folders.iter().cloned());
        }
    }
    names
}
