//! Topics: the words that the subjects of many conversations share.

use std::collections::{BTreeMap, BTreeSet};

use super::super::model::Mail;
use super::threads::plain_subject;
use super::words::{STOP, tokens};

/// Letters from which a word may tell a topic.
const SHORTEST: usize = 4;
/// People who must share a word before it is a topic.
const LEAST: usize = 2;

/// Words that stand in any mail, in four languages.
const EMPTY: [&str; 74] = [
    "about",
    "after",
    "again",
    "with",
    "from",
    "have",
    "does",
    "this",
    "that",
    "your",
    "please",
    "help",
    "hello",
    "need",
    "question",
    "questions",
    "support",
    "request",
    "issue",
    "problem",
    "problems",
    "cannot",
    "can't",
    "doesn't",
    "when",
    "what",
    "where",
    "there",
    "could",
    "would",
    "will",
    "into",
    "still",
    "some",
    "more",
    "just",
    "regarding",
    "update",
    "urgent",
    "important",
    "frage",
    "fragen",
    "bitte",
    "hilfe",
    "problem",
    "mit",
    "nicht",
    "eine",
    "einen",
    "zum",
    "beim",
    "kann",
    "wird",
    "wegen",
    "über",
    "anfrage",
    "dringend",
    "bonjour",
    "avec",
    "pour",
    "dans",
    "problème",
    "demande",
    "aide",
    "votre",
    "notre",
    "hola",
    "para",
    "como",
    "ayuda",
    "consulta",
    "sobre",
    "problema",
    "urgente",
];

/// The telling words of a subject, each once.
pub(super) fn words(subject: &str) -> BTreeSet<String> {
    let telling = |word: &String| {
        word != STOP
            && word.chars().count() >= SHORTEST
            && !word.chars().all(|c| c.is_ascii_digit())
            && !EMPTY.contains(&word.as_str())
    };
    tokens(&plain_subject(subject))
        .into_iter()
        .filter(telling)
        .collect()
}

/// The words that most people share, with how many, the commonest first, at most `most`.
pub(super) fn top<'m>(
    mails: impl IntoIterator<Item = &'m Mail>,
    most: usize,
) -> Vec<(String, usize)> {
    let mut people: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for mail in mails {
        for word in words(&mail.subject) {
            people.entry(word).or_default().insert(&mail.from.address);
        }
    }
    let mut found: Vec<(String, usize)> = people
        .into_iter()
        .map(|(word, people)| (word, people.len()))
        .filter(|(_, people)| *people >= LEAST)
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found.truncate(most);
    found
}
