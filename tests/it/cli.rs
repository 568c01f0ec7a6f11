//! The command line as people and scripts use it: the real program in homes of its own.

mod backup;
mod check;
mod manners;
mod serve;
mod start;
mod tail;
mod turns;
mod verbs;
mod verify;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What one run of the program gave.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output: data.
    pub out: String,
    /// Standard error: talk.
    pub err: String,
}

/// The program, told to work on `home`, with nothing of the tester's own environment.
pub fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echopilot"));
    command.stdin(Stdio::null()).env("ECHOPILOT_HOME", home);
    let ours = [
        "ECHOPILOT_URL",
        "ECHOPILOT_KEY",
        "ECHOPILOT_LISTEN",
        "NO_COLOR",
    ];
    let others = [
        "DASHBOARD_KEY",
        "ADMIN_TOKEN",
        "CREDENTIALS_DIRECTORY",
        "NOTIFY_SOCKET",
    ];
    for name in ours.into_iter().chain(others) {
        command.env_remove(name);
    }
    command
}

/// A home that somebody has begun: verbs refuse to work on anything else.
pub fn begun() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("configs")).expect("a folder in it");
    home
}

/// Runs the program with `args`.
pub fn run(home: &Path, args: &[&str]) -> Ran {
    Ran::of(program(home).args(args).output().expect("the program runs"))
}

impl Ran {
    /// What `output` says.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        let code = output.status.code().expect("it was not killed");
        Self {
            code,
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Asserts the exit code, showing everything where it differs.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
