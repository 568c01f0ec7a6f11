//! Channels, checked: what each is, whom it falls back to, how fast it may be sent to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::seams::outbound::{Host, Url};

/// All channels, by name.
#[derive(Debug, Default)]
pub struct Channels {
    by_name: BTreeMap<String, Arc<ChannelRules>>,
}

impl Channels {
    pub(super) fn insert(&mut self, rules: ChannelRules) {
        self.by_name.insert(rules.name.clone(), Arc::new(rules));
    }

    /// The channel `name`.
    pub fn named(&self, name: &str) -> Option<&Arc<ChannelRules>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ChannelRules>> {
        self.by_name.values()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// A channel.
#[derive(Debug)]
pub struct ChannelRules {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Who takes over what it refuses for good, in this order.
    pub fallback: Vec<String>,
    /// After how long a notice is only summed up.
    pub expiry: Duration,
    /// The same as long as its configuration is.
    pub definition: String,
}

/// Who mails come from and go to.
#[derive(Debug)]
pub struct Mail {
    /// From.
    pub from: String,
    /// To; empty where the secret says it.
    pub to: Vec<String>,
    /// Name of the secret that is the address.
    pub to_secret: String,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// TLS from the first byte.
    Implicit,
    /// TLS before anything is told.
    Starttls,
    /// In the clear, to a server on this machine alone.
    None,
}

/// What a channel is.
#[derive(Debug)]
#[expect(missing_docs, reason = "members are told in the raw form")]
pub enum Kind {
    /// Slack, by an incoming webhook.
    Slack { url_secret: String },
    /// Telegram, by a bot.
    Telegram {
        token_secret: String,
        chat_id_secret: String,
        message_thread_id: Option<i64>,
        buttons: bool,
        api_url: Url,
    },
    /// Mail by Resend.
    Resend {
        key_secret: String,
        mail: Mail,
        api_url: Url,
    },
    /// Mail by a mail server.
    Smtp {
        host: Option<Host>,
        host_secret: String,
        port: u16,
        safety: Safety,
        user_secret: String,
        password_secret: String,
        mail: Mail,
    },
    /// Discord, by a webhook.
    Discord { url_secret: String },
    /// A topic of ntfy.
    Ntfy {
        api_url: Url,
        topic_secret: String,
        token_secret: String,
    },
    /// `PagerDuty`, by its Events API v2.
    PagerDuty {
        routing_key_secret: String,
        api_url: Url,
    },
    /// Any program, by a signed call.
    Webhook {
        url: Option<Url>,
        url_secret: String,
        signing_secret: String,
    },
    /// The daemon's own log.
    Log,
}

/// How fast a channel may be sent to: so many at once, then one in each span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Notices that may go at once.
    pub burst: u32,
    /// Until one more may go.
    pub every: Duration,
}

impl Kind {
    /// One word, as in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Telegram { .. } => "telegram",
            Self::Resend { .. } => "resend",
            Self::Smtp { .. } => "smtp",
            Self::Discord { .. } => "discord",
            Self::Ntfy { .. } => "ntfy",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Webhook { .. } => "webhook",
            Self::Log => "log",
        }
    }

    /// How fast it may be sent to, by what each service documents; of those that say nothing, our
    /// own choice.
    pub const fn pace(&self) -> Pace {
        let (burst, every_ms) = match self {
            // Slack: one a second, short bursts are let through.
            Self::Slack { .. } | Self::Smtp { .. } => (5, 1_000),
            // 20 a minute in a group, one a second in a chat.
            Self::Telegram { .. } => (3, 3_000),
            // Two requests a second for a team, by the older of its pages.
            Self::Resend { .. } => (2, 500),
            // Five in two seconds, thirty a minute.
            Self::Discord { .. } => (5, 2_000),
            // 60 at once, one in five seconds.
            Self::Ntfy { .. } => (60, 5_000),
            // 120 a minute for an integration.
            Self::PagerDuty { .. } => (20, 500),
            Self::Webhook { .. } => (100, 50),
            Self::Log => (1_000, 1),
        };
        Pace {
            burst,
            every: Duration::from_millis(every_ms),
        }
    }
}
