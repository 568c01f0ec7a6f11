//! Signing in: by a password or by a token, only ever over TLS.

use std::sync::Arc;

use async_imap::imap_proto::Response;
use openssl::base64::{decode_block, encode_block};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::fault::{MailFault, said};
use super::session::{Command, MOST_WORDS, Session};
use crate::base::secret::Secret;

/// Who signs in, and by what.
#[derive(Clone)]
pub enum SignIn {
    /// By a password.
    Password(String, Arc<Secret>),
    /// By a token, as Google and Microsoft have it.
    Token(String, Arc<Secret>),
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.method())
    }
}

impl SignIn {
    const fn method(&self) -> &'static str {
        match self {
            Self::Password(..) => "password",
            Self::Token(..) => "XOAUTH2",
        }
    }

    /// Signs in.
    pub(super) async fn with(&self, session: &mut Session) -> Result<(), MailFault> {
        match self {
            Self::Password(user, password) => {
                if session.can("LOGINDISABLED") {
                    let host = session.host();
                    return Err(MailFault::NoPassword { host });
                }
                if session.can("AUTH=PLAIN") {
                    let words = format!("\0{user}\0{}", password.reveal());
                    self.authenticate(session, "PLAIN", Zeroizing::new(words))
                        .await
                } else {
                    self.login(session, user, password).await
                }
            }
            Self::Token(user, token) => {
                let words = format!("user={user}\x01auth=Bearer {}\x01\x01", token.reveal());
                self.authenticate(session, "XOAUTH2", Zeroizing::new(words))
                    .await
            }
        }
    }

    async fn authenticate(
        &self,
        session: &mut Session,
        mechanism: &str,
        words: Zeroizing<String>,
    ) -> Result<(), MailFault> {
        let words = Zeroizing::new(encode_block(words.as_bytes()));
        // Without SASL-IR (RFC 4959) the server asks for the first words.
        let at_once = session.can("SASL-IR");
        let text = Zeroizing::new(if at_once {
            format!("AUTHENTICATE {mechanism} {}", words.as_str())
        } else {
            format!("AUTHENTICATE {mechanism}")
        });
        let mut waiting = (!at_once).then_some(words);
        let mut challenge = String::new();
        let mut more = |asked: &str| {
            let words = waiting.take();
            if words.is_none() {
                challenge = why(asked);
            }
            // What is asked after our words is the reason of a no; an empty line hears it out.
            Some(words.map_or_else(String::new, |words| words.to_string()))
        };
        let command = Command {
            doing: "signing in",
            text: &text,
            most: MOST_WORDS,
        };
        let mut each = |_: &Response<'_>| {};
        let ending = session.talk(command, &mut each, &mut more).await?;
        if ending.is_ok {
            return Ok(());
        }
        let mut words = ending.said;
        if !challenge.is_empty() {
            words = said(&format!("{words} ({challenge})"));
        }
        Err(self.refused(session, words))
    }

    async fn login(
        &self,
        session: &mut Session,
        user: &str,
        password: &Secret,
    ) -> Result<(), MailFault> {
        let (Some(user), Some(password)) = (quoted(user), quoted(password.reveal())) else {
            return Err(MailFault::Setting {
                found: "the mail server takes only plain letters in user and password".into(),
                hint: "change the password to letters, digits and signs of ASCII".into(),
            });
        };
        let text = Zeroizing::new(format!("LOGIN {} {}", user.as_str(), password.as_str()));
        let command = Command {
            doing: "signing in",
            text: &text,
            most: MOST_WORDS,
        };
        let ending = session.talk(command, &mut |_| {}, &mut |_| None).await?;
        if ending.is_ok {
            return Ok(());
        }
        Err(self.refused(session, ending.said))
    }

    fn refused(&self, session: &Session, said: String) -> MailFault {
        MailFault::SignIn {
            host: session.host(),
            method: self.method(),
            said,
        }
    }
}

/// The reason in a challenge, which is JSON in base64: `{"status":"401","schemes":"bearer",…}`.
fn why(asked: &str) -> String {
    #[derive(Deserialize)]
    struct Reason {
        #[serde(default)]
        status: String,
        #[serde(default)]
        scope: String,
    }
    let decoded = decode_block(asked.trim()).unwrap_or_default();
    match serde_json::from_slice::<Reason>(&decoded) {
        Ok(reason) if reason.scope.is_empty() => format!("status {}", reason.status),
        Ok(reason) => format!("status {}, scope {}", reason.status, reason.scope),
        Err(_) => String::new(),
    }
}

/// `text` as a quoted string of IMAP; `None` where it cannot be one.
pub(super) fn quoted(text: &str) -> Option<Zeroizing<String>> {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_plain.then(|| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        Zeroizing::new(format!("\"{escaped}\""))
    })
}
