//! Telegram: one message by a bot, with a button to acknowledge. The bot's token is part of the
//! address, so that no address of this channel is told anywhere.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::outcome::{self, Found, Outcome};
use super::rules::Kind;
use super::text::{Words, calm};
use super::{Keys, Post, Sender, Step, under};
use crate::base::hex;
use crate::capabilities::alerts::model::{Notice, Reason};
use crate::seams::outbound::{Response, Url};

/// UTF-16 units of a message at most are 4,096 once its marks are taken away.
const MOST_TEXT: usize = 4_000;

/// How long Telegram keeps a question for updates open.
const LISTEN: Duration = Duration::from_secs(25);
/// How much later its answer may be there.
const SLACK: Duration = Duration::from_secs(10);

/// What the button of `group` says to us when it is pressed: at most 64 bytes.
pub fn button(group: &str) -> String {
    let digest = Sha256::digest(group.as_bytes());
    format!("ack:{}", hex::of(digest.get(..12).unwrap_or_default()))
}

impl Sender {
    /// Tells a Telegram chat.
    pub(super) async fn telegram(
        &self,
        kind: &Kind,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::Telegram {
            token_secret,
            chat_id_secret,
            message_thread_id,
            buttons,
            api_url,
        } = kind
        else {
            return Ok(Outcome::refused("not a Telegram channel", ""));
        };
        let token = keys.need(token_secret)?;
        let chat = keys.need(chat_id_secret)?;
        let given = chat.reveal().trim();
        let path = format!("/bot{}/sendMessage", token.reveal().trim());
        let url = under(api_url, &path)?;
        let mut body = message(notice, *buttons);
        if let Some(thread) = message_thread_id {
            body["message_thread_id"] = (*thread).into();
        }
        body["chat_id"] = self.chat_of(given).into();
        let mut answer = self.post(Post::json(url.clone(), &body)).await?;
        // A group that became a supergroup has another number from then on.
        if let Some(moved) = moved_to(&answer) {
            body["chat_id"] = moved.as_str().into();
            self.chat_moved(given, moved);
            answer = self.post(Post::json(url, &body)).await?;
        }
        if !(200..300).contains(&answer.status) {
            let told = outcome::told(&answer.body);
            return Err(match answer.status {
                401 | 404 => Outcome::refused(
                    format!("answered {}: {told}", answer.status),
                    format!("{token_secret} is no token of a bot that exists"),
                ),
                _ => outcome::of_answer(&answer, &told, self.now()),
            });
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reference = body["result"]["message_id"].as_i64();
        let reference = reference.map(|id| id.to_string()).unwrap_or_default();
        Ok(Outcome::Sent { reference })
    }
}

/// A button that somebody has pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pressed {
    /// Number of the update it came in.
    pub update: i64,
    /// What Telegram calls the press.
    pub id: String,
    /// What the button says to us.
    pub data: String,
    /// Who pressed it, as that person is called there.
    pub by: String,
    /// The chat it hangs in, by number and by name.
    pub chat: (String, String),
}

impl Sender {
    /// Waits for buttons to be pressed, those after update number `after`, at most for half a
    /// minute. `None` where the bot's token is not given.
    pub async fn pressed(
        &self,
        token_secret: &str,
        api_url: &Url,
        after: i64,
    ) -> Option<Result<Vec<Pressed>, Found>> {
        let asked = json!({
            "offset": after + 1,
            "timeout": LISTEN.as_secs(),
            "allowed_updates": ["callback_query"],
        });
        let body = self
            .asked(token_secret, api_url, ("getUpdates", &asked))
            .await?;
        let all = |body: Value| {
            let updates = body["result"].as_array().cloned().unwrap_or_default();
            updates.iter().filter_map(pressed).collect()
        };
        Some(body.map(all))
    }

    /// Tells who pressed a button what came of it.
    pub async fn answer_press(&self, token_secret: &str, api_url: &Url, id: &str, text: &str) {
        let body = json!({ "callback_query_id": id, "text": text });
        let call = ("answerCallbackQuery", &body);
        // It is a courtesy: the press itself has been dealt with.
        drop(self.asked(token_secret, api_url, call).await);
    }

    /// Whether a message in `chat` is one of the chat that the secret names.
    pub fn is_chat(&self, chat_id_secret: &str, chat: &(String, String)) -> bool {
        let found = self.secrets.find(chat_id_secret).ok().flatten();
        found.is_some_and(|given| {
            let given = given.reveal().trim();
            let name = given.trim_start_matches('@');
            let is_named = !name.is_empty() && name == chat.1;
            given == chat.0 || is_named || self.chat_of(given) == chat.0
        })
    }

    async fn asked(
        &self,
        token_secret: &str,
        api_url: &Url,
        (method, body): (&str, &Value),
    ) -> Option<Result<Value, Found>> {
        let mut keys = Keys {
            secrets: &self.secrets,
            used: Vec::new(),
        };
        let asking = async {
            let token = keys.need(token_secret)?;
            let path = format!("/bot{}/{method}", token.reveal().trim());
            let post = Post::json(under(api_url, &path)?, body);
            let answer = self.posted_within(post, LISTEN + SLACK).await?;
            Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
        };
        let asked: Step<Value> = asking.await;
        match asked {
            Ok(body) => Some(Ok(body)),
            Err(Outcome::Again { mut found, .. } | Outcome::Final { mut found, .. }) => {
                found.text = keys.scrubbed(&found.text);
                Some(Err(found))
            }
            Err(Outcome::DryRun { .. } | Outcome::Sent { .. }) => None,
        }
    }
}

fn pressed(update: &Value) -> Option<Pressed> {
    let query = &update["callback_query"];
    let who = &query["from"];
    let name = who["username"].as_str().or(who["first_name"].as_str());
    let chat = &query["message"]["chat"];
    Some(Pressed {
        update: update["update_id"].as_i64()?,
        id: query["id"].as_str().unwrap_or_default().to_owned(),
        data: query["data"].as_str().unwrap_or_default().to_owned(),
        by: calm(name.unwrap_or("somebody")).chars().take(64).collect(),
        chat: (
            chat["id"].as_i64().map(|id| id.to_string())?,
            chat["username"].as_str().unwrap_or_default().to_owned(),
        ),
    })
}

/// Where the chat is now, if the answer says that it has moved.
fn moved_to(answer: &Response) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let moved = body.pointer("/parameters/migrate_to_chat_id")?.as_i64()?;
    (answer.status == 400).then(|| moved.to_string())
}

/// `text` as HTML leaves it alone.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The message, without the chat it goes to.
fn message(notice: &Notice, buttons: bool) -> Value {
    let words = Words::of(notice, MOST_TEXT);
    // The first line stands bare: programs that read the chat look for it.
    let mut text = escaped(&words.title);
    let body = escaped(&words.body("• "));
    if !body.is_empty() {
        text = format!("{text}\n{body}");
    }
    let mut message = json!({
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
    });
    if !notice.is_firing() {
        message["disable_notification"] = true.into();
    } else if buttons && notice.reason != Reason::Test {
        let button = match words.ack_url.as_str() {
            "" => json!({ "text": "Acknowledge", "callback_data": button(&notice.group) }),
            url => json!({ "text": "Acknowledge", "url": url }),
        };
        message["reply_markup"] = json!({ "inline_keyboard": [[button]] });
    }
    message
}
