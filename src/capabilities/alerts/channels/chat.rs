//! Slack and Discord: one message by an incoming webhook, whose address is the secret.

use serde_json::{Value, json};

use super::outcome::Outcome;
use super::text::{Words, colour};
use super::{Keys, Post, Sender, Step};
use crate::capabilities::alerts::model::Notice;
use crate::seams::outbound::Url;

/// Characters of a Slack section's text at most.
const MOST_SLACK: usize = 2_900;
/// Characters of a Discord embed's description at most are 4,096.
const MOST_DISCORD: usize = 3_900;
/// Characters of a Discord embed's title at most.
const MOST_DISCORD_TITLE: usize = 256;

impl Sender {
    /// Tells a Slack channel.
    pub(super) async fn slack(
        &self,
        secret: &str,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let url = keys.url(secret)?;
        self.posted(Post::json(url, &slack(notice)).named()).await?;
        let reference = String::new();
        Ok(Outcome::Sent { reference })
    }

    /// Tells a Discord channel.
    pub(super) async fn discord(
        &self,
        secret: &str,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let url = keys.url(secret)?;
        // With `wait` the answer names the message, and an error is told and not swallowed.
        let waiting = format!("{}{}?wait=true", url.origin(), path(&url));
        let url = Url::parse(&waiting).unwrap_or(url);
        let answer = self
            .posted(Post::json(url, &discord(notice)).named())
            .await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reference = body["id"].as_str().unwrap_or_default().to_owned();
        Ok(Outcome::Sent { reference })
    }
}

/// The path of an address, without its query.
fn path(url: &Url) -> String {
    let target = url.request_target();
    target.split('?').next().unwrap_or_default().to_owned()
}

/// `text` as Slack's own marks leave it alone.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The message for Slack.
fn slack(notice: &Notice) -> Value {
    let words = Words::of(notice, MOST_SLACK / 2);
    let title = escaped(&words.title);
    let mut text = format!("*{title}*");
    let body = escaped(&words.body("• "));
    if !body.is_empty() {
        text = format!("{text}\n{body}");
    }
    let links = [("Acknowledge", &words.ack_url), ("Show", &words.url)];
    let links: Vec<String> = links
        .iter()
        .filter(|(_, url)| !url.is_empty())
        .map(|(name, url)| format!("<{}|{name}>", escaped(url).replace('|', "%7C")))
        .collect();
    if !links.is_empty() {
        text = format!("{text}\n{}", links.join(" · "));
    }
    let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    json!({
        "text": title,
        "attachments": [{
            "color": format!("#{:06x}", colour(notice)),
            "fallback": title,
            "blocks": [section],
        }],
    })
}

/// The message for Discord; nobody is called by name, whatever stands in it.
fn discord(notice: &Notice) -> Value {
    let words = Words::of(notice, MOST_DISCORD);
    let mut body = words.body("• ");
    if !words.ack_url.is_empty() {
        body = format!("{body}\n[Acknowledge]({})", words.ack_url);
    }
    let title: String = words.title.chars().take(MOST_DISCORD_TITLE).collect();
    let mut embed = json!({
        "title": title,
        "description": body,
        "color": colour(notice),
        "timestamp": crate::base::time::stamp(notice.at),
    });
    if !words.url.is_empty() {
        embed["url"] = words.url.into();
    }
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
}
