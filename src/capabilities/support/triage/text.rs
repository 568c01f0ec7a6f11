//! What is new in a mail: its text without quoted replies, signatures and footers of phones.

use super::headers::{clip, tidy};

/// Characters of a snippet (the digest shows one line or two).
const SNIPPET: usize = 200;
/// Lines of a mail that are looked at (our own choice).
const MOST_LINES: usize = 2_000;
/// Characters of a line that are looked at (our own choice: some mails are one line of 64 KiB).
const LONGEST_LINE: usize = 4_000;

/// Verbs of the line above a quoted mail, "On Monday Ann wrote:", in lower case.
const WROTE: [&str; 12] = [
    "wrote:",
    "schrieb:",
    "a écrit :",
    "a écrit:",
    "escribió:",
    "ha scritto:",
    "schreef:",
    "escreveu:",
    "skrev:",
    "napisał(a):",
    "napisał:",
    "kirjoitti:",
];

/// Beginnings of the lines with which a mail program opens the mail that is answered.
const ORIGINAL: [&str; 8] = [
    "-----original message",
    "-----ursprüngliche nachricht",
    "-----message d'origine",
    "-----mensaje original",
    "-------- original message",
    "-------- ursprüngliche nachricht",
    "-------- message original",
    "-------- mensaje original",
];

/// First and second field of the header that Outlook puts above the mail that is answered.
const QUOTED_HEADER: [(&str, &str); 8] = [
    ("from:", "sent:"),
    ("from:", "date:"),
    ("von:", "gesendet:"),
    ("von:", "datum:"),
    ("de :", "envoyé"),
    ("de:", "envoyé"),
    ("de:", "enviado"),
    ("de:", "fecha"),
];

/// Beginnings of footers that programs add, in lower case.
const FOOTERS: [&str; 12] = [
    "sent from my ",
    "sent from mail for",
    "sent from outlook",
    "get outlook for",
    "von meinem ",
    "gesendet von ",
    "diese nachricht wurde von meinem",
    "envoyé de mon ",
    "envoyé depuis ",
    "enviado desde ",
    "enviado do meu",
    "obtener outlook",
];

/// The lines of `text` that its author wrote now; all of it where that leaves nothing.
pub(super) fn fresh(text: &str) -> String {
    let lines: Vec<&str> = text.lines().take(MOST_LINES).map(short).collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let rest = lines.get(at + 1..).unwrap_or_default();
        let lower = line.trim().to_lowercase();
        if is_signature(line) || is_original(&lower) || is_quoted_header(&lower, rest) {
            break;
        }
        if let Some(skipped) = attribution(&lower, rest) {
            at += skipped;
            let below = lines.get(at..).unwrap_or_default();
            // Marked lines are dropped one by one, for an answer may stand below them.
            if !below
                .iter()
                .find(|line| !line.trim().is_empty())
                .is_some_and(|line| is_quote(line))
            {
                break;
            }
            continue;
        }
        if !is_quote(line) && !FOOTERS.iter().any(|footer| lower.starts_with(footer)) {
            kept.push(line);
        }
        at += 1;
    }
    if kept.iter().all(|line| line.trim().is_empty()) {
        kept = lines;
    }
    kept.join("\n")
}

/// The beginning of what is new, on one line.
pub(super) fn snippet(fresh: &str) -> String {
    let start = clip(fresh.trim_start(), SNIPPET * 4);
    clip(&tidy(&start), SNIPPET)
}

fn short(line: &str) -> &str {
    match line.char_indices().nth(LONGEST_LINE) {
        None => line,
        Some((end, _)) => line.get(..end).unwrap_or_default(),
    }
}

fn is_quote(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

fn is_signature(line: &str) -> bool {
    line == "-- " || line.trim_end() == "--"
}

fn is_original(lower: &str) -> bool {
    ORIGINAL.iter().any(|start| lower.starts_with(start))
}

fn is_quoted_header(lower: &str, rest: &[&str]) -> bool {
    let plain = lower.trim_start_matches('*');
    QUOTED_HEADER.iter().any(|(first, second)| {
        plain.starts_with(first)
            && rest.iter().take(4).any(|line| {
                let line = line.trim().to_lowercase();
                line.trim_start_matches('*').starts_with(second)
            })
    })
}

/// Lines that "On Monday Ann wrote:" takes here, which is one or two; none if it is not that.
fn attribution(lower: &str, rest: &[&str]) -> Option<usize> {
    /// Characters of such a line at most: longer ones are sentences.
    const LONGEST: usize = 200;
    let opens = [
        "on ", "am ", "le ", "el ", "il ", "op ", "em ", "den ", "w dniu ",
    ];
    let ends = |line: &str| WROTE.iter().any(|verb| line.ends_with(verb));
    if lower.len() > LONGEST {
        return None;
    }
    if ends(lower) && (lower.contains('@') || lower.contains(|c: char| c.is_ascii_digit())) {
        return Some(1);
    }
    let next = rest.first()?.trim().to_lowercase();
    let opened = opens.iter().any(|open| lower.starts_with(open));
    (opened && next.len() < LONGEST && ends(&next)).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::{fresh, snippet};

    #[test]
    fn quotes_signatures_and_footers_are_dropped() {
        for (text, new) in [
            (
                "It works\n\nOn Mon, 3 Nov 2026, Ann <a@b.c> wrote:\n> old\n> older",
                "It works",
            ),
            (
                "On Mon, 3 Nov 2026 Ann wrote:\n> does it?\n\nYes it does\n-- \nBob",
                "Yes it does",
            ),
            (
                "Danke\n\nAm 3.11.2026 um 10:00 schrieb Ann <a@b.c>:\nalt",
                "Danke\n\nAm 3.11.2026 um 10:00 schrieb Ann <a@b.c>:\nalt",
            ),
            (
                "Danke\n\nAm 3.11.2026 um 10:00\nAnn <a@b.c> schrieb:\nalt",
                "Danke",
            ),
            ("Hello\n-----Original Message-----\nFrom: x", "Hello"),
            ("Bonjour\n\nDe : Ann\nEnvoyé : lundi\nvieux", "Bonjour"),
            ("Hi\n\nSent from my iPhone", "Hi"),
            ("> only\n> a quote", "> only\n> a quote"),
        ] {
            assert_eq!(fresh(text).trim(), new, "{text}");
        }
    }

    #[test]
    fn a_snippet_is_one_short_line() {
        assert_eq!(snippet("  a\n\n b\tc "), "a b c");
        assert_eq!(snippet(&"é ".repeat(500)).chars().count(), 199);
    }
}
