//! The command line as types: incidents and releases. Texts here are what `--help` shows.

use clap::{Args as Group, Subcommand};

/// `incident …`.
#[derive(Debug, Subcommand)]
pub(super) enum IncidentVerb {
    /// Incidents, the newest first, and how fast they were found, taken up and over
    List {
        /// Only those that are `open`, `acknowledged`, `resolved`, or `live`: not resolved
        #[arg(long, value_parser = ["open", "acknowledged", "resolved", "live", "all"])]
        state: Option<String>,
        /// How many, at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u32,
    },
    /// One incident: alerts, likely causes, impact, timeline
    Show {
        /// The incident, such as `inc-20261121-1`
        id: String,
    },
    /// Take an incident up, and its alerts: escalation stops
    Ack(IncidentActArgs),
    /// Say that an incident is over
    Resolve(IncidentActArgs),
    /// Say that an incident is not over
    Reopen(IncidentActArgs),
    /// Write something down in its timeline
    Note {
        /// The incident, such as `inc-20261121-1`
        id: String,
        /// What you want to say
        text: String,
    },
    /// A postmortem in Markdown, to be finished by you
    Export {
        /// The incident, such as `inc-20261121-1`
        id: String,
    },
    /// Look into the reports for what is wrong now; exits with 1 where something is
    Scan,
}

/// `incident ack`, `resolve` and `reopen`.
#[derive(Debug, Group)]
pub(super) struct IncidentActArgs {
    /// The incident, such as `inc-20261121-1`
    pub(super) id: String,
    /// What you want to say about it
    #[arg(long, short)]
    pub(super) message: Option<String>,
}

/// `deploy …`.
#[derive(Debug, Subcommand)]
pub(super) enum DeployVerb {
    /// Tell of a release that has taken effect
    Add(DeployAddArgs),
    /// Releases, the last told first
    List {
        /// Only of this service
        #[arg(long)]
        service: Option<String>,
        /// How many, at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u32,
    },
}

/// `deploy add`.
#[derive(Debug, Group)]
pub(super) struct DeployAddArgs {
    /// What was released
    pub(super) service: String,
    /// As what
    pub(super) version: String,
    /// Makes the call repeatable: the same id is written once
    #[arg(long)]
    pub(super) id: Option<String>,
    /// Who released it. Default: whoever calls
    #[arg(long)]
    pub(super) actor: Option<String>,
    /// Where more of it is shown
    #[arg(long = "link", value_name = "URL")]
    pub(super) link: Option<String>,
    /// When it took effect (`2026-11-21T09:15:00Z`). Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
}
