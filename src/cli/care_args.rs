//! The verbs for whoever looks after an installation: doctor, bug report, settings explained,
//! completions, manual pages. Texts here are what `--help` shows.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand, ValueEnum};

/// `doctor`.
#[derive(Debug, Group)]
pub(super) struct DoctorArgs {
    /// Walk every line of every journal, not only the active segments: some 300 MB a second
    #[arg(long)]
    pub(super) deep: bool,
    /// Exit 1 for warnings too
    #[arg(long)]
    pub(super) strict: bool,
}

/// `bugreport`.
#[derive(Debug, Group)]
pub(super) struct BugreportArgs {
    /// The file to write. Default: `echopilot-bugreport-TIME.tar.zst` in the current folder
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// Newest lines of each journal that go in, at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub(super) lines: usize,
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// The value of a setting, where it comes from, what it hides, and what it means
    Explain {
        /// Such as `listen`, `limits.max_connections`, `slo.json:objectives`, `SLACK_WEBHOOK_URL`
        key: String,
    },
    /// Every configuration file: what it is for, its revision, and whether it is in force
    List,
}

/// `completions`.
#[derive(Debug, Group)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(super) shell: Shell,
}

/// Shells whose completions there are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    /// `source <(echopilot completions bash)`
    Bash,
    /// `echopilot completions zsh > "${fpath[1]}/_echopilot"`
    Zsh,
    /// `echopilot completions fish | source`
    Fish,
}

/// `man`.
#[derive(Debug, Group)]
pub(super) struct ManArgs {
    /// Write a page for the program and for each verb into this folder. Default: print the
    /// program's page
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
}
