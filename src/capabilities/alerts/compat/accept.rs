//! What an alert from elsewhere comes to: its identity, how bad it is, and until when it holds.
//! Pure: values in, values out.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use super::fingerprint;
use super::held::Hold;
use crate::base::labels::Labels;
use crate::platform::alerts::{FOREIGN, Finding, Severity};

/// How long an alert holds whose sender names no end and does not repeat it.
/// Source: Alertmanager's default `resolve_timeout`.
const RESOLVE_TIMEOUT: TimeDelta = TimeDelta::minutes(5);
/// The same for what an Alertmanager's webhook told: it says when something ends, and repeats what
/// holds every four hours unless told otherwise. Our own choice: a day without a word.
const WEBHOOK_TIMEOUT: TimeDelta = TimeDelta::hours(24);
/// Labels, and annotations, of one alert at most. Our own choice.
const MOST_LABELS: usize = 64;
/// Bytes of one alert at most, labels, annotations and address together. Our own choice: with the
/// bound on how many hold it bounds memory.
const MOST_BYTES: usize = 16 << 10;
/// Characters of a summary at most; the annotations have all of it.
const MOST_SUMMARY: usize = 500;
/// Annotations that may be the summary, the first of them that is there.
const SUMMARIES: [&str; 4] = ["summary", "title", "description", "message"];

/// An alert as it is posted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PostedAlert {
    /// What it concerns; its identity.
    pub(super) labels: Option<Labels>,
    /// What else is told of it.
    pub(super) annotations: Option<Labels>,
    /// When it began, RFC 3339. Default now.
    pub(super) starts_at: Option<String>,
    /// When it ended or will end unless it is repeated, RFC 3339. Default in five minutes.
    pub(super) ends_at: Option<String>,
    /// Where more of it is shown.
    #[serde(rename = "generatorURL")]
    pub(super) generator_url: Option<String>,
}

/// By which door it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// `POST /api/v2/alerts`.
    Api,
    /// The webhook of an Alertmanager.
    Webhook,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Its identity.
    pub(super) fingerprint: u64,
    /// What holds, or held.
    pub(super) finding: Finding,
    /// Until when it holds, unless it is repeated.
    pub(super) hold: Hold,
}

/// The key among the alert events.
pub(super) fn key(fingerprint: u64) -> String {
    format!("{FOREIGN}{}", fingerprint::text(fingerprint))
}

/// The fingerprint in a key, if it is one of an alert from elsewhere.
pub(super) fn fingerprint_in(key: &str) -> Option<u64> {
    u64::from_str_radix(key.strip_prefix(FOREIGN)?, 16).ok()
}

/// How long an alert of `source` holds without a word.
pub(super) fn patience(source: &str) -> TimeDelta {
    if source == Door::Webhook.source("") {
        WEBHOOK_TIMEOUT
    } else {
        RESOLVE_TIMEOUT
    }
}

impl Door {
    fn source(self, url: &str) -> &'static str {
        match self {
            Self::Webhook => "alertmanager",
            Self::Api if url.is_empty() => "api",
            // Nothing else that sends alerts names a page of its own, or it does as Prometheus.
            Self::Api => "prometheus",
        }
    }
}

/// Reads an alert, or says what is wrong with it.
pub(super) fn read(posted: PostedAlert, door: Door, now: DateTime<Utc>) -> Result<Told, String> {
    let labels = posted.labels.unwrap_or_default();
    let annotations = posted.annotations.unwrap_or_default();
    let url = posted.generator_url.unwrap_or_default();
    check(&labels, &annotations, &url)?;
    // A label without a value is as none at all, and would be another identity.
    let labels: Labels = if labels.iter().any(|(_, value)| value.is_empty()) {
        labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    } else {
        labels
    };
    if labels.is_empty() {
        return Err("no label with a value is there, at least one is needed".to_owned());
    }
    let starts_at = instant(posted.starts_at.as_deref(), "startsAt")?;
    let ends_at = instant(posted.ends_at.as_deref(), "endsAt")?;
    if let (Some(start), Some(end)) = (starts_at, ends_at)
        && end < start
    {
        return Err("`endsAt` is before `startsAt`".to_owned());
    }
    let source = door.source(&url);
    let fingerprint = fingerprint::of(&labels);
    let hold = Hold {
        until: ends_at.unwrap_or(now + patience(source)),
        said_at: now,
        named: ends_at.is_some(),
    };
    let finding = Finding {
        key: key(fingerprint),
        source: source.to_owned(),
        severity: severity(labels.get("severity").unwrap_or_default()),
        summary: summary(&labels, &annotations),
        started_at: starts_at.or(ends_at).unwrap_or(now).min(now),
        labels,
        annotations,
        url,
    };
    Ok(Told {
        fingerprint,
        finding,
        hold,
    })
}

fn check(labels: &Labels, annotations: &Labels, url: &str) -> Result<(), String> {
    for (what, set) in [("labels", labels), ("annotations", annotations)] {
        if set.len() > MOST_LABELS {
            let found = set.len();
            return Err(format!("{found} {what}, at most {MOST_LABELS} are taken"));
        }
        if set.contains_key("") {
            return Err(format!("`{what}` have an empty name"));
        }
    }
    let both = labels.iter().chain(annotations);
    let bytes = url.len()
        + both
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
    if bytes > MOST_BYTES {
        return Err(format!(
            "{bytes} bytes of text, at most {MOST_BYTES} are taken"
        ));
    }
    Ok(())
}

/// An instant; that of year 1 is how programs in Go write none.
fn instant(text: Option<&str>, member: &str) -> Result<Option<DateTime<Utc>>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.starts_with("0001-01-01T00:00:00") {
        return Ok(None);
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Some(at.to_utc())),
        Err(_) => Err(format!("`{member}` is not an instant of RFC 3339")),
    }
}

/// How bad it is, by the label `severity` in the words that rules are written with.
fn severity(word: &str) -> Severity {
    let is = |words: &[&str]| words.iter().any(|one| word.eq_ignore_ascii_case(one));
    if is(&["critical", "page", "emergency", "fatal"]) {
        Severity::Critical
    } else if is(&["error", "high", "major"]) {
        Severity::Error
    } else if is(&["info", "information", "none", "low", "debug"]) {
        Severity::Info
    } else {
        Severity::Warning
    }
}

fn summary(labels: &Labels, annotations: &Labels) -> String {
    let of = |name: &&str| annotations.get(name).map(str::trim);
    let told = SUMMARIES
        .iter()
        .filter_map(of)
        .find(|text| !text.is_empty());
    let name = || labels.get("alertname").unwrap_or("an alert without a name");
    let text = told.unwrap_or_else(name);
    match text.char_indices().nth(MOST_SUMMARY) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn told(json: &str, door: Door) -> Result<Told, String> {
        read(serde_json::from_str(json).unwrap(), door, now())
    }

    #[test]
    fn identity_is_the_labels_and_the_end_is_five_minutes_away() {
        let bare = r#"{"labels":{"alertname":"Down","job":"api","empty":""}}"#;
        let more = r#"{"labels":{"job":"api","alertname":"Down"},"annotations":{"summary":" x "},
            "startsAt":"2026-11-21T11:58:00+01:00","endsAt":"0001-01-01T00:00:00Z",
            "generatorURL":"http://p:9090/graph","unknown":1}"#;
        let (bare, more) = (
            told(bare, Door::Api).unwrap(),
            told(more, Door::Api).unwrap(),
        );
        assert_eq!(bare.fingerprint, more.fingerprint);
        assert_eq!(bare.finding.key, key(bare.fingerprint));
        assert_eq!(fingerprint_in(&bare.finding.key), Some(bare.fingerprint));
        assert_eq!(
            (&*bare.finding.summary, &*more.finding.summary),
            ("Down", "x")
        );
        assert_eq!(
            (&*bare.finding.source, &*more.finding.source),
            ("api", "prometheus")
        );
        assert_eq!(bare.hold.until, now() + TimeDelta::minutes(5));
        assert_eq!(bare.hold.how(), "not repeated for 5 min");
        assert_eq!(more.finding.started_at, now() - TimeDelta::minutes(62));
        let hook = told(r#"{"labels":{"a":"b"}}"#, Door::Webhook).unwrap();
        assert_eq!(hook.hold.how(), "not repeated for 24 h");
    }

    #[test]
    fn the_label_severity_says_how_bad_it_is() {
        use Severity::{Critical, Error, Info, Warning};
        let words = [
            "critical", "Page", "error", "warning", "", "odd", "none", "INFO",
        ];
        let meant = [
            Critical, Critical, Error, Warning, Warning, Warning, Info, Info,
        ];
        for (word, meant) in words.into_iter().zip(meant) {
            assert_eq!(severity(word), meant, "{word}");
        }
    }

    #[test]
    fn what_is_no_alert_is_refused() {
        let long = format!(r#"{{"labels":{{"a":"{}"}}}}"#, "x".repeat(20_000));
        for (json, why) in [
            ("{}", "at least one"),
            (r#"{"labels":{"a":""}}"#, "at least one"),
            (r#"{"labels":{"":"b"}}"#, "empty name"),
            (r#"{"labels":{"a":"b"},"startsAt":"noon"}"#, "RFC 3339"),
            (
                r#"{"labels":{"a":"b"},"startsAt":"2026-11-21T12:00:00Z","endsAt":"2026-11-21T11:00:00Z"}"#,
                "before",
            ),
            (&long, "at most"),
        ] {
            let refused = told(json, Door::Api).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
