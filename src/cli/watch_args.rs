//! The command line as types: the verbs of what watches. Texts here are what `--help` shows.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};

/// `costs …`.
#[derive(Debug, Subcommand)]
pub(super) enum CostsVerb {
    /// What a month has cost, by item and currency
    Report(CostsReportArgs),
    /// Tell what was used
    #[command(subcommand)]
    Usage(CostsUsageVerb),
}

/// `costs report`.
#[derive(Debug, Group)]
pub(super) struct CostsReportArgs {
    /// The month, such as `2026-10`. Default: this one
    #[arg(long, value_name = "MONTH")]
    pub(super) month: Option<String>,
    /// Write it as CSV, with the column names of FOCUS
    #[arg(long)]
    pub(super) csv: bool,
}

/// `costs usage …`.
#[derive(Debug, Subcommand)]
pub(super) enum CostsUsageVerb {
    /// Tell one use of a metered item, or of a language model with `--model`
    Add(UsageAddArgs),
}

/// `costs usage add`.
#[derive(Debug, Group)]
pub(super) struct UsageAddArgs {
    /// The item, such as `egress`; with `--model` the model's name
    pub(super) item: String,
    /// How many units, such as `1.5`; below zero takes back what was told too much
    #[arg(
        allow_hyphen_values = true,
        required_unless_present = "model",
        conflicts_with = "model"
    )]
    pub(super) quantity: Option<String>,
    /// Names this use: told again with the same id it is counted once
    #[arg(long)]
    pub(super) id: String,
    /// When, such as `2026-10-31T12:00:00Z`. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// It is a language model, used by tokens
    #[arg(long)]
    pub(super) model: bool,
    /// Tokens read, and not from the provider's cache
    #[arg(long, value_name = "N", requires = "model")]
    pub(super) input: Option<u64>,
    /// Tokens written
    #[arg(long, value_name = "N", requires = "model")]
    pub(super) output: Option<u64>,
    /// Tokens read from the provider's cache
    #[arg(long, value_name = "N", requires = "model")]
    pub(super) cached: Option<u64>,
}

/// `heartbeat`.
#[derive(Debug, Subcommand)]
pub(super) enum HeartbeatVerb {
    /// All heartbeats: how each is, last heard of, down from when on
    List,
    /// One heartbeat with its newest signals and what was sent with them
    Show {
        /// The heartbeat, such as `nightly-backup`
        name: String,
        /// How many lines of its history, at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u32,
    },
    /// Stop watching a heartbeat until it is resumed, over restarts
    Pause {
        /// The heartbeat, such as `nightly-backup`
        name: String,
    },
    /// Watch a heartbeat again, from now on
    Resume {
        /// The heartbeat, such as `nightly-backup`
        name: String,
    },
    /// Draw the key of a heartbeat and show the address that its job calls, this once
    Url(HeartbeatUrlArgs),
}

/// `heartbeat url`.
#[derive(Debug, Group)]
pub(super) struct HeartbeatUrlArgs {
    /// The heartbeat, such as `nightly-backup`
    pub(super) name: String,
    /// Draw another key where there is one; the old address ends at once
    #[arg(long)]
    pub(super) renew: bool,
    /// How jobs reach this daemon, such as `https://ops.example.com`. Default: where it listens
    #[arg(long, value_name = "URL")]
    pub(super) base: Option<String>,
}

/// `support …`.
#[derive(Debug, Subcommand)]
pub(super) enum SupportVerb {
    /// Read the mailbox now, without marking a mail, and show what waits
    Digest {
        /// Show the latest digest and leave the mailbox alone
        #[arg(long)]
        latest: bool,
    },
    /// The mails that are remembered, the newest first
    List(SupportListArgs),
    /// One mail, with how it was judged and why
    Show {
        /// Its number in the list
        id: String,
    },
}

/// `support list`.
#[derive(Debug, Group)]
pub(super) struct SupportListArgs {
    /// Only `person`, `list`, `bulk`, `auto_reply`, `bounce`, `own` or `spam`
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Only mails that nobody has opened
    #[arg(long)]
    pub(super) unread: bool,
    /// How many, at most
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    pub(super) lines: u32,
}

/// `task …`.
#[derive(Debug, Subcommand)]
pub(super) enum TaskVerb {
    /// All tasks: when due, when last run, how it went
    List,
    /// Run a task now and wait for its end
    Run(TaskRunArgs),
    /// Stop running a task by itself, over restarts
    Pause {
        /// The task, such as `ops-sentinel`
        name: String,
    },
    /// Run a task by itself again, from its next due time on
    Resume {
        /// The task, such as `ops-sentinel`
        name: String,
    },
    /// The newest runs of a task: when due, how late, how long, how it went
    History {
        /// The task, such as `ops-sentinel`
        name: String,
        /// How many, at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u32,
    },
    /// The next due times of a task, in UTC and on the clocks of its zone
    Next {
        /// The task, such as `ops-sentinel`
        name: String,
        /// How many
        #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
        count: u32,
    },
}

/// `task run`.
#[derive(Debug, Group)]
pub(super) struct TaskRunArgs {
    /// The task, such as `ops-sentinel`
    pub(super) name: String,
    /// How long to wait for its end, up to `55s`. Default: 30s
    #[arg(long, value_name = "SPAN", conflicts_with = "no_wait")]
    pub(super) wait: Option<String>,
    /// Only begin it
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// `probe …`.
#[derive(Debug, Subcommand)]
pub(super) enum ProbeVerb {
    /// All probes: state, uptime, last fault
    List,
    /// Everything about one probe
    Show {
        /// The probe, as `probe list` shows it
        name: String,
    },
    /// Look now and tell what is found; exits with 1 where that is not good
    Check {
        /// The probe, as `probe list` shows it
        name: String,
    },
}

/// `anomaly`.
#[derive(Debug, Subcommand)]
pub(super) enum AnomalyVerb {
    /// Run a series through a new detector and write its verdict on each row as NDJSON; needs no
    /// daemon and no home
    Replay(AnomalyReplayArgs),
}

/// `anomaly replay`.
#[derive(Debug, Group)]
pub(super) struct AnomalyReplayArgs {
    /// A series, `TIME,VALUE` or a value a line, with or without a heading; `-` reads standard
    /// input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Samples that are kept, instead of 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(30..=100_000))]
    pub(super) window: Option<u32>,
    /// Samples after an anomaly in which the next must be worse, instead of 150
    #[arg(long, value_name = "N")]
    pub(super) damper: Option<u32>,
}

/// `slo …`.
#[derive(Debug, Group)]
pub(super) struct SloArgs {
    /// The verb.
    #[command(subcommand)]
    pub(super) verb: Option<SloVerb>,
}

/// What can be asked of objectives. Without a verb: all of them, the worst first.
#[derive(Debug, Subcommand)]
pub(super) enum SloVerb {
    /// One objective, with its rules and its budget by day
    Show {
        /// The objective, such as `echopilot-availability`
        name: String,
    },
    /// What an edited `slo.json` would have fired on the recorded past; changes nothing
    Replay(ReplayArgs),
}

/// `slo replay`.
#[derive(Debug, Group)]
pub(super) struct ReplayArgs {
    /// The edited file. Default: `configs/slo.json` of the home
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// First instant that is decided: a span back from now (`7d`) or an instant
    /// (`2026-11-21T09:15:00Z`). Default: the first sample on record
    #[arg(long, value_name = "WHEN")]
    pub(super) from: Option<String>,
    /// The end, in the same forms. Default: now
    #[arg(long, value_name = "WHEN")]
    pub(super) to: Option<String>,
}
