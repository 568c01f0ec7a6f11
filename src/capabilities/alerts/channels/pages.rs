//! ntfy, `PagerDuty` and the daemon's own log.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::outcome::Outcome;
use super::rules::Kind;
use super::text::Words;
use super::{Keys, Post, Sender, Step, under};
use crate::base::hex;
use crate::base::time::stamp;
use crate::capabilities::alerts::model::{Notice, NoticeAlert, Reason, Status};
use crate::platform::alerts::Severity;
use sha2::{Digest, Sha256};

/// Bytes of an ntfy message are about 4,096 at most; this many units stay below in any script.
const MOST_NTFY: usize = 1_200;
/// Characters of a `PagerDuty` summary at most.
const MOST_SUMMARY: usize = 1_024;
/// Bytes of a `PagerDuty` key at most.
const MOST_KEY: usize = 255;
/// UTF-16 units of a line in the log.
const MOST_LOGGED: usize = 2_000;

/// Writes a line into the daemon's log.
pub(super) fn log(notice: &Notice) -> Outcome {
    let words = Words::of(notice, MOST_LOGGED);
    let body = words.body("• ").replace('\n', "; ");
    let (notice, title) = (&notice.id, &words.title);
    tracing::info!(notice.id = %notice, "{title}: {body}");
    let reference = String::new();
    Outcome::Sent { reference }
}

impl Sender {
    /// Tells a topic of ntfy.
    pub(super) async fn ntfy(
        &self,
        kind: &Kind,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::Ntfy {
            api_url,
            topic_secret,
            token_secret,
        } = kind
        else {
            return Ok(Outcome::refused("not a channel of ntfy", ""));
        };
        let topic = keys.need(topic_secret)?;
        let mut body = ntfy(notice);
        body["topic"] = topic.reveal().trim().into();
        let mut post = Post::json(under(api_url, "/")?, &body);
        let json = HeaderValue::from_static("application/json");
        post.headers.insert(CONTENT_TYPE, json);
        if let Some(token) = keys.may(token_secret)? {
            post = post.bearer(&token)?;
        }
        let answer = self.posted(post).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reference = body["id"].as_str().unwrap_or_default().to_owned();
        Ok(Outcome::Sent { reference })
    }

    /// Tells a service of `PagerDuty`.
    pub(super) async fn pagerduty(
        &self,
        kind: &Kind,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::PagerDuty {
            routing_key_secret,
            api_url,
        } = kind
        else {
            return Ok(Outcome::refused("not a PagerDuty channel", ""));
        };
        let routing_key = keys.need(routing_key_secret)?;
        let mut body = pagerduty(notice);
        body["routing_key"] = routing_key.reveal().trim().into();
        let url = under(api_url, "/v2/enqueue")?;
        let answer = self.posted(Post::json(url, &body)).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reference = body["dedup_key"].as_str().unwrap_or_default().to_owned();
        Ok(Outcome::Sent { reference })
    }
}

/// The message for ntfy, without its topic.
fn ntfy(notice: &Notice) -> Value {
    let words = Words::of(notice, MOST_NTFY);
    let (priority, tag) = match (notice.is_firing(), notice.severity) {
        (false, _) => (3, "white_check_mark"),
        (_, Severity::Critical) => (5, "rotating_light"),
        (_, Severity::Error) => (4, "red_circle"),
        (_, Severity::Warning) => (3, "warning"),
        (_, Severity::Info) => (2, "information_source"),
    };
    let mut message = json!({
        "title": words.title,
        "message": words.body("• "),
        "priority": priority,
        "tags": [tag],
    });
    if !words.ack_url.is_empty() {
        message["actions"] =
            json!([{ "action": "view", "label": "Acknowledge", "url": words.ack_url }]);
    }
    let click = [&words.url, &words.ack_url];
    if let Some(click) = click.into_iter().find(|url| !url.is_empty()) {
        message["click"] = click.as_str().into();
    }
    message
}

/// The event for `PagerDuty`, without its key: the same incident over there for as long as the
/// group has something that holds.
fn pagerduty(notice: &Notice) -> Value {
    let words = Words::of(notice, MOST_SUMMARY);
    // A digest or a test is no incident of the group.
    let dedup_key = match notice.group.as_str() {
        long if long.len() > MOST_KEY => {
            format!("echopilot:{}", hex::of(&Sha256::digest(long.as_bytes())))
        }
        group => group.to_owned(),
    };
    let is_test = notice.reason == Reason::Test;
    if !notice.is_firing() && !is_test {
        return json!({ "event_action": "resolve", "dedup_key": dedup_key });
    }
    let severity = match notice.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    };
    let first = notice.alerts.first().map(|alert: &NoticeAlert| {
        let summary = format!("{}: {}", words.title, alert.summary);
        summary.chars().take(MOST_SUMMARY).collect::<String>()
    });
    let firing = |alert: &&NoticeAlert| alert.status == Status::Firing;
    let firing: Vec<&str> = notice
        .alerts
        .iter()
        .filter(firing)
        .map(|alert| alert.key.as_str())
        .take(100)
        .collect();
    let links = [("Acknowledge", &words.ack_url), ("Show", &words.url)];
    let links: Vec<Value> = links
        .iter()
        .filter(|(_, url)| !url.is_empty())
        .map(|(text, url)| json!({ "href": url, "text": text }))
        .collect();
    json!({
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "echopilot",
        "links": links,
        "payload": {
            "summary": first.unwrap_or_else(|| words.title.clone()),
            "source": "echopilot",
            "severity": severity,
            "timestamp": stamp(notice.at),
            "custom_details": { "text": words.body("• "), "firing": firing, "notice": notice.id },
        },
    })
}
