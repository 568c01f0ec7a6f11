//! A call to any program, signed by Standard Webhooks 1.0. Its `data` has the shape of an
//! Alertmanager's webhook, version 4, and a few members of our own.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use siphasher::sip::SipHasher13;

use super::outcome::{self, Outcome};
use super::rules::{ChannelRules, Kind};
use super::text::Words;
use super::{Keys, Post, Sender, Step};
use crate::base::time::stamp;
use crate::capabilities::alerts::model::{Notice, NoticeAlert, Status};
use crate::platform::webhooks;

/// Bytes of a body at most: Standard Webhooks advises 20 KB.
const MOST_BODY: usize = 20_000;
/// UTF-16 units of the text that goes along.
const MOST_TEXT: usize = 2_000;

impl Sender {
    /// Calls a program.
    pub(super) async fn webhook(
        &self,
        rules: &ChannelRules,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::Webhook {
            url,
            url_secret,
            signing_secret,
        } = &rules.kind
        else {
            return Ok(Outcome::refused("not a webhook", ""));
        };
        let is_named = url.is_none();
        let url = match url {
            Some(url) => url.clone(),
            None => keys.url(url_secret)?,
        };
        let signing = keys.need(signing_secret)?;
        let body = body(notice).into_bytes();
        let signed = webhooks::headers(signing.reveal().trim(), &notice.id, self.now(), &body);
        let signed = signed.map_err(|why| {
            let hint = "make one with `printf whsec_; openssl rand -base64 32`";
            Outcome::ours(format!("{signing_secret} is no good: {why}"), hint)
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in signed {
            let value = HeaderValue::try_from(value)
                .map_err(|_odd| Outcome::refused("its id is no header's value", ""))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let body = Bytes::from(body);
        let post = Post {
            url,
            is_named,
            headers,
            body,
        };
        let answer = self.post(post).await?;
        if (200..300).contains(&answer.status) {
            let reference = String::new();
            return Ok(Outcome::Sent { reference });
        }
        let told = outcome::told(&answer.body);
        let judged = outcome::of_answer(&answer, &told, self.now());
        // By the standard 410 means: never call again.
        Err(match (answer.status, judged) {
            (410, Outcome::Final { mut found, .. }) => {
                found.hint = "it wants no more calls; change the channel to call it again".into();
                Outcome::Final {
                    found,
                    disables: true,
                }
            }
            (_, judged) => judged,
        })
    }
}

/// The body: the same for the same notice, whenever it is sent.
fn body(notice: &Notice) -> String {
    let mut most = notice.alerts.len();
    loop {
        let text = with_alerts(notice, most).to_string();
        if text.len() <= MOST_BODY || most == 0 {
            return text;
        }
        most /= 2;
    }
}

fn with_alerts(notice: &Notice, most: usize) -> Value {
    let alerts: Vec<Value> = notice.alerts.iter().take(most).map(alert).collect();
    let more = usize::try_from(notice.more).unwrap_or(0);
    let truncated = notice.alerts.len() - alerts.len() + more;
    let words = Words::of(notice, MOST_TEXT);
    let text = match words.body("• ") {
        body if body.is_empty() => words.title.clone(),
        body => format!("{}\n{body}", words.title),
    };
    json!({
        "type": "alert.notice",
        "timestamp": stamp(notice.at),
        "data": {
            "version": "4",
            "groupKey": notice.group,
            "truncatedAlerts": truncated,
            "status": if notice.is_firing() { "firing" } else { "resolved" },
            "receiver": notice.channel,
            "groupLabels": notice.group_labels,
            "commonLabels": common(notice, |alert| &alert.labels),
            "commonAnnotations": common(notice, |alert| &alert.annotations),
            "externalURL": "",
            "alerts": alerts,
            "id": notice.id,
            "reason": notice.reason,
            "severity": notice.severity,
            "incident": notice.incident,
            "causes": notice.causes,
            "ack_url": notice.ack_url,
            "text": text,
        },
    })
}

fn alert(alert: &NoticeAlert) -> Value {
    let mut annotations = alert.annotations.clone();
    annotations
        .entry("summary".to_owned())
        .or_insert_with(|| alert.summary.clone());
    // As Alertmanager writes an alert that has not ended.
    let ended = alert.ended_at.map(stamp);
    let status = match alert.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    json!({
        "key": alert.key,
        "status": status,
        "labels": alert.labels,
        "annotations": annotations,
        "startsAt": stamp(alert.started_at),
        "endsAt": ended.unwrap_or_else(|| "0001-01-01T00:00:00Z".into()),
        "generatorURL": alert.url,
        "fingerprint": format!("{:016x}", SipHasher13::new().hash(alert.key.as_bytes())),
    })
}

/// What all alerts of a notice have in common.
fn common(
    notice: &Notice,
    of: impl Fn(&NoticeAlert) -> &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut alerts = notice.alerts.iter();
    let mut common = alerts.next().map(|first| of(first).clone());
    for alert in alerts {
        let common = common.get_or_insert_default();
        common.retain(|name, value| of(alert).get(name) == Some(value));
    }
    common.unwrap_or_default()
}
