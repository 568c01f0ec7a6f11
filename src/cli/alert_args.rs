//! The command line as types: the verbs of alerts. Texts here are what `--help` shows.

use clap::{Args as Group, Subcommand};

/// `alert …`.
#[derive(Debug, Subcommand)]
pub(super) enum AlertVerb {
    /// All findings that have not ended, the worst first
    List,
    /// What holds, as people are told of it: groups, channels, what hides what
    Groups,
    /// Take up alerts: they are not repeated and do not escalate
    Ack {
        /// Keys of alerts, such as `probe:web`
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Where an alert with these labels would go now; nothing is sent
    Route(AlertRouteArgs),
    /// The ways to people: whether they work, what waits, what never arrived
    Channels,
    /// Send a test notice, and say what came of it
    Test {
        /// The channel in `configs/alerts.json`. Default: all of them
        channel: Option<String>,
        /// How bad it claims to be: info, warning, error, critical
        #[arg(long, default_value = "info", value_name = "LEVEL")]
        level: String,
    },
    /// Send a notice again that never arrived
    Retry {
        /// Its id, from `alert channels`
        #[arg(value_name = "NOTICE")]
        id: String,
    },
    /// Alerts that are not told for a time
    #[command(subcommand)]
    Silence(SilenceVerb),
}

/// `alert route`.
#[derive(Debug, Group)]
pub(super) struct AlertRouteArgs {
    /// Only say where it would go, which is all this verb does
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Labels, such as `level=critical source=probes`
    #[arg(required = true, value_name = "LABEL=VALUE")]
    pub(super) labels: Vec<String>,
}

/// `alert silence …`.
#[derive(Debug, Subcommand)]
pub(super) enum SilenceVerb {
    /// Silence the alerts that all these conditions fit
    Add(SilenceAddArgs),
    /// All silences, those in force first
    List,
    /// End silences now
    Expire {
        /// Ids of silences
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// `alert silence add`.
#[derive(Debug, Group)]
pub(super) struct SilenceAddArgs {
    /// Conditions, such as `source=probes` or `probe=~"web|api"`
    #[arg(required = true, value_name = "CONDITION")]
    pub(super) matchers: Vec<String>,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub(super) comment: String,
    /// How long: `2h`, `3d`
    #[arg(long = "for", default_value = "1h", value_name = "SPAN")]
    pub(super) lasts: String,
    /// From when on, such as `2026-11-21T22:00:00Z`. Default: now
    #[arg(long, value_name = "INSTANT")]
    pub(super) starts_at: Option<String>,
    /// The silence that this is an edit of
    #[arg(long, value_name = "ID")]
    pub(super) edits: Option<String>,
}
