//! The command line as people and scripts use it: the real program in homes of its own.

mod backup;
mod check;
mod manners;
mod probe;
mod ready;
mod replica;
mod serve;
mod start;
mod tail;
mod task;
mod turns;
mod verbs;
mod verify;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

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

/// No verb may take longer: one that hangs fails its test and not the whole suite.
const BOUND: Duration = Duration::from_mins(1);

/// Runs the program with `args`.
#[track_caller]
pub fn run(home: &Path, args: &[&str]) -> Ran {
    let mut command = program(home);
    command.args(args);
    Ran::of(bounded(command, BOUND))
}

/// What `command` gives, which is killed if it has not ended within `bound`.
#[track_caller]
fn bounded(mut command: Command, bound: Duration) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program runs");
    let pid = child.id().to_string();
    let (ended, end) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = end.recv_timeout(bound) == Err(RecvTimeoutError::Timeout);
        if late {
            let killed = Command::new("kill").args(["-9", &pid]).status();
            assert!(killed.is_ok_and(|status| status.success()), "not killed");
        }
        late
    });
    let output = child.wait_with_output().expect("it ends");
    drop(ended);
    let late = watch.join().expect("the watch ends");
    let said = String::from_utf8_lossy(&output.stderr);
    let gave = String::from_utf8_lossy(&output.stdout);
    assert!(
        !late,
        "{command:?} hung and was killed after {bound:?}; it said:\n{said}{gave}"
    );
    output
}

#[test]
fn a_verb_that_hangs_is_killed_and_fails_its_test() {
    let failed = std::panic::catch_unwind(|| {
        let home = begun();
        let mut command = program(home.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        bounded(command, Duration::from_millis(300))
    });
    let failed = failed.expect_err("the test fails");
    let told = failed.downcast_ref::<String>().expect("a text");
    assert!(told.contains("hung and was killed"), "{told}");
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
