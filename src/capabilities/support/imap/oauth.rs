//! Tokens for signing in: asked for by HTTP, kept in memory, renewed five minutes before they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::config::{Flow, Oauth};
use super::fault::MailFault;
use crate::base::hex;
use crate::base::secret::Secret;
use crate::platform::secrets::Secrets;
use crate::seams::clock::Clock;
use crate::seams::outbound::{Allow, Limits, Outbound, Request};

/// How long before its end a token is renewed: 5 minutes, `ops.md` §4.3.
const EARLY: Duration = Duration::from_mins(5);
/// Seconds that a token is held at most: a day (our own choice; both givers say an hour).
const LONGEST_SECS: u64 = 86_400;
/// Bytes of a token at most (our own choice; Microsoft's have up to 4 KiB).
const MOST_TOKEN: usize = 16 << 10;

/// The token in force.
#[derive(Default)]
pub struct Tokens {
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Arc<Secret>,
    /// What it was given for: another setting or secret asks anew.
    asked: Zeroizing<String>,
    /// Until when it is used, by the clock's uptime.
    until: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// What a giver of tokens answers.
#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// What it answers where it gives none (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// By which doors tokens are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Doors<'a> {
    /// Other machines.
    pub outbound: &'a dyn Outbound,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// What may be reached.
    pub allow: &'a Allow,
    /// How long it may take.
    pub limits: Limits,
}

impl Tokens {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the token: the mail server refused it.
    pub fn forget(&self) {
        *self.held() = None;
    }

    /// A token that holds for some minutes at least.
    pub async fn token(
        &self,
        doors: Doors<'_>,
        oauth: &Oauth,
        secrets: &Secrets,
    ) -> Result<Arc<Secret>, MailFault> {
        let asked = asked(oauth, secrets)?;
        let now = doors.clock.uptime();
        if let Some(held) = &*self.held()
            && held.until > now
            && held.asked == asked
        {
            return Ok(Arc::clone(&held.token));
        }
        let given = given(doors, oauth, &asked).await?;
        let token = Arc::new(Secret::new(given.access_token));
        // As long as a giver may say: reckoned with, more would overflow.
        let secs = given.expires_in.unwrap_or_default().min(LONGEST_SECS);
        let lasts = Duration::from_secs(secs);
        *self.held() = Some(Held {
            token: Arc::clone(&token),
            asked,
            until: now + lasts.saturating_sub(EARLY),
        });
        Ok(token)
    }
}

/// The secrets that a token needs and that are not there.
pub fn missing(oauth: &Oauth, secrets: &Secrets) -> Result<Option<String>, MailFault> {
    let name = match oauth.flow {
        Flow::Refresh => &oauth.refresh_token,
        Flow::ClientCredentials => &oauth.client_secret,
    };
    Ok(find(secrets, name)?.is_none().then(|| name.clone()))
}

fn find(secrets: &Secrets, name: &str) -> Result<Option<Arc<Secret>>, MailFault> {
    secrets.find(name).map_err(|fault| MailFault::Setting {
        found: fault.to_string(),
        hint: String::new(),
    })
}

/// The body of the request.
fn asked(oauth: &Oauth, secrets: &Secrets) -> Result<Zeroizing<String>, MailFault> {
    let mut form = Zeroizing::new(String::new());
    let mut add = |name: &str, value: &str| {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    form.push(char::from(byte));
                }
                _ => {
                    form.push('%');
                    form.push_str(&hex::of(&[byte]).to_ascii_uppercase());
                }
            }
        }
    };
    add("client_id", &oauth.client_id);
    if let Some(secret) = find(secrets, &oauth.client_secret)? {
        add("client_secret", secret.reveal());
    }
    match oauth.flow {
        Flow::ClientCredentials => add("grant_type", "client_credentials"),
        Flow::Refresh => {
            add("grant_type", "refresh_token");
            if let Some(token) = find(secrets, &oauth.refresh_token)? {
                add("refresh_token", token.reveal());
            }
        }
    }
    if !oauth.scope.is_empty() {
        add("scope", &oauth.scope);
    }
    Ok(form)
}

async fn given(doors: Doors<'_>, oauth: &Oauth, asked: &str) -> Result<Given, MailFault> {
    let host = oauth.token_url.target().to_string();
    let mut request = Request::new(Method::POST, oauth.token_url.clone());
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let json = HeaderValue::from_static("application/json");
    request.headers.insert(http::header::CONTENT_TYPE, form);
    request.headers.insert(http::header::ACCEPT, json);
    request.body = Bytes::copy_from_slice(asked.as_bytes());
    request.limits = doors.limits;
    let answer = doors.outbound.http(doors.allow, &request).await;
    let answer = answer.map_err(MailFault::Unreached)?;
    let fault = |found: String, is_refused| MailFault::Token {
        host,
        found,
        is_refused,
    };
    if answer.status != 200 {
        let denied = serde_json::from_slice::<Denied>(&answer.body);
        // The code alone: descriptions name users.
        let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let code = denied.map(|denied| denied.error).unwrap_or_default();
        let code: String = code
            .chars()
            .filter(|letter| word(*letter))
            .take(40)
            .collect();
        let found = match code.as_str() {
            "" => format!("it answered {}", answer.status),
            code => format!("it answered {} `{code}`", answer.status),
        };
        // A busy or broken giver is no refusal.
        let is_refused = matches!(answer.status, 400 | 401 | 403);
        return Err(fault(found, is_refused));
    }
    match serde_json::from_slice::<Given>(&answer.body) {
        Ok(given) if is_token(&given.access_token) => Ok(given),
        _ => Err(fault("its answer holds no `access_token`".into(), false)),
    }
}

/// Whether `text` can be a token: it goes into a line of a protocol.
fn is_token(text: &str) -> bool {
    (1..=MOST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
