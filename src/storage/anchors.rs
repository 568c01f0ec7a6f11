//! Anchors: what was told outside the home folder of where each chain stood (rule L13). A chain
//! that somebody rewrote as a whole fits itself, but not what was told of it before.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::line::ChainValue;
use crate::base::hex;

/// What the process log says before an anchor.
const WORDS: &str = "chain anchor";

/// Anchors of one stream: chain value by `seq`, as often as it was told.
pub(super) type OfStream = BTreeMap<u64, Vec<ChainValue>>;

/// Anchors as they were told, by stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors {
    by_stream: BTreeMap<String, OfStream>,
}

impl Anchors {
    /// Reads them from the text of a process log, or from lines of `STREAM SEQ H`. Other lines are
    /// passed over.
    pub fn read(text: &str) -> Self {
        let mut anchors = Self::default();
        for (stream, seq, h) in text.lines().filter_map(read_line) {
            let told = anchors.by_stream.entry(stream).or_default();
            told.entry(seq).or_default().push(h);
        }
        anchors
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let told = self.by_stream.values().flat_map(BTreeMap::values);
        told.map(Vec::len).sum()
    }

    /// Names of the streams that have any.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.by_stream.keys().map(String::as_str)
    }

    pub(super) fn of(&self, stream: &str) -> OfStream {
        self.by_stream.get(stream).cloned().unwrap_or_default()
    }
}

/// An anchor as the process log writes it where it writes JSON.
#[derive(Deserialize)]
struct Told {
    text: String,
    stream: String,
    seq: u64,
    h: String,
}

fn read_line(line: &str) -> Option<(String, u64, ChainValue)> {
    // What stands before the object is the prefix of whoever kept the log.
    let object = line.find('{').and_then(|start| line.get(start..));
    if let Some(told) = object.and_then(|text| serde_json::from_str::<Told>(text).ok()) {
        return (told.text == WORDS).then_some((told.stream, told.seq, chain_value(&told.h)?));
    }
    let (rest, told) = match line.split_once(WORDS) {
        Some((_, rest)) => (rest, true),
        None => (line, false),
    };
    let mut words = rest.split_whitespace();
    let mut next = |name: &str| {
        let word = words.next()?;
        let bare = word
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='));
        bare.or_else(|| (!told).then_some(word))
    };
    let (stream, seq, h) = (next("stream")?, next("seq")?, next("h")?);
    Some((stream.to_owned(), seq.parse().ok()?, chain_value(h)?))
}

fn chain_value(text: &str) -> Option<ChainValue> {
    let h = text.as_bytes().first_chunk().filter(|_| text.len() == 16)?;
    hex::is_hex(h).then_some(*h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_the_rest_is_passed_over() {
        let text = "\
            2026-11-21T09:00:00Z  INFO chain anchor stream=a seq=3 h=0123456789abcdef\n\
            Nov 21 09:00:00 host ep[1]: INFO chain anchor stream=b seq=4 h=fedcba9876543210\n\
            a 5 00000000000000aa\n\
            a word of 3\n\
            {\"ts\":\"x\",\"text\":\"chain anchor\",\"stream\":\"a\",\"seq\":7,\
             \"h\":\"00000000000000bb\"}\n\
            {\"text\":\"other\",\"stream\":\"a\",\"seq\":8,\"h\":\"00000000000000bb\"}\n\
            chain anchor a 5 00000000000000aa\n";
        let anchors = Anchors::read(text);
        assert_eq!(anchors.count(), 4);
        assert_eq!(anchors.of("a").keys().collect::<Vec<_>>(), [&3, &5, &7]);
        assert_eq!(anchors.of("b")[&4], [*b"fedcba9876543210"]);
    }
}
