//! How the mailbox is reached right now: settings and secrets put together at each visit.

use std::sync::Arc;

use super::config::SupportRules;
use super::imap::config::{Connection, Oauth};
use super::imap::fault::MailFault;
use super::imap::oauth;
use crate::base::secret::Secret;
use crate::platform::secrets::Secrets;
use crate::seams::outbound::{Allow, Target};

/// Secret that names the server, as `host` or `host:port`.
const HOST: &str = "IMAP_HOST";
/// Secret that names who signs in.
const USER: &str = "IMAP_USER";

/// The way in.
pub(super) enum Way {
    /// By a password.
    Password(Arc<Secret>),
    /// By a token, which is asked for.
    Token(Oauth),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "password",
            Self::Token(_) => "token",
        })
    }
}

/// The mailbox and the way to it.
#[derive(Debug)]
pub(super) struct Reach {
    /// The server.
    pub target: Target,
    /// What may be reached, the server included where a secret names it.
    pub allow: Allow,
    /// Who signs in.
    pub user: String,
    /// How.
    pub way: Way,
}

/// What is there of the way to the mailbox.
#[derive(Debug)]
pub(super) enum Found {
    /// All of it.
    Whole(Box<Reach>),
    /// Something is missing, such as `no IMAP_HOST`: a dry run.
    Missing(String),
}

/// Puts settings and secrets together.
pub(super) fn find(
    rules: &SupportRules,
    secrets: &Secrets,
    allow: &Allow,
) -> Result<Found, MailFault> {
    let connection = &rules.connection;
    let missing = |name: &str| Ok(Found::Missing(format!("no {name}")));
    let named = look_up(secrets, HOST)?;
    let (target, allow) = match (&named, &connection.host) {
        (Some(text), _) => {
            let target = connection.target_of(text.reveal()).map_err(setting)?;
            let allow = allow.and(&target);
            (target, allow)
        }
        (None, Some(host)) => {
            let target = Target {
                host: host.clone(),
                port: connection.default_port(),
            };
            (target, allow.clone())
        }
        (None, None) => return missing(HOST),
    };
    let Some(user) = user(connection, secrets)? else {
        return missing(USER);
    };
    let way = if let Some(oauth) = &connection.oauth {
        if let Some(name) = oauth::missing(oauth, secrets)? {
            return missing(&name);
        }
        Way::Token(oauth.clone())
    } else {
        match look_up(secrets, &connection.password_secret)? {
            Some(password) => Way::Password(password),
            None => return missing(&connection.password_secret),
        }
    };
    Ok(Found::Whole(Box::new(Reach {
        target,
        allow,
        user,
        way,
    })))
}

fn user(connection: &Connection, secrets: &Secrets) -> Result<Option<String>, MailFault> {
    let Some(user) = look_up(secrets, USER)? else {
        return Ok(connection.user.clone());
    };
    let user = user.reveal().trim();
    if user.is_empty() || user.chars().any(char::is_control) {
        return Err(setting(format!(
            "`{USER}` is empty or has control characters"
        )));
    }
    Ok(Some(user.to_owned()))
}

fn look_up(secrets: &Secrets, name: &str) -> Result<Option<Arc<Secret>>, MailFault> {
    secrets
        .find(name)
        .map_err(|fault| setting(fault.to_string()))
}

fn setting(found: impl Into<String>) -> MailFault {
    MailFault::Setting {
        found: found.into(),
        hint: "see docs/support.md".into(),
    }
}
