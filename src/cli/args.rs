//! The command line as types. Texts here are what `--help` shows.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};

use super::alert_args::AlertVerb;
use super::care_args::{BugreportArgs, CompletionsArgs, ConfigVerb, DoctorArgs, ManArgs};
use super::incident_args::{DeployVerb, IncidentVerb};
use super::output::{ColorChoice, Manners, word};
use super::standby_args::StandbyArgs;
use super::watch_args::{
    AnomalyVerb, CostsVerb, HeartbeatVerb, ProbeVerb, SloArgs, SupportVerb, TaskVerb,
};
use crate::app::settings;

/// Shown under the list of verbs.
const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 refused or faults found, 2 wrong usage, 69 no daemon answers, \
75 another process holds the folder.

Verbs that change something go through the running daemon; where none runs they lock the folder \
and work on its files directly, with all rights and without a key: DASHBOARD_KEY and ADMIN_TOKEN \
are the daemon's, ECHOPILOT_KEY goes with --url.";

/// The back office of a small SaaS in one folder of plain files: flags, experiments, and a watch
/// over your product.
///
/// Without a verb the daemon is started, as `echopilot serve` does.
#[derive(Debug, Parser)]
#[command(name = "echopilot", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Args {
    /// What holds for every verb.
    #[command(flatten)]
    pub(super) global: Global,
    /// The verb.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// What holds for every verb.
#[derive(Debug, Group)]
pub(super) struct Global {
    /// Folder with `configs/`, `logs/` and `backups/`
    #[arg(
        long,
        global = true,
        env = "ECHOPILOT_HOME",
        default_value = ".",
        value_name = "DIR"
    )]
    pub(super) home: PathBuf,
    /// Talk to a daemon elsewhere, `http://HOST:PORT`; its key is taken from `ECHOPILOT_KEY`
    #[arg(long, global = true, env = "ECHOPILOT_URL", value_name = "URL")]
    pub(super) url: Option<String>,
    /// Write data as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say nothing but data and errors
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(super) color: ColorChoice,
    /// Never use colours
    #[arg(long, global = true, env = "NO_COLOR", value_parser = is_given, hide = true)]
    pub(super) no_color: bool,
}

/// `NO_COLOR` counts with any value but the empty one (no-color.org).
#[expect(clippy::unnecessary_wraps, reason = "the form of a value parser")]
fn is_given(text: &str) -> Result<bool, std::convert::Infallible> {
    Ok(!text.is_empty())
}

/// An address to listen on. Names are not looked up: they may mean several addresses, and others
/// than was thought.
pub(super) fn ip_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are needed, such as 127.0.0.1:5000 or [::1]:5000; names such as \
         `localhost` are not looked up"
            .to_owned()
    })
}

impl Global {
    /// The option that names the home again in a command to paste; empty where it is not needed,
    /// because the command would find the same one.
    pub(super) fn home_again(&self) -> String {
        let known = settings::home().unwrap_or_else(|| PathBuf::from("."));
        if self.url.is_some() || self.home == known {
            return String::new();
        }
        format!(" --home {}", word(&self.home.display().to_string()))
    }

    /// How the caller wants to be spoken to.
    pub(super) const fn manners(&self) -> Manners {
        Manners {
            json: self.json,
            quiet: self.quiet,
            color: self.color,
            no_color: self.no_color,
        }
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground; with `--json` a line tells its address once it is ready
    Serve(ServeArgs),
    /// Keep this home a copy of another one, serve reads, and take over when told to
    Standby(StandbyArgs),
    /// Let the standby of this home take over: it is the primary from then on
    Promote,
    /// Check configuration files without touching anything
    Check(CheckArgs),
    /// How the daemon and its journals are
    Status,
    /// What is wrong with this installation, each with its cure; changes nothing
    Doctor(DoctorArgs),
    /// Write one file for whoever helps you, without secrets and people; sends nothing
    Bugreport(BugreportArgs),
    /// Where a setting comes from and what it hides; which configurations are in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Walk the chain of every journal and name the first bad line
    Verify(VerifyArgs),
    /// Copy journals and configurations into a folder that is checked and can be restored
    Backup(BackupArgs),
    /// Make a new home folder from a backup, as it was then or at an earlier time
    Restore(RestoreArgs),
    /// Read and change feature flags
    #[command(subcommand)]
    Flag(FlagVerb),
    /// Signs of life of your jobs: how each is, and the address that it calls
    #[command(subcommand)]
    Heartbeat(HeartbeatVerb),
    /// Read experiments, assign users, log events
    #[command(subcommand)]
    Exp(ExpVerb),
    /// See, run, pause and resume what the daemon does by itself
    #[command(subcommand)]
    Task(TaskVerb),
    /// Objectives: error budgets, burn rates, open alerts; replays of edited rules
    Slo(SloArgs),
    /// Make, list, rotate and revoke API keys
    #[command(subcommand)]
    Key(KeyVerb),
    /// What the outside sees: list probes, show one, look now
    #[command(subcommand)]
    Probe(ProbeVerb),
    /// The support mailbox: who waits for an answer, and how urgent it is
    #[command(subcommand)]
    Support(SupportVerb),
    /// What is wrong now, who is told of it, and silences
    #[command(subcommand)]
    Alert(AlertVerb),
    /// What a month costs, and telling what was used; works while the daemon is down
    #[command(subcommand)]
    Costs(CostsVerb),
    /// What belongs together of what is wrong: list, show, acknowledge, resolve, export
    #[command(subcommand)]
    Incident(IncidentVerb),
    /// Tell of releases, so that incidents know what was changed
    #[command(subcommand)]
    Deploy(DeployVerb),
    /// Read journals; works while the daemon is down
    #[command(subcommand)]
    Log(LogVerb),
    /// See what the anomaly detector says of recorded series
    #[command(subcommand)]
    Anomaly(AnomalyVerb),
    /// How the machine is: readings, warnings and forecasts of the latest look
    Host,
    /// List every route of the HTTP API, each with an example
    Api(ApiArgs),
    /// Print the JSON Schemas of the configuration files, or write them
    Schema(SchemaArgs),
    /// Print completions for a shell: what the Tab key offers
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all verbs
    Man(ManArgs),
}

/// `serve`.
#[derive(Debug, Default, Group)]
pub(super) struct ServeArgs {
    /// Address to listen on, instead of the one in `configs/echopilot.json`; port 0 takes a free
    /// one
    #[arg(long, value_name = "ADDR", env = "ECHOPILOT_LISTEN", value_parser = ip_and_port)]
    pub(super) listen: Option<SocketAddr>,
}

/// `check`.
#[derive(Debug, Group)]
pub(super) struct CheckArgs {
    /// Files to check; their names say what they are. Default: all of `configs/`
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

/// `verify`.
#[derive(Debug, Group)]
pub(super) struct VerifyArgs {
    /// Journals to walk, such as `experiments`. Default: all
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Compare with the `chain anchor` lines of this file too: the daemon's log as
    /// `journalctl -u echopilot` shows it, or lines of `STREAM SEQ H`
    #[arg(long, value_name = "FILE")]
    pub(super) anchors: Option<PathBuf>,
}

/// `backup`.
#[derive(Debug, Group)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BackupArgs {
    /// Folder that the backup is made in, under the name of its time. Default: `folder` of
    /// `configs/backups.json`
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
    /// Instead of making one
    #[command(subcommand)]
    pub(super) verb: Option<BackupVerb>,
}

/// `backup …`.
#[derive(Debug, Subcommand)]
pub(super) enum BackupVerb {
    /// The backups there are, the newest first
    List,
    /// Read a backup or a replica whole, against its manifest and its chains
    Check {
        /// Its folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Restore a backup into a scratch folder and compare it with the journals of the home
    Drill {
        /// Its folder. Default: the newest of the home
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// `restore`.
#[derive(Debug, Group)]
pub(super) struct RestoreArgs {
    /// The backup: its folder, its name in `backups/` of the home, the folder of a replica, or
    /// `s3:NAME` for the replica of that name in `configs/backups.json`
    #[arg(value_name = "BACKUP")]
    pub(super) from: PathBuf,
    /// The new home: a folder that is empty or does not exist
    #[arg(long, value_name = "DIR")]
    pub(super) to: PathBuf,
    /// End every journal at an instant (`2026-11-21T09:15:00Z`, or a span back from now: `2h`), or
    /// one journal at a line (`experiments:1042`)
    #[arg(long, value_name = "TIME|JOURNAL:SEQ")]
    pub(super) until: Option<String>,
}

/// `flag …`.
#[derive(Debug, Subcommand)]
pub(super) enum FlagVerb {
    /// All flags and their values
    List,
    /// The value of one flag, bare
    Get {
        /// The flag, such as `ui.new_dashboard`
        key: String,
    },
    /// Change one flag; the file keeps its order, indentation and notes
    Set(FlagSetArgs),
    /// The newest changes: who, when, before, after
    History {
        /// Only this flag
        key: Option<String>,
        /// How many, at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        lines: u32,
    },
}

/// `flag set`.
#[derive(Debug, Group)]
pub(super) struct FlagSetArgs {
    /// The flag, such as `ui.new_dashboard`
    pub(super) key: String,
    /// true, false, null, a number, or else a text
    #[arg(allow_hyphen_values = true)]
    pub(super) value: String,
    /// Make the flag where there is none
    #[arg(long)]
    pub(super) create: bool,
    /// Only if the file is still at this revision
    #[arg(long, value_name = "REV")]
    pub(super) if_match: Option<String>,
}

/// `exp …`.
#[derive(Debug, Subcommand)]
pub(super) enum ExpVerb {
    /// All experiments with their variants
    List,
    /// The variant of a user; the first time, the exposure is recorded
    Assign {
        /// The experiment, such as `pricing_v2`
        experiment: String,
        /// The user, by any stable id
        user: String,
    },
    /// Log an event of a user in an experiment
    Log(ExpLogArgs),
}

/// `exp log`.
#[derive(Debug, Group)]
pub(super) struct ExpLogArgs {
    /// The experiment, such as `pricing_v2`
    pub(super) experiment: String,
    /// The user, by any stable id
    pub(super) user: String,
    /// The variant the user saw
    pub(super) variant: String,
    /// What happened, such as `signup`
    pub(super) event: String,
    /// A number that belongs to it
    #[arg(long, allow_hyphen_values = true)]
    pub(super) value: Option<f64>,
    /// Makes the call repeatable: the same id is written once
    #[arg(long)]
    pub(super) id: Option<String>,
}

/// `key …`.
#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Make a key; it is shown once
    New(KeyNewArgs),
    /// All keys, without their secrets
    List,
    /// Make a successor of a key; both are good until the overlap ends
    Rotate {
        /// The key's id, as `key list` shows it
        id: String,
        /// How long the old key stays good, such as `24h`
        #[arg(long, value_name = "SPAN")]
        overlap: Option<String>,
    },
    /// Refuse a key from the next request on
    Revoke {
        /// The key's id, as `key list` shows it
        id: String,
    },
}

/// `key new`.
#[derive(Debug, Group)]
pub(super) struct KeyNewArgs {
    /// What the key may do
    #[arg(value_parser = ["reader", "dash", "admin"], default_value = "dash")]
    pub(super) role: String,
    /// What it is for; histories show it
    #[arg(long)]
    pub(super) name: Option<String>,
    /// How long it is good, such as `90d`. Default: until revoked
    #[arg(long, value_name = "SPAN")]
    pub(super) expires_in: Option<String>,
}

/// `log …`.
#[derive(Debug, Subcommand)]
pub(super) enum LogVerb {
    /// Names of all journals
    List,
    /// The newest lines of a journal, as they are in its files
    Tail(TailArgs),
}

/// `log tail`.
#[derive(Debug, Group)]
pub(super) struct TailArgs {
    /// The journal, such as `experiments`
    pub(super) name: String,
    /// Go on with what is written from now on, over rotations
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only lines of this kind, such as `flag.changed` or `flag.*`; may be given several times
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Vec<String>,
    /// Only lines since then: a span back from now (`90s`, `15m`, `2h`, `7d`) or an instant
    /// (`2026-11-21T09:15:00Z`)
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<String>,
    /// How many lines, at most. Default: 10, or all with `--since`
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,
}

/// `api`.
#[derive(Debug, Group)]
pub(super) struct ApiArgs {
    /// Only routes whose path contains this
    pub(super) filter: Option<String>,
}

/// `schema`.
#[derive(Debug, Group)]
pub(super) struct SchemaArgs {
    /// Only the schema of this file, such as `flags.json`
    pub(super) file: Option<String>,
    /// Write them into `configs/schema/` of the home folder
    #[arg(long)]
    pub(super) write: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_tree_is_sound() {
        super::Args::command().debug_assert();
    }
}
