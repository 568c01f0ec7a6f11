//! Mail: what a notice looks like as one, and Resend, which takes it over HTTP.

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::outcome::Outcome;
use super::rules::{Kind, Mail};
use super::text::Words;
use super::{Keys, Post, Sender, Step, under};
use crate::base::hex;
use crate::capabilities::alerts::model::Notice;

/// UTF-16 units of a mail's text (our own choice).
const MOST_TEXT: usize = 20_000;
/// Bytes of an idempotency key at most.
const MOST_KEY: usize = 256;

/// A notice as a mail.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
    /// Message-ID, without brackets: the same in every try.
    pub(super) id: String,
    /// What all mails of the group refer to, without brackets.
    pub(super) thread: String,
}

/// Headers by which programs that answer mail know that nobody wrote this.
pub(super) const AUTOMATIC: [(&str, &str); 2] = [
    ("Auto-Submitted", "auto-generated"),
    ("X-Auto-Response-Suppress", "All"),
];

impl Letter {
    /// The mail that tells `notice`, from an address of `domain`.
    pub(super) fn of(notice: &Notice, domain: &str) -> Self {
        let words = Words::of(notice, MOST_TEXT);
        let mut text = format!("{}\n\n{}\n", words.title, words.body("* "));
        let mut html = format!("<p><b>{}</b></p>\n<ul>\n", escaped(&words.title));
        for line in &words.lines {
            html = format!("{html}<li>{}</li>\n", escaped(line));
        }
        html.push_str("</ul>\n");
        if words.more > 0 {
            html = format!("{html}<p>… and {} more</p>\n", words.more);
        }
        for line in &words.rest {
            html = format!("{html}<p>{}</p>\n", escaped(line));
        }
        for (name, url) in [("Acknowledge", &words.ack_url), ("Show", &words.url)] {
            if !url.is_empty() {
                text = format!("{text}\n{name}: {url}\n");
                html = format!("{html}<p><a href=\"{}\">{name}</a></p>\n", escaped(url));
            }
        }
        let short = |what: &str| {
            let digest = Sha256::digest(what.as_bytes());
            hex::of(digest.get(..16).unwrap_or_default())
        };
        Self {
            subject: words.title,
            text,
            html,
            id: format!("notice.{}@{domain}", short(&notice.id)),
            thread: format!("group.{}@{domain}", short(&notice.group)),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The part of an address behind the `@`.
pub(super) fn domain(address: &str) -> &str {
    let bare = address.rsplit('@').next().unwrap_or_default();
    match bare.trim_end_matches('>').trim() {
        "" => "echopilot.invalid",
        domain => domain,
    }
}

impl Mail {
    /// Whom it goes to.
    pub(super) fn recipients(&self, keys: &mut Keys<'_>) -> Step<Vec<String>> {
        if !self.to.is_empty() {
            return Ok(self.to.clone());
        }
        let named = keys.need(&self.to_secret)?;
        let all = named.reveal().split(',').map(|one| one.trim().to_owned());
        Ok(all.filter(|one| !one.is_empty()).collect())
    }
}

impl Sender {
    /// Mails by Resend.
    pub(super) async fn resend(
        &self,
        kind: &Kind,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::Resend {
            key_secret,
            mail,
            api_url,
        } = kind
        else {
            return Ok(Outcome::refused("not a Resend channel", ""));
        };
        let key = keys.need(key_secret)?;
        let to = mail.recipients(keys)?;
        let letter = Letter::of(notice, domain(&mail.from));
        let thread = format!("<{}>", letter.thread);
        let mut headers = json!({ "References": thread, "In-Reply-To": thread });
        for (name, value) in AUTOMATIC {
            headers[name] = value.into();
        }
        let body = json!({
            "from": mail.from,
            "to": to,
            "subject": letter.subject,
            "text": letter.text,
            "html": letter.html,
            "headers": headers,
        });
        let mut post = Post::json(under(api_url, "/emails")?, &body).bearer(&key)?;
        let id: String = notice.id.chars().take(MOST_KEY).collect();
        if let Ok(id) = HeaderValue::try_from(id) {
            let name = HeaderName::from_static("idempotency-key");
            post.headers.insert(name, id);
        }
        let answer = self.posted(post).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reference = body["id"].as_str().unwrap_or_default().to_owned();
        Ok(Outcome::Sent { reference })
    }
}
