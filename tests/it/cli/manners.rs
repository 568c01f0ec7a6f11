//! Manners that hold for every verb.

use std::io::Read;
use std::process::Stdio;

use super::{program, run};

#[test]
fn help_goes_to_standard_output_and_wrong_usage_is_exit_code_2() {
    let home = tempfile::tempdir().expect("a folder");
    let help = run(home.path(), &["--help"]).expect(0);
    assert!(
        help.out.contains("Usage:") && help.err.is_empty(),
        "{help:#?}"
    );
    for wrong in [
        &["nonsense"][..],
        &["flag", "set", "a"],
        &["--no-such-option"],
        &["flag"],
    ] {
        let ran = run(home.path(), wrong).expect(2);
        assert!(
            ran.out.is_empty() && !ran.err.is_empty(),
            "{wrong:?}: {ran:#?}"
        );
    }
}

#[test]
fn what_to_do_next_is_told_for_the_home_that_was_named() {
    let (known, named) = (tempfile::tempdir().expect("a folder"), super::begun());
    let place = named.path().to_str().expect("UTF-8");
    let told = run(known.path(), &["status", "--home", place]).expect(69);
    let next = format!("next: echopilot serve --home {place}\n");
    assert!(told.err.contains(&next), "{told:#?}");
    let told = run(known.path(), &["flag", "list", "--home", place]).expect(0);
    let next = format!("next: echopilot flag set KEY VALUE --home {place}\n");
    assert!(told.err.contains(&next), "{told:#?}");
    let spaced = named.path().join("two words");
    let told = run(&spaced, &["status", "--home", "two words"]).expect(69);
    assert!(told.err.contains("--home 'two words'\n"), "{told:#?}");
    // What the environment names is found again without an option.
    let told = run(named.path(), &["status"]).expect(69);
    assert!(told.err.contains("next: echopilot serve\n"), "{told:#?}");
}

#[test]
fn every_verb_has_a_help_line() {
    fn told(command: &clap::Command) {
        for verb in command
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help")
        {
            assert!(
                verb.get_about().is_some(),
                "`{}` says what it does",
                verb.get_name()
            );
            for argument in verb.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {argument}",
                    verb.get_name()
                );
            }
            told(verb);
        }
    }
    told(&echopilot::cli::command());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let home = tempfile::tempdir().expect("a folder");
    let logs = home.path().join("logs");
    std::fs::create_dir(&logs).expect("a folder");
    // Far more than a pipe holds, so that the program writes after the reader has gone.
    let lines = "a line that echopilot did not write\n".repeat(50_000);
    std::fs::write(logs.join("notes.ndjson"), lines).expect("a journal");
    let mut child = program(home.path())
        .args(["log", "tail", "notes", "-n", "50000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut reader = child.stdout.take().expect("a pipe");
    reader.read_exact(&mut [0; 8]).expect("the first bytes");
    drop(reader);
    let output = child.wait_with_output().expect("it ends");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.is_empty(), "{output:?}");
}

#[test]
fn colours_are_for_terminals_only() {
    let home = tempfile::tempdir().expect("a folder");
    let configs = home.path().join("configs");
    std::fs::create_dir(&configs).expect("a folder");
    std::fs::write(configs.join("flags.json"), "{}").expect("a file");
    assert!(!run(home.path(), &["check"]).expect(0).out.contains('\x1b'));
    assert!(
        run(home.path(), &["check", "--color", "always"])
            .expect(0)
            .out
            .contains('\x1b')
    );
}
