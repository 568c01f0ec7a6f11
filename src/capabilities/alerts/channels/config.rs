//! A channel of `configs/alerts.json`: what it is and where it leads.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::json::Path;
use crate::base::problems::Problems;

/// What a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChannelKind {
    /// A message of a Telegram bot.
    Telegram,
    /// An incoming webhook of Slack.
    Slack,
    /// Mail by Resend.
    Resend,
}

/// A way to people.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::capabilities::alerts) struct ChannelConfig {
    /// What it is.
    kind: ChannelKind,
}

/// A way to people, checked.
#[derive(Debug, Clone)]
pub(in crate::capabilities::alerts) struct ChannelRules {
    /// What it is.
    #[expect(dead_code, reason = "read by the channels")]
    pub(super) kind: ChannelKind,
}

impl ChannelRules {
    /// Checks the channel `_name`, which stands at `_place`.
    #[expect(clippy::unnecessary_wraps, reason = "later kinds have more to check")]
    pub(in crate::capabilities::alerts) fn read(
        _name: &str,
        raw: &ChannelConfig,
        _place: &Path,
        _problems: &mut Problems,
    ) -> Option<Self> {
        Some(Self { kind: raw.kind })
    }
}
