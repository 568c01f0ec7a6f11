//! Channels: how a notice is told to Slack, Telegram, by mail and so on. Each knows one form and
//! what its answers mean. Keeps nothing but where a Telegram chat has moved to; whether and when
//! something is sent is the outbox's affair.
//!
//! Secrets are looked up at each use. Neither they nor what they name are in any text that leaves
//! here: whatever an answer says is cleaned of them first.

pub mod config;
pub mod outcome;
pub mod rules;
pub mod text;

mod chat;
mod mail;
mod pages;
mod raw;
mod smtp;
mod telegram;
mod webhook;

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use self::outcome::{Fault, Outcome};
use self::rules::{ChannelRules, Kind};
pub use self::telegram::{Pressed, button};
use super::model::Notice;
use crate::base::secret::Secret;
use crate::platform::config::{DaemonRules, Live};
use crate::platform::secrets::Secrets;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::outbound::{Allow, Limits, Outbound, Request, Response, Url};

/// How long a call may take: what Standard Webhooks asks for at least.
const CALL: Duration = Duration::from_secs(15);
/// Characters of a secret from which on it is looked for in texts: shorter ones are words.
const LEAST_SECRET: usize = 6;

/// The doors that a sender goes through.
#[derive(Debug, Clone)]
pub struct Doors {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Other machines.
    pub outbound: Arc<dyn Outbound>,
    /// What may be reached.
    pub daemon: Live<DaemonRules>,
    /// Tokens, addresses, passwords.
    pub secrets: Secrets,
}

impl Doors {
    /// Those of `wiring`.
    pub fn of(wiring: &Wiring) -> Self {
        Self {
            clock: Arc::clone(&wiring.clock),
            outbound: Arc::clone(&wiring.seams.outbound),
            daemon: wiring.daemon.clone(),
            secrets: wiring.seams.secrets.clone(),
        }
    }
}

/// What a channel needs to be told something.
pub struct Sender {
    clock: Arc<dyn Clock>,
    outbound: Arc<dyn Outbound>,
    daemon: Live<DaemonRules>,
    secrets: Secrets,
    /// Where Telegram chats have moved to.
    moved: Mutex<HashMap<String, String>>,
}

impl Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// A step of a try: what it gives, or what came of the whole.
type Step<T> = Result<T, Outcome>;

/// A call over HTTP.
struct Post {
    url: Url,
    /// Whether a secret names the address, so that no rule is needed for it.
    is_named: bool,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    fn json(url: Url, body: &serde_json::Value) -> Self {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        Self {
            url,
            is_named: false,
            headers,
            body: Bytes::from(body.to_string()),
        }
    }

    fn named(mut self) -> Self {
        self.is_named = true;
        self
    }

    fn bearer(mut self, key: &Secret) -> Step<Self> {
        let value = HeaderValue::try_from(format!("Bearer {}", key.reveal().trim()));
        let mut value = value.map_err(|_odd| {
            let hint = "give it again, on one line, as the service shows it";
            Outcome::ours("its key has characters that no key has", hint)
        })?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }
}

/// The secrets of one try: looked up, and kept out of every text.
struct Keys<'a> {
    secrets: &'a Secrets,
    used: Vec<Arc<Secret>>,
}

impl Keys<'_> {
    /// The secret `name`, if it was given.
    fn may(&mut self, name: &str) -> Step<Option<Arc<Secret>>> {
        let found = self.secrets.find(name);
        let found = found.map_err(|fault| Outcome::ours(fault.to_string(), ""))?;
        if let Some(found) = &found {
            self.used.push(Arc::clone(found));
        }
        Ok(found.filter(|secret| !secret.reveal().trim().is_empty()))
    }

    /// The secret `name`; without it this is a dry run.
    fn need(&mut self, name: &str) -> Step<Arc<Secret>> {
        let missing = || Outcome::DryRun {
            missing: name.to_owned(),
        };
        self.may(name)?.ok_or_else(missing)
    }

    /// The address that the secret `name` is.
    fn url(&mut self, name: &str) -> Step<Url> {
        let secret = self.need(name)?;
        let unfit = |_fault| {
            let text = format!("{name} is no address");
            Outcome::ours(
                text,
                "it must begin with `https://`, as the service gave it",
            )
        };
        Url::parse(secret.reveal().trim()).map_err(unfit)
    }

    /// `text` without any of the secrets, whole or, where one is an address, its path.
    fn scrubbed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.used {
            let secret = secret.reveal().trim();
            let path = Url::parse(secret).map(|url| url.request_target());
            let parts = [Some(secret.to_owned()), path.ok()];
            // Mail servers name one recipient of several.
            let addresses = secret.split([',', '<', '>']).map(str::trim);
            let addresses = addresses.filter(|one| one.contains('@'));
            let addresses = addresses.map(str::to_owned);
            for part in parts.into_iter().flatten().chain(addresses) {
                if part.len() >= LEAST_SECRET {
                    text = text.replace(&part, "***");
                }
            }
        }
        text
    }
}

impl Sender {
    /// A sender by these doors.
    pub fn new(doors: Doors) -> Self {
        Self {
            clock: doors.clock,
            outbound: doors.outbound,
            daemon: doors.daemon,
            secrets: doors.secrets,
            moved: Mutex::default(),
        }
    }

    /// Tells `notice` to a channel, once.
    pub async fn send(&self, rules: &ChannelRules, notice: &Notice) -> Outcome {
        let mut keys = Keys {
            secrets: &self.secrets,
            used: Vec::new(),
        };
        let sent = match &rules.kind {
            Kind::Slack { url_secret } => self.slack(url_secret, notice, &mut keys).await,
            Kind::Discord { url_secret } => self.discord(url_secret, notice, &mut keys).await,
            Kind::Telegram { .. } => self.telegram(&rules.kind, notice, &mut keys).await,
            Kind::Resend { .. } => self.resend(&rules.kind, notice, &mut keys).await,
            Kind::Smtp { .. } => self.smtp(&rules.kind, notice, &mut keys).await,
            Kind::Ntfy { .. } => self.ntfy(&rules.kind, notice, &mut keys).await,
            Kind::PagerDuty { .. } => self.pagerduty(&rules.kind, notice, &mut keys).await,
            Kind::Webhook { .. } => self.webhook(rules, notice, &mut keys).await,
            Kind::Log => Ok(pages::log(notice)),
        };
        let mut outcome = sent.unwrap_or_else(|outcome| outcome);
        if let Outcome::Again { found, .. } | Outcome::Final { found, .. } = &mut outcome {
            found.text = keys.scrubbed(&found.text);
            found.hint = keys.scrubbed(&found.hint);
        }
        outcome
    }

    /// The secret without which nothing is sent to a channel; `None` where nothing is missing.
    pub fn missing(&self, rules: &ChannelRules) -> Option<String> {
        let to = |mail: &rules::Mail| mail.to.is_empty().then(|| mail.to_secret.clone());
        let needed: Vec<String> = match &rules.kind {
            Kind::Slack { url_secret } | Kind::Discord { url_secret } => vec![url_secret.clone()],
            Kind::Telegram {
                token_secret,
                chat_id_secret,
                ..
            } => vec![token_secret.clone(), chat_id_secret.clone()],
            Kind::Resend {
                key_secret, mail, ..
            } => std::iter::once(key_secret.clone())
                .chain(to(mail))
                .collect(),
            Kind::Smtp {
                host,
                host_secret,
                mail,
                ..
            } => {
                let host = host.is_none().then(|| host_secret.clone());
                host.into_iter().chain(to(mail)).collect()
            }
            Kind::Ntfy { topic_secret, .. } => vec![topic_secret.clone()],
            Kind::PagerDuty {
                routing_key_secret, ..
            } => vec![routing_key_secret.clone()],
            Kind::Webhook {
                url,
                url_secret,
                signing_secret,
            } => {
                let url = url.is_none().then(|| url_secret.clone());
                url.into_iter().chain([signing_secret.clone()]).collect()
            }
            Kind::Log => Vec::new(),
        };
        let absent = |name: &String| {
            let found = self.secrets.find(name);
            found.is_ok_and(|found| found.is_none_or(|text| text.reveal().trim().is_empty()))
        };
        needed.into_iter().find(absent)
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The rules for what may be reached, and `url` where a secret names it.
    fn allow(&self, url: &Url, is_named: bool) -> Arc<Allow> {
        let allow = Arc::clone(&self.daemon.get().rules.outbound);
        if is_named {
            return Arc::new(allow.and(url.target()));
        }
        allow
    }

    /// Makes a call and gives the answer, whatever it is.
    async fn post(&self, post: Post) -> Step<Response> {
        self.post_within(post, CALL).await
    }

    async fn post_within(&self, post: Post, span: Duration) -> Step<Response> {
        let mut request = Request::new(Method::POST, post.url);
        request.limits = Limits::of(span);
        request.headers = post.headers;
        request.body = post.body;
        let allow = self.allow(&request.url, post.is_named);
        let answer = self.outbound.http(&allow, &request).await;
        answer.map_err(|error| unreached(&error))
    }

    /// Makes a call and gives the answer if it is a success.
    async fn posted(&self, post: Post) -> Step<Response> {
        self.posted_within(post, CALL).await
    }

    async fn posted_within(&self, post: Post, span: Duration) -> Step<Response> {
        let answer = self.post_within(post, span).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let told = outcome::told(&answer.body);
        Err(outcome::of_answer(&answer, &told, self.now()))
    }

    fn chat_of(&self, chat: &str) -> String {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.get(chat).cloned().unwrap_or_else(|| chat.to_owned())
    }

    fn chat_moved(&self, from: &str, to: String) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.insert(from.to_owned(), to);
    }
}

/// Nobody was reached: later somebody may be.
fn unreached(error: &crate::seams::outbound::OutboundError) -> Outcome {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Outcome::Again {
        found: outcome::Found::new(text, error.hint()),
        after: None,
        fault: if error.is_ours() {
            Fault::Ours
        } else {
            Fault::Channel
        },
    }
}

/// `base` with `path` behind it.
fn under(base: &Url, path: &str) -> Step<Url> {
    let text = format!("{}{path}", base.to_string().trim_end_matches('/'));
    // The path may be a secret: what is odd about it is not told.
    let unfit = |_fault| Outcome::ours("its secret has characters that no such secret has", "");
    Url::parse(&text).map_err(unfit)
}
