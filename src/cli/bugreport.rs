//! `echopilot bugreport`: gathers, redacts and writes one file; sends nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::api::{Api, Ask};
use super::args::Global;
use super::care_args::BugreportArgs;
use super::doctor;
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, size};
use crate::app::bugreport::{Facts, bundle};
use crate::app::doctor::asked;
use crate::app::settings::{self, Surroundings};
use crate::platform::config::ConfigKind;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Access, Files, read_whole};
use crate::seams::ids::{Ids, SystemIds};

/// Bytes of a configuration that are read at most: what the daemon takes.
const MOST_BYTES: u64 = 5 << 20;

/// Writes the bundle of the home of `global`.
pub(super) fn run(
    args: &BugreportArgs,
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let home = &global.home;
    let now = SystemClock::new().now();
    let to = args.to.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "echopilot-bugreport-{}.tar.zst",
            now.format("%Y-%m-%dT%H%M%SZ")
        ))
    });
    let plain = plain(&to)?;
    let findings = doctor::examined(global, kinds, files, false)?;
    let seen = doctor::seen(global, files);
    let metrics = match Api::daemon(global, files) {
        Ok(Some(remote)) if seen.health.is_some() => {
            Api::Remote(remote).text(&Ask::get("/metrics")).ok()
        }
        _ => None,
    };
    let salt = SystemIds
        .random()
        .map_err(|error| Failure::new(format!("the system has no randomness: {error}")))?;
    let text = |file: &str| {
        let mut file = files.open_read(&home.join("configs").join(file)).ok()?;
        String::from_utf8(read_whole(&mut *file, MOST_BYTES).ok()?).ok()
    };
    let names: Vec<String> = asked(kinds, &text)
        .into_iter()
        .map(|one| one.name)
        .collect();
    let pid = seen.file.as_ref().map(|file| file.pid);
    let environ = pid.map(|pid| PathBuf::from(format!("/proc/{pid}/environ")));
    let mut known = settings::known_secrets(files, home, environ.as_deref(), &names);
    if let Some(file) = &seen.file {
        known.push(crate::base::secret::Secret::new(file.token.clone()));
    }
    let own = Surroundings::own();
    let variables = names.iter().map(String::as_str).chain(VARIABLES);
    let variables = variables.filter(|name| own.has(name)).map(str::to_owned);
    let reading = doctor::reading(home)?;
    let facts = Facts {
        home,
        files,
        kinds,
        findings: &findings,
        health: seen.health,
        metrics,
        reading: &reading,
        lines: args.lines,
        variables: variables.collect(),
        salt,
    };
    let bundle = bundle(&facts, known);
    let bytes = bundle
        .bytes(plain)
        .map_err(|error| Failure::new(format!("cannot pack the report: {error}")))?;
    files
        .write_new(&to, &bytes, Access::PRIVATE)
        .map_err(|error| unwritten(&to, &error))?;
    told(&to, &bundle.parts, bytes.len(), output)
}

/// Variables of ours that are told by name when they are set.
const VARIABLES: [&str; 9] = [
    "ECHOPILOT_HOME",
    "ECHOPILOT_LISTEN",
    "ECHOPILOT_LOG",
    "DASHBOARD_KEY",
    "ADMIN_TOKEN",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "HTTP_PROXY",
    "HTTPS_PROXY",
];

/// Whether the archive is not packed, by the file's name.
fn plain(to: &Path) -> Result<bool, Failure> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    if name.strip_suffix(".tar.zst").is_some() {
        return Ok(false);
    }
    if name.strip_suffix(".tar").is_some() {
        return Ok(true);
    }
    Err(
        Failure::new(format!("`{}` is no archive's name", to.display()))
            .hint("end it in .tar.zst, or in .tar for one that is not packed"),
    )
}

fn unwritten(to: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("cannot write `{}`: {error}", to.display()));
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => failure.hint("name another file with `--to`"),
        _ => failure.hint("name a file in a folder of yours with `--to`"),
    }
}

fn told(to: &Path, parts: &[(String, Vec<u8>)], bytes: usize, output: &mut Output) -> Outcome {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    if output.json() {
        let parts = parts
            .iter()
            .map(|(name, body)| json!({ "name": name, "bytes": body.len() }));
        let parts: Vec<_> = parts.collect();
        output.value(&json!({ "file": to, "bytes": bytes, "parts": parts, "sent": false }))?;
        return Ok(DONE);
    }
    output.line(&to.display().to_string())?;
    for (name, body) in parts {
        let body = u64::try_from(body.len()).unwrap_or(u64::MAX);
        output.line(&format!("  {name:<28} {}", size(body)))?;
    }
    output.talk(&format!(
        "{} for your eyes only (mode 0600); nothing was sent. Look it through before you give it \
         to anybody: secrets, keys, users and e-mail addresses were taken out.",
        size(bytes)
    ));
    output.next_elsewhere(&format!(
        "tar -xOf {} | less",
        super::output::word(&to.display().to_string())
    ));
    Ok(DONE)
}
