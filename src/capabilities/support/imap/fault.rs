//! Why the mailbox could not be read: which server, at which step, what was found, what to do.

use std::time::Duration;

use super::wire::Overrun;
use crate::seams::outbound::OutboundError;

/// Characters of a server's own words that are shown (our own choice).
const MOST_SAID: usize = 160;

/// Why the mailbox could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MailFault {
    /// The server was not reached, or its certificate does not hold.
    #[error("{0}")]
    Unreached(OutboundError),
    /// It took too long.
    #[error("`{host}` took longer than {} s: {doing}", after.as_secs())]
    Late {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// The bound that was reached.
        after: Duration,
    },
    /// The time of the whole visit is over.
    #[error("`{host}` was too slow for a whole visit: {doing}")]
    TimeIsUp {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
    },
    /// The server hung up.
    #[error("`{host}` ended the connection: {doing}{}", quoted(said))]
    Ended {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// Its own words; empty where it said none.
        said: String,
    },
    /// Something else than IMAP came.
    #[error("`{host}` answered {found}: {doing}")]
    Strange {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// What was found.
        found: String,
    },
    /// More came than is taken.
    #[error("`{host}` {overrun}: {doing}")]
    TooMuch {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// What was too much.
        overrun: Overrun,
    },
    /// The server said no.
    #[error("`{host}` refused: {doing}{}", quoted(said))]
    Refused {
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// Its own words.
        said: String,
    },
    /// The server does not let us in.
    #[error("`{host}` refuses the sign-in by {method}{}", quoted(said))]
    SignIn {
        /// The server.
        host: String,
        /// `password` or `XOAUTH2`.
        method: &'static str,
        /// Its own words.
        said: String,
    },
    /// The server would have us speak in plaintext.
    #[error("`{host}` offers no TLS, and a mailbox is never opened without")]
    Plaintext {
        /// The server.
        host: String,
    },
    /// The server takes no password.
    #[error("`{host}` takes no password")]
    NoPassword {
        /// The server.
        host: String,
    },
    /// No token was given out.
    #[error("no token from `{host}`: {found}")]
    Token {
        /// Who gives out tokens.
        host: String,
        /// What was found.
        found: String,
        /// Whether the answer was a plain no, which trying again does not change.
        is_refused: bool,
    },
    /// What is configured or given does not do.
    #[error("{found}")]
    Setting {
        /// What is wrong.
        found: String,
        /// The cure.
        hint: String,
    },
    /// The reader of the protocol panicked.
    #[error("reading the answers of `{host}` failed by a fault of echopilot's own")]
    Panicked {
        /// The server.
        host: String,
    },
    /// What was read could not be kept.
    #[error("what was read could not be kept: {0}")]
    Storage(#[from] crate::storage::engine::StorageError),
}

impl MailFault {
    /// The cure; may be empty.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreached(error) => error.hint(),
            Self::Late { .. } | Self::TimeIsUp { .. } => {
                "see how the mail server is; what was read so far is kept".into()
            }
            Self::Ended { said, .. } if said.is_empty() => {
                "see the mail server's log; `security` must be the one of the port".into()
            }
            Self::Ended { .. } | Self::Refused { .. } => {
                "see the mail server's log, and `mailboxes` in `configs/support.json`".into()
            }
            Self::Strange { .. } => "see whether the port speaks IMAP".into(),
            Self::TooMuch { .. } => "no mail server sends that: is it the right one?".into(),
            Self::SignIn { method, .. } if *method == "XOAUTH2" => {
                "see `oauth` in `configs/support.json`, and whether the user may use IMAP".into()
            }
            Self::SignIn { .. } => {
                "see IMAP_USER and IMAP_PASS; it may take app passwords or `oauth` only".into()
            }
            Self::Plaintext { .. } => "write \"security\": \"tls\" where it has port 993".into(),
            Self::NoPassword { .. } => {
                "sign in by a token: `oauth` in `configs/support.json`".into()
            }
            Self::Token {
                is_refused: true, ..
            } => "give a new refresh token or client secret: the old one may be revoked".into(),
            Self::Token { .. } => "see whether the token address is right and answers".into(),
            Self::Setting { hint, .. } => hint.clone(),
            Self::Panicked { .. } => "please report this".into(),
            Self::Storage(_) => String::new(),
        }
    }

    /// In one line, with the cure.
    pub fn told(&self) -> String {
        match self.hint() {
            hint if hint.is_empty() => self.to_string(),
            hint => format!("{self}; hint: {hint}"),
        }
    }

    /// One word, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreached(error) => error.kind(),
            Self::Late { .. } | Self::TimeIsUp { .. } => "deadline",
            Self::Ended { .. } => "ended",
            Self::Strange { .. } => "not_imap",
            Self::TooMuch { .. } => "too_much",
            Self::Refused { .. } => "refused",
            Self::SignIn { .. } | Self::NoPassword { .. } => "sign_in",
            Self::Plaintext { .. } => "plaintext",
            Self::Token { .. } => "token",
            Self::Setting { .. } => "setting",
            Self::Panicked { .. } => "panicked",
            Self::Storage(_) => "storage",
        }
    }

    /// Whether trying again soon makes it worse: the server or the giver of tokens said no.
    pub fn is_sign_in(&self) -> bool {
        matches!(
            self,
            Self::SignIn { .. }
                | Self::NoPassword { .. }
                | Self::Token {
                    is_refused: true,
                    ..
                }
        )
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() {
        return String::new();
    }
    format!(", saying \"{said}\"")
}

/// A server's own words, short and without what a terminal would obey.
pub fn said(text: &str) -> String {
    let mut said: String = text.trim().chars().take(MOST_SAID).collect();
    said.retain(|letter| !letter.is_control());
    said.replace('"', "'")
}
