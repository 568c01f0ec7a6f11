//! The newest lines of a journal, straight from its files: for verbs that must work while the
//! daemon is down, is another version, or does not answer. Only reads, bounded.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::platform::config;
use crate::seams::files::{Files, read_whole};
use crate::storage::engine::Revision;
use crate::storage::line;

/// Bytes of one segment that are read at most: a segment has 64 MiB unless somebody set more.
const MOST_OF_SEGMENT: u64 = 256 << 20;
/// Bytes of the journal of configurations that are looked at: some 30,000 edits.
const MOST_OF_CONFIGS: usize = 8 << 20;

/// The newest lines of `stream`, the oldest first, of its last `most` bytes or little more. A
/// journal that is not there has none.
pub fn newest(
    files: &dyn Files,
    home: &Path,
    stream: &str,
    most: usize,
) -> io::Result<Vec<String>> {
    let logs = home.join("logs");
    let mut text: Vec<u8> = Vec::new();
    let active = format!("{stream}.ndjson");
    let listed = files.list(&logs)?;
    let mut names: Vec<&String> = listed
        .iter()
        .filter(|name| is_sealed(name, stream))
        .collect();
    names.sort();
    for name in names
        .into_iter()
        .chain(listed.iter().filter(|name| **name == active))
        .rev()
    {
        let room = most.saturating_sub(text.len());
        if room == 0 {
            break;
        }
        let mut piece = end_of(files, &logs.join(name), room)?;
        piece.append(&mut text);
        text = piece;
    }
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| line::parse(line).is_some());
    Ok(lines
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect())
}

/// Whether `name` is a sealed segment of `stream` whose lines all count.
fn is_sealed(name: &str, stream: &str) -> bool {
    let range = name
        .strip_prefix(stream)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| {
            rest.strip_suffix(".ndjson")
                .or_else(|| rest.strip_suffix(".ndjson.zst"))
        });
    range.is_some_and(|range| {
        range
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

/// The last `most` bytes of a segment.
fn end_of(files: &dyn Files, path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut file = files.open_read(path)?;
    if path.extension().is_some_and(|kind| kind == "zst") {
        let packed = read_whole(&mut *file, MOST_OF_SEGMENT)?;
        let mut text = Vec::new();
        zstd::stream::read::Decoder::new(packed.as_slice())?
            .take(MOST_OF_SEGMENT)
            .read_to_end(&mut text)?;
        let start = text.len().saturating_sub(most);
        return Ok(text.split_off(start));
    }
    let size = file.stat()?.size;
    file.seek(size.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX)))?;
    read_whole(&mut *file, MOST_OF_SEGMENT)
}

/// The newest line of `stream` whose kind is one of `kinds`, as JSON.
pub fn last_of(lines: &[String], kinds: &[&str]) -> Option<Value> {
    lines.iter().rev().find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        let kind = value.get("kind")?.as_str()?;
        kinds.contains(&kind).then_some(value)
    })
}

/// The revision of each configuration that was last put in force, by the journal `configs`.
pub fn in_force(files: &dyn Files, home: &Path) -> BTreeMap<String, Revision> {
    let lines = newest(files, home, config::STREAM, MOST_OF_CONFIGS).unwrap_or_default();
    let lines = lines.iter().filter_map(|line| {
        let own = line::parse(line.as_bytes())?;
        config::in_force(&own)
    });
    lines.collect()
}
