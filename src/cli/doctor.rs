//! `echopilot doctor`: what is wrong with this installation, each with its cure. The checks are in
//! `app::doctor`; here the daemon is asked how it is, the machine is read, and the findings told.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::api::{Api, Ask};
use super::args::Global;
use super::care_args::DoctorArgs;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style, safe};
use crate::app::daemon_file::DaemonFile;
use crate::app::doctor::{self, Around, Finding, Seen, Status, UNIT};
use crate::app::settings::Surroundings;
use crate::platform::config::ConfigKind;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, RealFiles};
use crate::seams::host::{Host, Reading, RealHost, Wanted};

/// Examines the home of `global`.
pub(super) fn run(
    args: &DoctorArgs,
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    if let Some(url) = &global.url {
        return Err(
            Failure::new(format!("the doctor looks at files, not at `{url}`"))
                .hint("run it on the machine itself, with `--home`"),
        );
    }
    let home = &global.home;
    if files.list(home).is_err() || files.stat(&home.join(".")).is_err() {
        return Err(
            Failure::new(format!("there is no home at `{}`", home.display()))
                .hint("`--home` or ECHOPILOT_HOME names the folder that holds `configs/`"),
        );
    }
    let findings = examined(global, kinds, files, args.deep)?;
    let [ok, skipped, warnings, failures] = doctor::counts(&findings);
    let bad = failures > 0 || (args.strict && warnings > 0);
    if output.json() {
        output.value(&json!({
            "ok": !bad,
            "version": env!("CARGO_PKG_VERSION"),
            "counts": {
                "ok": ok, "skip": skipped, "warn": warnings, "fail": failures,
            },
            "findings": findings,
        }))?;
    } else {
        show(&findings, output)?;
        output.line("")?;
        output.line(&format!(
            "{ok} ok, {skipped} skipped, {warnings} warnings, {failures} failures"
        ))?;
    }
    Ok(if bad { FAILED } else { DONE })
}

/// Everything that the doctor finds in the home of `global`.
pub(super) fn examined(
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    deep: bool,
) -> Result<Vec<Finding>, Failure> {
    let clock = SystemClock::new();
    let seen = seen(global, files);
    let root = Path::new("/");
    let pid = seen.file.as_ref().map(|file| file.pid);
    let running = pid
        .filter(|_| seen.health.is_some())
        .and_then(|pid| Surroundings::of_process(files, &root.join(format!("proc/{pid}/environ"))));
    let given = running.unwrap_or_else(Surroundings::own);
    let reading = reading(&global.home)?;
    let around = Around {
        home: &global.home,
        root,
        files,
        kinds,
        now: clock.now(),
        deep,
        given: &given,
        reading: &reading,
        seen: &seen,
    };
    Ok(doctor::examine(&around))
}

/// The daemon of the home, as far as it shows itself.
pub(super) fn seen(global: &Global, files: &dyn Files) -> Seen {
    let mut seen = Seen::default();
    match DaemonFile::read(files, &global.home) {
        Ok(file) => seen.file = file,
        Err(error) => seen.unread = Some(format!("{error:#}")),
    }
    if seen.file.is_some()
        && let Ok(Some(remote)) = Api::daemon(global, files)
        && let Ok((_, body)) = Api::Remote(remote).call(&Ask::get("/health"))
    {
        // Another program may have the port by now: its answer is none of ours.
        let health = serde_json::from_slice(&body).ok();
        seen.health = health.filter(|health: &serde_json::Value| health.get("checks").is_some());
    }
    seen
}

/// The machine's figures: the room of the home, the unit, the clock.
pub(super) fn reading(home: &Path) -> Result<Reading, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start a runtime: {error}")))?;
    let host = RealHost::new(Arc::new(RealFiles), Arc::new(SystemClock::new()));
    let wanted = Wanted {
        mounts: vec![home.display().to_string()],
        units: vec![UNIT.to_owned()],
    };
    Ok(runtime.block_on(host.read(Arc::new(wanted))))
}

/// A line for each finding, the worst ones last, where they are seen.
fn show(findings: &[Finding], output: &mut Output) -> Result<(), Failure> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|one| one.status);
    for one in sorted {
        let (word, style) = match one.status {
            Status::Ok => ("ok  ", Style::Green),
            Status::Skip => ("skip", Style::Dim),
            Status::Warn => ("warn", Style::Yellow),
            Status::Fail => ("FAIL", Style::Red),
        };
        let word = output.paint(style, word);
        output.line(&format!("{word}  {:<12} {}", one.check, safe(&one.found)))?;
        if let Some(cure) = &one.cure {
            let label = output.paint(Style::Bold, "hint:");
            output.line(&format!("{:<18} {label} {}", "", safe(cure)))?;
        }
    }
    Ok(())
}
