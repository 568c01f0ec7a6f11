//! Word lists: phrases by language and group, found in a text word by word, negations heeded.

use std::collections::{BTreeMap, HashMap};

use super::super::model::Category;

/// Words of a text that are looked at (our own choice: what matters is said early).
const MOST_WORDS: usize = 800;
/// Words before a phrase in which a negation counts: "there is no real outage".
const NEGATION_REACH: usize = 2;

/// What a phrase speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    /// The service does not answer.
    Outage,
    /// A hole, a stolen account, personal data.
    Security,
    /// Money went wrong: charged twice, refund.
    Payment,
    /// Money in general: invoices, plans.
    Billing,
    /// Signing in and accounts.
    Account,
    /// Something is broken.
    Bug,
    /// Something is wished for.
    Feature,
    /// It is said to be urgent.
    Urgent,
    /// The customer is about to leave, or complains.
    Leaving,
    /// It is said to have time.
    Calm,
}

impl Group {
    /// Every group.
    pub(crate) const ALL: [Self; 10] = [
        Self::Outage,
        Self::Security,
        Self::Payment,
        Self::Billing,
        Self::Account,
        Self::Bug,
        Self::Feature,
        Self::Urgent,
        Self::Leaving,
        Self::Calm,
    ];

    /// As it is written in the configuration.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Security => "security",
            Self::Payment => "payment",
            Self::Billing => "billing",
            Self::Account => "account",
            Self::Bug => "bug",
            Self::Feature => "feature",
            Self::Urgent => "urgent",
            Self::Leaving => "leaving",
            Self::Calm => "calm",
        }
    }

    /// The category that it speaks for.
    pub(crate) const fn category(self) -> Option<Category> {
        match self {
            Self::Outage => Some(Category::Outage),
            Self::Security => Some(Category::Security),
            Self::Payment | Self::Billing => Some(Category::Billing),
            Self::Account => Some(Category::Account),
            Self::Bug => Some(Category::Bug),
            Self::Feature => Some(Category::Feature),
            Self::Urgent | Self::Leaving | Self::Calm => None,
        }
    }
}

/// A word of a phrase: whole, or with `*` at its end only its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    is_start: bool,
}

impl Word {
    fn fits(&self, word: &str) -> bool {
        if self.is_start {
            word.starts_with(&self.text)
        } else {
            word == self.text
        }
    }
}

#[derive(Debug, Clone)]
struct Phrase {
    words: Vec<Word>,
    group: Group,
    language: String,
}

/// Phrases, ready to be found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    phrases: Vec<Phrase>,
    /// Phrases by their whole first word.
    whole: HashMap<String, Vec<usize>>,
    /// Phrases whose first word is a beginning, by its first letter.
    starts: HashMap<char, Vec<usize>>,
    /// Words that turn a phrase round, by language.
    negations: BTreeMap<String, Vec<String>>,
}

/// A phrase that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    /// What it speaks for.
    pub(super) group: Group,
    /// Its words as they stand in the text.
    pub(super) text: String,
    /// Which word of the text is its first.
    pub(super) at: usize,
}

impl Words {
    /// Adds `phrase`, such as `charged twice` or `refund*`; whether it has any word.
    pub(crate) fn add(&mut self, language: &str, group: Group, phrase: &str) -> bool {
        let read = |text: &str| {
            let is_start = text.ends_with('*');
            tokens(text)
                .into_iter()
                .map(move |text| Word { text, is_start })
                .collect::<Vec<_>>()
        };
        let words: Vec<Word> = phrase.split_whitespace().flat_map(read).collect();
        let Some(first) = words.first() else {
            return false;
        };
        let at = self.phrases.len();
        match first.text.chars().next() {
            Some(letter) if first.is_start => self.starts.entry(letter).or_default().push(at),
            _ => self.whole.entry(first.text.clone()).or_default().push(at),
        }
        let language = language.to_owned();
        self.phrases.push(Phrase {
            words,
            group,
            language,
        });
        true
    }

    /// Adds a word that turns what follows it round.
    pub(crate) fn add_negation(&mut self, language: &str, word: &str) {
        self.negations
            .entry(language.to_owned())
            .or_default()
            .extend(tokens(word));
    }

    /// Every phrase in `text`, in its order. In a language that has lists, those and the English
    /// ones are asked, else all. Of phrases that begin at the same word, the longest of each group.
    pub(super) fn find(&self, text: &[String], language: &str) -> Vec<Hit> {
        let text = text.get(..MOST_WORDS.min(text.len())).unwrap_or_default();
        let known = self.negations.contains_key(language)
            || self
                .phrases
                .iter()
                .any(|phrase| phrase.language == language);
        let asked =
            |phrase: &Phrase| !known || phrase.language == language || phrase.language == "en";
        let mut hits = Vec::new();
        for (at, word) in text.iter().enumerate() {
            let letter = word.chars().next().unwrap_or_default();
            let candidates = self
                .whole
                .get(word)
                .into_iter()
                .chain(self.starts.get(&letter));
            let mut here: BTreeMap<Group, usize> = BTreeMap::new();
            for phrase in candidates
                .flatten()
                .filter_map(|index| self.phrases.get(*index))
            {
                let there = text.get(at..at + phrase.words.len()).unwrap_or_default();
                let fits = there.len() == phrase.words.len()
                    && phrase
                        .words
                        .iter()
                        .zip(there)
                        .all(|(word, text)| word.fits(text));
                if fits && asked(phrase) && !self.is_negated(text, at, &phrase.language) {
                    let longest = here.entry(phrase.group).or_default();
                    *longest = there.len().max(*longest);
                }
            }
            hits.extend(here.into_iter().map(|(group, length)| Hit {
                group,
                text: text.get(at..at + length).unwrap_or_default().join(" "),
                at,
            }));
        }
        hits
    }

    /// Whether one of the words just before `at`, in the same sentence, turns it round.
    fn is_negated(&self, text: &[String], at: usize, language: &str) -> bool {
        let Some(negations) = self.negations.get(language) else {
            return false;
        };
        let from = at.saturating_sub(NEGATION_REACH);
        let before = text.get(from..at).unwrap_or_default();
        let sentence = before
            .rsplit(|word| word == STOP)
            .next()
            .unwrap_or_default();
        sentence.iter().any(|word| negations.contains(word))
    }
}

/// What stands between two sentences in a list of words.
pub(super) const STOP: &str = ".";

/// The words of `text` in lower case, apostrophes straight; [`STOP`] between sentences.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let end = |word: &mut String, words: &mut Vec<String>| {
        let plain = word.trim_matches('\'');
        if !plain.is_empty() {
            words.push(plain.to_owned());
        }
        word.clear();
    };
    let mut line_ends = 0;
    for c in text.chars() {
        // A mail is wrapped anywhere; only an empty line parts sentences.
        line_ends = if c == '\n' {
            line_ends + 1
        } else {
            line_ends * i32::from(c.is_whitespace())
        };
        match c {
            '\'' | '\u{2019}' | '\u{2018}' | '`' => word.push('\''),
            c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            c => {
                end(&mut word, &mut words);
                let stops = matches!(c, '.' | '!' | '?' | ';' | ',' | ':') || line_ends > 1;
                if stops && words.last().is_some_and(|last| last != STOP) {
                    words.push(STOP.to_owned());
                }
            }
        }
        if words.len() >= MOST_WORDS {
            break;
        }
    }
    end(&mut word, &mut words);
    while words.last().is_some_and(|last| last == STOP) {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let mut words = Words::default();
        words.add("en", Group::Outage, "down");
        words.add("en", Group::Payment, "refund*");
        words.add("en", Group::Payment, "charged twice");
        words.add("fr", Group::Account, "j'ai oublié");
        words.add("de", Group::Urgent, "dringend");
        words.add_negation("en", "not");
        words.add_negation("de", "nicht");
        words
    }

    fn found(text: &str) -> Vec<String> {
        let text = tokens(text);
        words()
            .find(&text, "")
            .into_iter()
            .map(|hit| hit.text)
            .collect()
    }

    #[test]
    fn phrases_are_found_as_whole_words() {
        assert_eq!(
            found("Site is DOWN! I was charged\ntwice."),
            ["down", "charged twice"]
        );
        assert!(found("I was charged\n\ntwice").is_empty());
        assert_eq!(
            found("I was Charged twice; refunds?"),
            ["charged twice", "refunds"]
        );
        assert!(found("Please download it from downtown").is_empty());
        assert_eq!(
            found("J\u{2019}ai oublié mon mot de passe"),
            ["j'ai oublié"]
        );
    }

    #[test]
    fn a_negation_just_before_turns_a_phrase_round() {
        assert!(found("it is not down").is_empty());
        assert!(found("das ist nicht so dringend").is_empty());
        assert_eq!(found("I do not know. down again"), ["down"]);
        assert_eq!(found("not that I know but it is down"), ["down"]);
    }

    #[test]
    fn other_languages_are_asked_only_where_the_language_is_open() {
        let text = tokens("dringend down");
        let asked = |language| words().find(&text, language).len();
        assert_eq!(
            (asked("de"), asked("en"), asked("fr"), asked("")),
            (2, 1, 1, 2)
        );
    }
}
