//! What a mail is about, by its words: those of the subject weigh more.

use std::collections::BTreeMap;

use super::super::model::Category;
use super::words::Hit;

/// How much more a word of the subject weighs than one of the text (our own choice).
const SUBJECT_WEIGHT: u32 = 3;
/// Words that are named as the reason.
const SHOWN: usize = 3;

/// The category that the words speak for, and which they are. `subject` is how many words at the
/// beginning are the subject's.
pub(super) fn of(hits: &[Hit], subject: usize) -> (Category, String) {
    let mut found: BTreeMap<Category, (u32, Vec<&str>)> = BTreeMap::new();
    for hit in hits {
        let Some(category) = hit.group.category() else {
            continue;
        };
        let (points, words) = found.entry(category).or_default();
        // Said twice is not meant twice.
        if !words.contains(&hit.text.as_str()) {
            words.push(&hit.text);
            *points += if hit.at < subject { SUBJECT_WEIGHT } else { 1 };
        }
    }
    // The gravest comes last, and of equals the last is taken.
    let best = found
        .into_iter()
        .rev()
        .max_by_key(|(_, (points, _))| *points);
    match best {
        Some((category, (_, words))) => {
            let shown: Vec<_> = words.into_iter().take(SHOWN).collect();
            (category, format!("words: {}", shown.join(", ")))
        }
        None => (Category::Other, "no word of any list".into()),
    }
}
