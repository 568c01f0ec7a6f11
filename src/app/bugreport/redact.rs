//! Taking out what is secret or somebody's own. Two nets, one behind the other: secrets that this
//! machine knows are cut out wherever they stand, and what merely looks like one is cut out too.
//! Rather too much than too little: what is left is for diagnosis, not for reading.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::words::{is_personal, is_revision, is_sensitive, is_tame};
use crate::base::secret::Secret;
use crate::platform::secrets::is_secret_name;

/// What stands where a secret stood.
const SECRET: &str = "[secret]";
/// Characters below which a known secret is not looked for: it would cut words apart.
const SHORTEST: usize = 4;
/// Letters of a stand-in: two of a thousand people share one with a chance of 0.2 %.
const STAND_IN: usize = 6;

/// A fixed pattern; a test builds each of them.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static URL: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r#"([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s"'<>`/?#]*)([^\s"'<>`]*)"#));
static MAIL: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r#"[^\s@"'<>`(),;:=\[\]]+@[^\s@"'<>`(),;:=\[\]]+"#));
static CARRIED: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"(?i)\b(bearer|basic|digest|negotiate)\s+[^\s,;]+"));
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r#"(?i)([a-z0-9_.-]+)(["'`]?\s*(?:=|:|\bis\b)\s*["'`]?)([^\s"'`,;}\]]+)"#)
});
static QUOTED: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r#""[^"]*("|$)"#));
static FOUND: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\b(is|was|are|has|found|said|says)\s+`[^`]*(?:`|$)"));
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\d{1,3}(?:\.\d{1,3}){3}"));
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"[\w+/=.~%:-]+"));

/// Addresses that tell of nobody.
const PLACES_OF_OURS: [&str; 5] = ["127.", "10.", "192.168.", "0.0.0.0", "169.254."];

/// Takes out what must not leave the machine.
pub(super) struct Redactor {
    /// Secrets of this machine, the longest first: one may hold another.
    known: Vec<Secret>,
    home: String,
    salt: [u8; 32],
}

impl Redactor {
    /// One that knows these secrets. The stand-ins of one report cannot be compared with those of
    /// another: `salt` is drawn for each.
    pub(super) fn new(mut known: Vec<Secret>, home: String, salt: [u8; 32]) -> Self {
        known.retain(|one| one.reveal().chars().count() >= SHORTEST);
        known.sort_by_key(|one| std::cmp::Reverse(one.reveal().len()));
        Self { known, home, salt }
    }

    /// The same stand-in for the same person or thing, all over one report.
    pub(super) fn stand_in(&self, what: &str, value: &str) -> String {
        let sum = Sha256::new()
            .chain_update(self.salt)
            .chain_update(value)
            .finalize();
        // Letters alone: digits would make it look like a secret.
        let letters = sum
            .iter()
            .take(STAND_IN)
            .map(|byte| char::from(b'a' + byte % 26));
        format!("[{what} {}]", letters.collect::<String>())
    }

    /// Free text, such as a reason: what stands in quotes is somebody's value and goes whole.
    pub(super) fn text(&self, text: &str) -> String {
        let text = self.without_known(text);
        let text = replaced(&QUOTED, &text, |_| "\"…\"".to_owned());
        let text = replaced(&FOUND, &text, |found| format!("{} `…`", &found[1]));
        self.unquoted(&text)
    }

    /// As [`Redactor::text`], where quotes belong to the form.
    pub(super) fn unquoted(&self, text: &str) -> String {
        let text = self.without_known(text);
        let text = replaced(&URL, &text, url);
        let text = replaced(&MAIL, &text, |found| self.stand_in("mail", &found[0]));
        let text = replaced(&CARRIED, &text, |found| format!("{} {SECRET}", &found[1]));
        let text = replaced(&ASSIGNED, &text, |found| {
            if is_sensitive(&found[1]) {
                return format!("{}{}{SECRET}", &found[1], &found[2]);
            }
            found[0].to_owned()
        });
        let text = replaced(&ADDRESS, &text, |found| {
            let ours = PLACES_OF_OURS.iter().any(|one| found[0].starts_with(one));
            if ours {
                found[0].to_owned()
            } else {
                self.stand_in("ip", &found[0])
            }
        });
        replaced(&WORD, &text, |found| {
            let word = &found[0];
            if is_tame(word) {
                word.to_owned()
            } else {
                SECRET.to_owned()
            }
        })
    }

    fn without_known(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for one in &self.known {
            if text.contains(one.reveal()) {
                text = text.replace(one.reveal(), SECRET);
            }
        }
        if self.home.len() > 1 {
            text = text.replace(&self.home, "HOME");
        }
        text
    }

    /// A line of a journal or another answer of ours.
    pub(super) fn line(&self, value: &Value) -> Value {
        self.value("", value, false)
    }

    /// A configuration: what a person wrote. Notes, texts, headers and arguments go whole.
    pub(super) fn config(&self, value: &Value) -> Value {
        self.value("", value, true)
    }

    fn value(&self, key: &str, value: &Value, of_person: bool) -> Value {
        match value {
            Value::Object(members) => Value::Object(self.members(key, members, of_person)),
            Value::Array(list) => {
                let inner = list.iter().enumerate().map(|(at, one)| {
                    if at > 0 && matches!(key, "command" | "args") {
                        return Value::from("[argument]");
                    }
                    self.value(key, one, of_person)
                });
                Value::Array(inner.collect())
            }
            Value::String(text) => Value::String(self.string(key, text, of_person)),
            Value::Number(_) if is_sensitive(key) || key.ends_with("_id") => Value::from(SECRET),
            other => other.clone(),
        }
    }

    fn members(
        &self,
        above: &str,
        members: &Map<String, Value>,
        of_person: bool,
    ) -> Map<String, Value> {
        let mut found = Map::new();
        for (key, value) in members {
            let hidden = HIDDEN.contains(&above) || (of_person && WHOLE.contains(&key.as_str()));
            let value = if key.starts_with('$') && key != "$schema" {
                Value::from("[note]")
            } else if hidden || (!of_person && LEFT_OUT.contains(&key.as_str())) {
                Value::from("[left out]")
            } else if is_sensitive(key) && !value.is_object() && !value.is_array() {
                Value::from(self.sensitive(key, value))
            } else {
                self.value(key, value, of_person)
            };
            // Identities of keys and names of customers stand as names of members too.
            let key = match above {
                "keys" | "customers" => self.stand_in("key", key),
                _ => self.unquoted(key),
            };
            found.insert(key, value);
        }
        found
    }

    /// What a sensitive member may still tell: the name of a secret is none.
    fn sensitive(&self, key: &str, value: &Value) -> String {
        let name = value.as_str().unwrap_or_default();
        let names = key.ends_with("_secret") || matches!(key, "client_secret" | "refresh_token");
        let words = name.contains('_') && name.split('_').all(is_word);
        if names && is_secret_name(name) && words && self.without_known(name) == name {
            return name.to_owned();
        }
        SECRET.to_owned()
    }

    fn string(&self, key: &str, text: &str, of_person: bool) -> String {
        let clean = self.without_known(text) == text;
        match key {
            "ts" | "started" | "ended" | "scheduled_for" if clean && is_tame(text) => {
                text.to_owned()
            }
            "h" | "prev_h" | "revision" | "running_on" if clean && is_revision(text) => {
                text.to_owned()
            }
            "actor" if matches!(text, "file" | "shipped" | "local") => text.to_owned(),
            _ if is_sensitive(key) => SECRET.to_owned(),
            _ if is_personal(key) && !text.is_empty() => self.stand_in("who", text),
            _ if of_person => self.unquoted(text),
            _ => self.text(text),
        }
    }
}

/// Members whose inner values are nobody's business: anything may be in them.
const HIDDEN: [&str; 5] = ["headers", "env", "form", "query", "labels"];
/// Members that a person wrote for people.
const WHOLE: [&str; 8] = [
    "description",
    "comment",
    "about",
    "note",
    "text",
    "message",
    "body",
    "title",
];
/// Members of journals that repeat what somebody wrote.
const LEFT_OUT: [&str; 8] = [
    "found", "message", "hint", "allowed", "nearest", "before", "after", "value",
];

/// Whether a part of a secret's name is letters alone, or short.
fn is_word(part: &str) -> bool {
    !part.is_empty() && is_tame(part)
}

/// Scheme, host and the tame part of the way; who signs in, the query and what looks like a key go.
fn url(found: &Captures<'_>) -> String {
    let host = found[2].rsplit('@').next().unwrap_or_default();
    let way = found[3].split(['?', '#']).next().unwrap_or_default();
    let more = if way.len() < found[3].len() {
        "?[query]"
    } else {
        ""
    };
    let parts: Vec<&str> = way
        .split('/')
        .map(|part| {
            if is_tame(part) && part.len() <= 24 {
                part
            } else {
                SECRET
            }
        })
        .collect();
    format!("{}://{host}{}{more}", &found[1], parts.join("/"))
}

/// `text` with each match of `pattern` replaced; nothing of it where the pattern is broken.
fn replaced(
    pattern: &LazyLock<Option<Regex>>,
    text: &str,
    by: impl Fn(&Captures<'_>) -> String,
) -> String {
    match pattern.as_ref() {
        Some(pattern) => pattern
            .replace_all(text, |found: &Captures<'_>| by(found))
            .into_owned(),
        None => "[left out]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        let known = vec![Secret::new("plain words of a secret".to_owned())];
        Redactor::new(known, "/srv/echo".to_owned(), [7; 32])
    }

    #[test]
    fn texts_lose_what_opens_doors_and_keep_what_tells() {
        let cases = [
            (
                "cannot read `/srv/echo/logs/slo.ndjson`",
                "cannot read `HOME/logs/slo.ndjson`",
            ),
            (
                "GET https://a:b@x.example/health?key=1",
                "GET https://x.example/health?[query]",
            ),
            (
                "https://hooks.example.com/services/T0/B0/x9y8z7w6",
                "https://hooks.example.com/services/T0/B0/[secret]",
            ),
            (
                "Authorization: Bearer abc def",
                "Authorization: [secret] [secret] def",
            ),
            ("password=sesame, tries=3", "password=[secret], tries=3"),
            ("with plain words of a secret in it", "with [secret] in it"),
            (
                "`listen` is \"sesame\", must be",
                "`listen` is \"…\", must be",
            ),
            (
                "`customers` is `shop.example`, must be",
                "`customers` is `…`, must be",
            ),
            (
                "key ep_dash_64acb0af_cf9213e9 is old",
                "key [secret] is old",
            ),
            (
                "slo-guard was late by 12 s at 2026-11-21T09:15:02Z",
                "slo-guard was late by 12 s at 2026-11-21T09:15:02Z",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redactor().text(text), expected);
        }
        let told = redactor().text("from alice@example.com and bob@example.com, alice@example.com");
        assert!(
            !told.contains("example.com") && told.matches("[mail ").count() == 3,
            "{told}"
        );
    }

    #[test]
    fn documents_keep_numbers_and_names_of_secrets() {
        let told = redactor().config(&json!({
            "$comment": "sesame", "limits": { "max_connections": 4096 },
            "channels": { "slack": { "slack": { "url_secret": "SLACK_WEBHOOK_URL" } },
              "mine": { "webhook": { "signing_secret": "HUNTER2HUNTER2",
                "headers": { "X": "sesame" } } } },
            "keys": { "64acb0af": { "name": "alice", "sha256": "00ff", "role": "dash" } },
        }));
        let text = told.to_string();
        for gone in ["sesame", "HUNTER2", "alice", "00ff", "64acb0af"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        for kept in ["4096", "SLACK_WEBHOOK_URL", "dash"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
