//! `echopilot config`: a setting explained, and the configuration files with their revisions. Works
//! while the daemon is down. The value of a secret is never told, only where it is.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Global;
use super::care_args::ConfigVerb;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style, plain, safe};
use crate::app::daemon_file::DaemonFile;
use crate::app::doctor::{Seen, asked};
use crate::app::explain::{Match, Setting, explain};
use crate::app::past;
use crate::app::settings::{Found, Surroundings, found};
use crate::platform::config::ConfigKind;
use crate::platform::secrets::is_secret_name;
use crate::seams::files::{Files, read_whole};
use crate::storage::engine::Revision;

/// Bytes of a document that are read at most: what the daemon takes.
const MOST_BYTES: u64 = 5 << 20;
/// Variables that are settings by themselves, and what they are.
const VARIABLES: [(&str, &str); 5] = [
    (
        "ECHOPILOT_HOME",
        "the home folder, where no `--home` is given",
    ),
    (
        "ECHOPILOT_LISTEN",
        "the address to listen on; goes before `listen` of `echopilot.json`",
    ),
    (
        "ECHOPILOT_LOG",
        "how much the daemon says: error, warn, info or debug",
    ),
    ("ECHOPILOT_URL", "the daemon that verbs talk to"),
    ("ECHOPILOT_KEY", "the key that goes with ECHOPILOT_URL"),
];

/// Runs one verb of `config`.
pub(super) fn run(
    verb: &ConfigVerb,
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    match verb {
        ConfigVerb::Explain { key } => told(key, global, kinds, files, output),
        ConfigVerb::List => list(&global.home, kinds, files, output),
    }
}

fn text_of(files: &dyn Files, home: &Path, file: &str) -> Option<String> {
    let path = home.join("configs").join(file);
    let mut open = files.open_read(&path).ok()?;
    let bytes = read_whole(&mut *open, MOST_BYTES).ok()?;
    String::from_utf8(bytes).ok()
}

fn told(
    key: &str,
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let home = global.home.as_path();
    if is_secret_name(key) || VARIABLES.iter().any(|(name, _)| *name == key) {
        return named(key, home, kinds, files, output);
    }
    let text = |file: &str| text_of(files, home, file);
    match explain(kinds, key, &text) {
        Match::One(setting) => one(&setting, global, kinds, files, output),
        Match::Many(all) => {
            let failure = Failure::new(format!("`{key}` is the name of {} settings", all.len()));
            Err(failure.hint(format!("name one of them: {}", all.join(", "))))
        }
        Match::None(near) => {
            let failure = Failure::new(format!("there is no setting `{key}`"));
            Err(match near {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(
                    "`echopilot config list` names the files, `echopilot schema \
                                      FILE` all settings of one",
                ),
            })
        }
    }
}

/// A place that a value may come from, the highest rank first.
struct Source {
    place: String,
    value: Value,
}

fn one(
    setting: &Setting,
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let home = global.home.as_path();
    let seen = super::doctor::seen(global, files);
    let mut sources = outside(setting, &seen);
    let written = in_force(setting, home, kinds, files, &mut sources);
    if let Some((value, line, column)) = &setting.written {
        let place = format!("configs/{}, line {line}, column {column}", setting.file);
        let (place, value) = (place, value.clone());
        if written {
            sources.push(Source { place, value });
        } else {
            let place = format!("{place}: not in force, the file is refused");
            sources.push(Source { place, value });
        }
    }
    if let Some(default) = &setting.default {
        sources.push(Source {
            place: "default, built in".to_owned(),
            value: default.clone(),
        });
    }
    show(setting, &sources, output)
}

/// What goes before the file, for the one setting that has more places.
fn outside(setting: &Setting, seen: &Seen) -> Vec<Source> {
    let mut sources = Vec::new();
    if (setting.file, setting.path.as_str()) != ("echopilot.json", "listen") {
        return sources;
    }
    let running = seen.file.as_ref().filter(|_| seen.health.is_some());
    let written = setting
        .written
        .as_ref()
        .and_then(|(value, ..)| value.as_str());
    if let Some(DaemonFile { address, .. }) = running
        && written != Some(address.to_string().as_str())
    {
        sources.push(Source {
            place: "the running daemon, by `--listen`, ECHOPILOT_LISTEN or its start".to_owned(),
            value: json!(address.to_string()),
        });
    } else if running.is_none()
        && let Some(value) = crate::app::settings::listen()
    {
        let place = "ECHOPILOT_LISTEN in this environment".to_owned();
        sources.push(Source {
            place,
            value: json!(value),
        });
    }
    sources
}

/// Whether the file on disk is what would be, or is, in force; where it is not, the last good
/// revision is a source of its own.
fn in_force(
    setting: &Setting,
    home: &Path,
    kinds: &[ConfigKind],
    files: &dyn Files,
    sources: &mut Vec<Source>,
) -> bool {
    let Some(text) = text_of(files, home, setting.file) else {
        return true;
    };
    let kind = kinds.iter().find(|kind| kind.file == setting.file);
    if kind.is_none_or(|kind| (kind.check)(setting.file, text.as_bytes()).is_empty()) {
        return true;
    }
    let good = past::in_force(files, home).remove(setting.file);
    if let Some(good) = good.filter(|good| *good != Revision::of(text.as_bytes())) {
        let name = setting.file.trim_end_matches(".json");
        let path = format!("backups/configs/{name}/{good}.json");
        let kept = files.open_read(&home.join(&path));
        let kept = kept.and_then(|mut file| read_whole(&mut *file, MOST_BYTES));
        let value = kept.ok().and_then(|kept| {
            let tree: Value = serde_json::from_slice(&kept).ok()?;
            let pointer = setting.path.replace('.', "/");
            tree.pointer(&format!("/{pointer}")).cloned()
        });
        if let Some(value) = value {
            let place = format!("the last good revision {good}, `{path}`");
            sources.push(Source { place, value });
        }
    }
    false
}

fn show(setting: &Setting, sources: &[Source], output: &mut Output) -> Outcome {
    // A refused text holds nothing, whatever its rank.
    let holds = |source: &&Source| !source.place.ends_with("is refused");
    let first = sources.iter().find(holds);
    let hidden: Vec<&Source> = sources
        .iter()
        .filter(|one| first.is_none_or(|first| !std::ptr::eq(first, *one)))
        .collect();
    if output.json() {
        let told = |one: &Source| json!({ "source": one.place, "value": one.value });
        output.value(&json!({
            "file": setting.file,
            "key": setting.path,
            "value": first.map(|one| &one.value),
            "source": first.map(|one| &one.place),
            "shadows": hidden.into_iter().map(told).collect::<Vec<_>>(),
            "allowed": setting.allowed,
            "about": setting.about,
        }))?;
        return Ok(DONE);
    }
    let name = output.paint(Style::Bold, &format!("{}:{}", setting.file, setting.path));
    output.line(&name)?;
    match first {
        Some(one) => {
            output.line(&format!("value    {}", shown(&one.value)))?;
            output.line(&format!("source   {}", safe(&one.place)))?;
        }
        None => output.line("value    not set, and there is no default")?,
    }
    for one in hidden {
        output.line(&format!(
            "shadows  {}  ({})",
            shown(&one.value),
            safe(&one.place)
        ))?;
    }
    output.line(&format!("allowed  {}", safe(&setting.allowed)))?;
    if !setting.about.is_empty() {
        output.line(&format!("about    {}", safe(&setting.about)))?;
    }
    Ok(DONE)
}

/// Characters of a value that are shown to people; `--json` has all of it.
const MOST_SHOWN: usize = 200;

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(_) => value.to_string(),
        other => plain(other),
    };
    let cut: String = text.chars().take(MOST_SHOWN).collect();
    let more = if cut.len() < text.len() { " …" } else { "" };
    format!("{}{more}", safe(&cut))
}

/// A secret or a variable: where it is, never what.
fn named(
    key: &str,
    home: &Path,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let given = Surroundings::own();
    let known = VARIABLES.iter().find(|(name, _)| *name == key);
    let wanted = asked(kinds, &|file: &str| text_of(files, home, file));
    let by = wanted
        .iter()
        .find(|one| one.name == key)
        .map(|one| one.file);
    if known.is_none() && by.is_none() {
        let near = wanted.iter().map(|one| one.name.as_str());
        let near = crate::base::names::nearest(key, near).map(str::to_owned);
        let failure = Failure::new(format!("no configuration asks for `{key}`"));
        return Err(match near {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`echopilot doctor` lists all that are asked for"),
        });
    }
    let (state, source, code) = match (known, found(files, home, &given, key)) {
        (Some(_), _) if given.has(key) => ("given", "in the environment".to_owned(), DONE),
        (Some(_), _) => ("not given", "nowhere".to_owned(), DONE),
        (_, Found::Given(place)) => ("given", place, DONE),
        (_, Found::Absent) => ("not given", "nowhere: its part runs dry".to_owned(), DONE),
        (_, Found::Empty(place)) => ("empty", place, FAILED),
        (_, Found::Open(path, mode)) => ("not used", format!("{path} has mode {mode:o}"), FAILED),
        (_, Found::Unreadable(path)) => ("unreadable", path, FAILED),
    };
    let about = known.map_or_else(
        || format!("a secret that `{}` asks for", by.unwrap_or_default()),
        |(_, about)| (*about).to_owned(),
    );
    let file = key.to_ascii_lowercase();
    let order = match known {
        Some(_) => "the environment".to_owned(),
        None => format!(
            "a credential `{file}` of systemd, then secrets/{file} (mode 600), then the environment"
        ),
    };
    if output.json() {
        output.value(&json!({
            "key": key, "state": state, "source": source, "order": order, "about": about,
        }))?;
        return Ok(code);
    }
    let name = output.paint(Style::Bold, key);
    output.line(&name)?;
    for (word, text) in [
        ("state", state),
        ("source", &source),
        ("order", &order),
        ("about", &about),
    ] {
        output.line(&format!("{word:<8} {text}"))?;
    }
    Ok(code)
}

fn list(home: &Path, kinds: &[ConfigKind], files: &dyn Files, output: &mut Output) -> Outcome {
    let in_force = past::in_force(files, home);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for kind in kinds {
        let schema = (kind.schema)().to_value();
        let title = schema
            .get("title")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let about = title
            .strip_prefix("echopilot: ")
            .unwrap_or(title)
            .to_owned();
        let text = text_of(files, home, kind.file);
        let revision = text.as_ref().map(|text| Revision::of(text.as_bytes()));
        let known = in_force.get(kind.file);
        let good = text
            .as_ref()
            .is_none_or(|text| (kind.check)(kind.file, text.as_bytes()).is_empty());
        let state = match (&revision, known) {
            (None, _) => "not there: the shipped text comes with the next start",
            (Some(_), _) if !good => "REFUSED: `echopilot check` tells why",
            (Some(disk), Some(known)) if disk != known => "good, not in force yet",
            _ => "in force",
        };
        let shown = revision.as_ref().map_or("-", Revision::as_str).to_owned();
        values.push(json!({
            "file": kind.file, "revision": revision, "in_force": known, "good": good,
            "about": about,
        }));
        rows.push(vec![kind.file.to_owned(), shown, state.to_owned(), about]);
    }
    if output.json() {
        output.value(&json!({ "files": values }))?;
    } else {
        output.table(&["FILE", "REVISION", "STATE", "ABOUT"], &rows)?;
    }
    Ok(DONE)
}
