//! The command line of standbys as types. Texts here are what `--help` shows.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as Group, Subcommand};

use super::args::ip_and_port;

/// `echopilot standby`.
#[derive(Debug, Group)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct StandbyArgs {
    /// What else can be done
    #[command(subcommand)]
    pub(super) verb: Option<StandbyVerb>,
    /// Home to follow: a folder, such as that of a mounted disk, or `http://HOST:PORT`
    #[arg(long, value_name = "DIR|URL")]
    pub(super) from: Option<String>,
    /// Address to listen on for reads, instead of the configured one
    #[arg(long, value_name = "IP:PORT", value_parser = ip_and_port)]
    pub(super) listen: Option<SocketAddr>,
    /// File with an admin key of the primary; else the secret `STANDBY_KEY`, else `ECHOPILOT_KEY`
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// Where the primary can reach this standby, instead of the address it listens on
    #[arg(long, value_name = "URL")]
    pub(super) advertise: Option<String>,
    /// Take over by itself after the primary was silent for so many seconds; off by default,
    /// because a cut network looks like a dead primary
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(5..))]
    pub(super) take_over_after: Option<u64>,
    /// Take sealed segments over although they do not fit their chain
    #[arg(long)]
    pub(super) accept_damaged: bool,
    /// Set journals aside that are not the primary's, and fetch the primary's
    #[arg(long)]
    pub(super) begin_anew: bool,
}

/// What else there is about standbys.
#[derive(Debug, Subcommand)]
pub(super) enum StandbyVerb {
    /// Primary, standby or fenced; how far behind; who follows
    Status,
    /// On a primary: forget a standby that is gone for good and never took over
    Forget {
        /// Its id, as `standby status` shows it
        id: String,
    },
}
