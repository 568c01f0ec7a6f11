//! Is a word one that people use, or does it look like something that opens a door? Pure.

/// Characters of a piece from which letters mixed with digits count as a secret: shorter ones are
/// names such as `p95`, `v2` or `utf8`.
const MIXED_CHARS: usize = 6;
/// Digits in a row from which they count as somebody's number: a telephone, a chat, a card.
const MANY_DIGITS: usize = 9;
/// Letters in a row, capitals and small ones mixed, from which they count as random.
const RANDOM_LETTERS: usize = 16;
/// Capitals within such a run that no compound name has.
const MANY_CAPITALS: usize = 4;
/// Letters in a row that no word has.
const LONGEST_WORD: usize = 30;

/// Whether `word` may be shown: each piece between separators is letters alone or digits alone, or
/// short.
pub(super) fn is_tame(word: &str) -> bool {
    let pieces = word.split(|c: char| !c.is_alphanumeric());
    let is_stamp = is_stamp(word);
    pieces
        .filter(|piece| !piece.is_empty())
        .all(|piece| is_stamp || tame(piece))
}

fn tame(piece: &str) -> bool {
    let chars = piece.chars().count();
    let digits = piece.chars().filter(char::is_ascii_digit).count();
    if digits == chars {
        // Numbers of lines in file names are filled up with zeros.
        return digits < MANY_DIGITS || piece.starts_with("000");
    }
    if digits > 0 {
        return chars < MIXED_CHARS;
    }
    let capitals = piece.chars().filter(|c| c.is_uppercase()).count();
    let random = chars >= RANDOM_LETTERS && capitals >= MANY_CAPITALS && capitals < chars;
    !random && chars <= LONGEST_WORD
}

/// Whether `word` is an instant as our files write them, such as `2026-11-21T09:15:02.123Z`.
fn is_stamp(word: &str) -> bool {
    word.len() <= 30 && chrono::DateTime::parse_from_rfc3339(word).is_ok()
}

/// Whether `text` is a revision or a chain value: 16 digits of base 16.
pub(super) fn is_revision(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Parts of names whose values are secret.
const SENSITIVE: [&str; 16] = [
    "secret",
    "token",
    "passw",
    "passphrase",
    "pwd",
    "apikey",
    "api_key",
    "authorization",
    "cookie",
    "credential",
    "signature",
    "sha256",
    "private",
    "bearer",
    "webhook_url",
    "routing_key",
];

/// Whether the value of a member of this name is secret.
pub(super) fn is_sensitive(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    matches!(
        key.as_str(),
        "pass" | "key" | "auth" | "hash" | "salt" | "pin"
    ) || SENSITIVE.iter().any(|part| key.contains(part))
}

/// Names of members that say who somebody is.
const PERSONAL: [&str; 24] = [
    "user",
    "id",
    "email",
    "mail",
    "from",
    "to",
    "cc",
    "sender",
    "recipient",
    "subject",
    "name",
    "actor",
    "address",
    "ip",
    "remote",
    "host",
    "message_id",
    "run",
    "customer",
    "account",
    "boot",
    "owner",
    "by",
    "who",
];

/// Whether a member of this name says who somebody is.
pub(super) fn is_personal(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    PERSONAL.contains(&key.as_str()) || key.ends_with("_id") || key.ends_with("_addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_people_are_tame_and_keys_are_not() {
        for word in [
            "task_runs",
            "p95",
            "pricing_v2",
            "logs/made.00000000000000000001-00000000000000000002",
            "2026-11-21T09:15:02.123Z",
            "echopilot.service",
            "127.0.0.1:5000",
            "slo-guard",
        ] {
            assert!(is_tame(word), "{word}");
        }
        for word in [
            "hunter2",
            "sk_live_51Hxyz",
            "ep_dash_64acb0af_cf9213",
            "AKIAIOSFODNN7EXAMPLE",
            "dGhpcyBpcyBhIHNlY3JldA",
            "4711471147",
            "aBcDeFgHiJkLmNoPqRsT",
        ] {
            assert!(!is_tame(word), "{word}");
        }
    }

    #[test]
    fn names_of_secrets_and_of_people_are_known() {
        assert!(is_sensitive("X-Api-Key") && is_sensitive("imap_password") && is_sensitive("pass"));
        assert!(!is_sensitive("limits") && !is_sensitive("keyless_per_ip_per_minute"));
        assert!(is_personal("message_id") && is_personal("User") && !is_personal("journal"));
    }
}
