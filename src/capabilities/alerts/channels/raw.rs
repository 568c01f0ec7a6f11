//! Channels as they are written in `configs/alerts.json`, with what holds where nothing is said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Port of mail submission, RFC 6409.
const SUBMISSION: u16 = 587;

/// A channel: exactly one of its kinds, with what is common to all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelConfig {
    /// A Slack channel, by an incoming webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slack: Option<RawSlack>,
    /// A Telegram chat, by a bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) telegram: Option<RawTelegram>,
    /// Mail by Resend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resend: Option<RawResend>,
    /// Mail by a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smtp: Option<RawSmtp>,
    /// A Discord channel, by a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) discord: Option<RawDiscord>,
    /// A topic of ntfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ntfy: Option<RawNtfy>,
    /// A service of `PagerDuty`, by its Events API v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pagerduty: Option<RawPagerDuty>,
    /// Any program of yours, by a signed call (Standard Webhooks 1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook: Option<RawWebhook>,
    /// The daemon's own log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<RawLog>,
    /// Names of other channels, such as `["mail"]`, that take over in this order what this one
    /// refuses for good. Default: none.
    pub(super) fallback: Vec<String>,
    /// A notice that could not be delivered for so long is only summed up. In seconds, 60 to
    /// 604800. Default 21600, 6 h.
    #[schemars(range(min = 60, max = 604_800))]
    pub(super) expiry_secs: Option<u32>,
}

/// Slack.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSlack {
    /// Name of the secret that is the webhook's address. Default `SLACK_WEBHOOK_URL`.
    pub(super) url_secret: String,
}

/// Telegram.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTelegram {
    /// Name of the secret that is the bot's token. Default `TELEGRAM_BOT_TOKEN`.
    pub(super) token_secret: String,
    /// Name of the secret that is the chat's number or `@name`. Default `TELEGRAM_CHAT_ID`.
    pub(super) chat_id_secret: String,
    /// Topic of the chat. Default: none.
    pub(super) message_thread_id: Option<i64>,
    /// Whether messages have a button to acknowledge. Default true.
    pub(super) buttons: bool,
    /// Where the bot API is. Default `https://api.telegram.org`.
    pub(super) api_url: String,
}

/// Resend.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawResend {
    /// Name of the secret that is the API key. Default `RESEND_API_KEY`.
    pub(super) key_secret: String,
    /// Who mails come from. Default `EchoPilot <onboarding@resend.dev>`, which reaches only the
    /// owner of the Resend account.
    pub(super) from: String,
    /// Whom mails go to. Default: whom `to_secret` names.
    pub(super) to: Vec<String>,
    /// Name of the secret that is the address mails go to. Default `RECEIVING_EMAIL`.
    pub(super) to_secret: String,
    /// Where the API is. Default `https://api.resend.com`.
    pub(super) api_url: String,
}

/// A mail server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSmtp {
    /// The server. Default: the one that `host_secret` names.
    pub(super) host: Option<String>,
    /// Name of the secret that is the server. Default `SMTP_HOST`.
    pub(super) host_secret: String,
    /// Its port. Default 587.
    #[schemars(range(min = 1))]
    pub(super) port: u16,
    /// `starttls`, `implicit` or `none`, which only a server on this machine may have. Default
    /// `implicit` at port 465, else `starttls`.
    pub(super) tls: Option<RawTls>,
    /// Name of the secret that is the user. Without it nobody signs in. Default `SMTP_USER`.
    pub(super) user_secret: String,
    /// Name of the secret that is the password. Default `SMTP_PASS`.
    pub(super) password_secret: String,
    /// Who mails come from, such as `EchoPilot <alerts@example.com>`.
    pub(super) from: String,
    /// Whom mails go to. Default: whom `to_secret` names.
    pub(super) to: Vec<String>,
    /// Name of the secret that is the address mails go to. Default `RECEIVING_EMAIL`.
    pub(super) to_secret: String,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawTls {
    Starttls,
    Implicit,
    None,
}

/// Discord.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDiscord {
    /// Name of the secret that is the webhook's address. Default `DISCORD_WEBHOOK_URL`.
    pub(super) url_secret: String,
}

/// Ntfy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawNtfy {
    /// The server. Default `https://ntfy.sh`.
    pub(super) api_url: String,
    /// Name of the secret that is the topic. Default `NTFY_TOPIC`.
    pub(super) topic_secret: String,
    /// Name of the secret that is an access token; used where it was given. Default `NTFY_TOKEN`.
    pub(super) token_secret: String,
}

/// `PagerDuty`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPagerDuty {
    /// Name of the secret that is the integration's key. Default `PAGERDUTY_ROUTING_KEY`.
    pub(super) routing_key_secret: String,
    /// Where the events API is. Default `https://events.pagerduty.com`.
    pub(super) api_url: String,
}

/// Any program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWebhook {
    /// The address, checked against `outbound.allow` of `configs/echopilot.json`. Default: the one
    /// that `url_secret` names.
    pub(super) url: Option<String>,
    /// Name of the secret that is the address. Default `ALERT_WEBHOOK_URL`.
    pub(super) url_secret: String,
    /// Name of the secret that signs, `whsec_` and base64. Default `ALERT_WEBHOOK_SECRET`.
    pub(super) signing_secret: String,
}

/// The log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {}

impl Default for RawSlack {
    fn default() -> Self {
        let url_secret = "SLACK_WEBHOOK_URL".into();
        Self { url_secret }
    }
}

impl Default for RawTelegram {
    fn default() -> Self {
        Self {
            token_secret: "TELEGRAM_BOT_TOKEN".into(),
            chat_id_secret: "TELEGRAM_CHAT_ID".into(),
            message_thread_id: None,
            buttons: true,
            api_url: "https://api.telegram.org".into(),
        }
    }
}

impl Default for RawResend {
    fn default() -> Self {
        Self {
            key_secret: "RESEND_API_KEY".into(),
            from: "EchoPilot <onboarding@resend.dev>".into(),
            to: Vec::new(),
            to_secret: "RECEIVING_EMAIL".into(),
            api_url: "https://api.resend.com".into(),
        }
    }
}

impl Default for RawSmtp {
    fn default() -> Self {
        Self {
            host: None,
            host_secret: "SMTP_HOST".into(),
            port: SUBMISSION,
            tls: None,
            user_secret: "SMTP_USER".into(),
            password_secret: "SMTP_PASS".into(),
            from: String::new(),
            to: Vec::new(),
            to_secret: "RECEIVING_EMAIL".into(),
        }
    }
}

impl Default for RawDiscord {
    fn default() -> Self {
        let url_secret = "DISCORD_WEBHOOK_URL".into();
        Self { url_secret }
    }
}

impl Default for RawNtfy {
    fn default() -> Self {
        Self {
            api_url: "https://ntfy.sh".into(),
            topic_secret: "NTFY_TOPIC".into(),
            token_secret: "NTFY_TOKEN".into(),
        }
    }
}

impl Default for RawPagerDuty {
    fn default() -> Self {
        Self {
            routing_key_secret: "PAGERDUTY_ROUTING_KEY".into(),
            api_url: "https://events.pagerduty.com".into(),
        }
    }
}

impl Default for RawWebhook {
    fn default() -> Self {
        Self {
            url: None,
            url_secret: "ALERT_WEBHOOK_URL".into(),
            signing_secret: "ALERT_WEBHOOK_SECRET".into(),
        }
    }
}
