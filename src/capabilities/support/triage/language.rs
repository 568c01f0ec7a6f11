//! Which language a mail is in: a guess by its commonest small words, or by its script.

/// Small words by language, each in few other languages.
const SMALL_WORDS: [(&str, &[&str]); 7] = [
    (
        "en",
        &[
            "the", "and", "is", "to", "of", "you", "my", "we", "have", "with", "this", "not",
            "for", "your", "please", "it", "are", "i",
        ],
    ),
    (
        "de",
        &[
            "der", "die", "das", "und", "ist", "nicht", "ich", "wir", "sie", "mit", "ein", "eine",
            "auf", "bitte", "für", "haben", "mein", "zu",
        ],
    ),
    (
        "fr",
        &[
            "le", "la", "les", "des", "est", "et", "je", "nous", "vous", "pas", "mon", "une",
            "pour", "avec", "dans", "bonjour", "merci", "ne",
        ],
    ),
    (
        "es",
        &[
            "el", "los", "las", "que", "y", "no", "mi", "una", "por", "para", "con", "hola",
            "gracias", "está", "nos", "puedo", "su", "del",
        ],
    ),
    (
        "it",
        &[
            "il",
            "che",
            "non",
            "per",
            "sono",
            "una",
            "gli",
            "della",
            "mio",
            "buongiorno",
            "grazie",
            "è",
            "con",
            "di",
        ],
    ),
    (
        "nl",
        &[
            "het", "een", "niet", "ik", "wij", "van", "voor", "met", "mijn", "graag", "zijn",
            "bedankt", "op", "de",
        ],
    ),
    (
        "pt",
        &[
            "não", "uma", "para", "com", "meu", "obrigado", "olá", "você", "está", "os", "minha",
            "em", "do", "da",
        ],
    ),
];

/// Scripts that are at home in one language, or nearly so.
const SCRIPTS: [(&str, std::ops::RangeInclusive<char>); 7] = [
    ("ja", '\u{3040}'..='\u{30FF}'),
    ("ko", '\u{AC00}'..='\u{D7AF}'),
    ("zh", '\u{4E00}'..='\u{9FFF}'),
    ("ru", '\u{0400}'..='\u{04FF}'),
    ("el", '\u{0370}'..='\u{03FF}'),
    ("ar", '\u{0600}'..='\u{06FF}'),
    ("he", '\u{0590}'..='\u{05FF}'),
];

/// Words that are looked at (our own choice).
const MOST_WORDS: usize = 300;

/// The language of `words`, all in lower case; empty where nothing speaks for one.
pub(super) fn guess(words: &[String]) -> &'static str {
    let words = words.get(..MOST_WORDS.min(words.len())).unwrap_or_default();
    for (language, script) in &SCRIPTS {
        let letters = words.iter().flat_map(|word| word.chars());
        let (theirs, all) = letters.fold((0_usize, 0_usize), |(theirs, all), c| {
            (theirs + usize::from(script.contains(&c)), all + 1)
        });
        // Japanese has few of its own signs among Chinese ones.
        let share = if *language == "ja" { 10 } else { 3 };
        if theirs > 0 && theirs * share >= all {
            return language;
        }
    }
    let score = |small: &[&str]| {
        words
            .iter()
            .filter(|word| small.contains(&word.as_str()))
            .count()
    };
    let scores = SMALL_WORDS.map(|(language, small)| (score(small), language));
    let best = scores.iter().map(|(score, _)| *score).max().unwrap_or(0);
    let mut first = scores
        .iter()
        .filter(|(score, _)| *score == best && best > 0);
    match (first.next(), first.next()) {
        (Some((_, language)), None) => language,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::tokens;
    use super::guess;

    #[test]
    fn languages_are_told_apart() {
        for (text, language) in [
            (
                "Hello, I cannot log in to the dashboard and you have my invoice",
                "en",
            ),
            (
                "Guten Tag, ich kann mich nicht anmelden und die Rechnung ist falsch",
                "de",
            ),
            (
                "Bonjour, je ne peux pas me connecter à mon compte, merci",
                "fr",
            ),
            (
                "Hola, no puedo entrar y la factura está mal, gracias por su ayuda",
                "es",
            ),
            ("Здравствуйте, не могу войти", "ru"),
            ("ログインできません。助けてください", "ja"),
            ("12345", ""),
        ] {
            assert_eq!(guess(&tokens(text)), language, "{text}");
        }
    }
}
