//! `echopilot host`: how the machine is, as the latest look of the watch found it.

use serde_json::Value;

use super::api::{Api, Ask};
use super::failure::{DONE, Outcome};
use super::output::{Output, Style, plain, safe, size};

/// Figures that are shown, in order: what they are called, their member and their unit.
const FIGURES: [(&str, &str, &str); 13] = [
    ("cpu", "cpu_percent", " %"),
    ("waiting for disks", "iowait_percent", " %"),
    ("stolen", "steal_percent", " %"),
    ("load of 5 minutes", "load5", ""),
    ("processors", "cpus", ""),
    ("memory", "ram_percent", " %"),
    ("swap", "swap_percent", " %"),
    ("pressure on cpu", "pressure_cpu_percent", " %"),
    ("pressure on memory", "pressure_memory_percent", " %"),
    ("pressure on disks", "pressure_io_percent", " %"),
    ("file handles", "fds_percent", " %"),
    ("own file handles", "own_fds_percent", " %"),
    ("clock synchronised", "clock_synced", ""),
];

/// Shows the latest readings and warnings.
pub(super) fn run(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/host"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let Some(readings) = answer.get("readings").filter(|found| found.is_object()) else {
        output.talk("the machine has not been looked at yet");
        output.next("echopilot serve");
        return Ok(DONE);
    };
    let at = answer.get("measured_at").map(plain).unwrap_or_default();
    output.talk(&format!("as of {}", safe(&at)));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, member, unit) in FIGURES {
        let shown = match readings.get(member) {
            Some(value) => plain(value) + unit,
            // Without swap there is nothing to be known of it.
            None if member == "swap_percent" => continue,
            None => output.paint(Style::Dim, "unknown"),
        };
        rows.push(vec![name.to_owned(), shown]);
    }
    output.table(&["FIGURE", "VALUE"], &rows)?;
    volumes(readings, output)?;
    units(readings, output)?;
    warnings(&answer, output)?;
    Ok(DONE)
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value
        .get(name)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn cell(value: &Value, member: &str, unit: &str) -> String {
    let found = value.get(member);
    found.map_or_else(|| "-".to_owned(), |found| plain(found) + unit)
}

fn bytes(value: &Value, member: &str) -> String {
    let found = value.get(member).and_then(Value::as_u64);
    found.map_or_else(|| "-".to_owned(), size)
}

fn volumes(readings: &Value, output: &mut Output) -> Result<(), super::failure::Failure> {
    let rows: Vec<Vec<String>> = members(readings, "volumes")
        .map(|(mount, volume)| {
            vec![
                safe(mount),
                cell(volume, "used_percent", " %"),
                bytes(volume, "available_bytes"),
                cell(volume, "inodes_percent", " %"),
                cell(volume, "full_in_hours", " h"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(&["MOUNT", "USED", "FREE", "INODES", "FULL IN"], &rows)
}

fn units(readings: &Value, output: &mut Output) -> Result<(), super::failure::Failure> {
    let rows: Vec<Vec<String>> = members(readings, "units")
        .map(|(name, unit)| {
            let state = cell(unit, "state", "");
            let style = match state.as_str() {
                "active" => Style::Green,
                "unknown" | "changing" => Style::Dim,
                _ => Style::Red,
            };
            vec![
                safe(name),
                output.paint(style, &safe(&state)),
                bytes(unit, "memory_bytes"),
                cell(unit, "restarts", ""),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(&["UNIT", "STATE", "MEMORY", "RESTARTS"], &rows)
}

fn warnings(answer: &Value, output: &mut Output) -> Result<(), super::failure::Failure> {
    let active = answer.get("active").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = active
        .into_iter()
        .flatten()
        .map(|one| {
            let word = cell(one, "warning", "");
            let of = one.get("of").filter(|of| !of.is_null());
            vec![
                output.paint(Style::Red, &safe(&word)),
                of.map_or_else(|| "-".to_owned(), |of| safe(&plain(of))),
                cell(one, "value", ""),
                cell(one, "warn", ""),
                cell(one, "since", ""),
            ]
        })
        .collect();
    output.line("")?;
    if rows.is_empty() {
        return output.line(&output.paint(Style::Green, "no warnings"));
    }
    output.table(&["WARNING", "OF", "VALUE", "FROM", "SINCE"], &rows)
}
