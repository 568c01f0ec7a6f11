//! Labelled series from files: a folder laid out as the Numenta Anomaly Benchmark's, or CSV files
//! that carry their label in a third column.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use echopilot::capabilities::anomalies::replay::instant;
use serde_json::Value;

use super::nab::Series;

/// All series of a checkout of the benchmark: `data/*/*.csv` and `labels/combined_windows.json`.
pub(crate) fn nab_folder(folder: &Path) -> Vec<(PathBuf, Series)> {
    let labels = folder.join("labels").join("combined_windows.json");
    let labels = fs::read(&labels).unwrap_or_else(|error| panic!("{}: {error}", labels.display()));
    let labels: Value = serde_json::from_slice(&labels).expect("labels are JSON");
    let named = labels.as_object().expect("one entry per series");
    let load = |(name, windows): (&String, &Value)| {
        let path = folder.join("data").join(name);
        // A checkout may leave series out; what is there is measured, and counted at the end.
        let mut series = read(&path, name)?;
        let written = windows.as_array().expect("windows").iter();
        series.windows = written
            .map(|window| {
                let edge = |at: usize| {
                    let text = window[at].as_str().expect("an edge");
                    instant(text).unwrap_or_else(|| panic!("`{text}` is a time"))
                };
                let (start, end) = (edge(0), edge(1));
                let first = series.at.partition_point(|at| *at < start);
                let behind = series.at.partition_point(|at| *at <= end);
                (first, behind.max(first + 1) - 1)
            })
            .collect();
        Some((path, series))
    };
    named.iter().filter_map(load).collect()
}

/// A series whose third column is 1 in anomalies; each run of them is a window.
pub(crate) fn labelled(path: &Path) -> Series {
    let name = path.file_name().expect("a name").to_string_lossy();
    let series = read(path, &name);
    series.unwrap_or_else(|| panic!("no series at {}", path.display()))
}

fn read(path: &Path, name: &str) -> Option<Series> {
    let text = fs::read_to_string(path).ok()?;
    let mut series = Series {
        name: name.to_owned(),
        at: Vec::new(),
        values: Vec::new(),
        windows: Vec::new(),
    };
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        let (Some(at), Ok(value)) = (instant(cells[0]), cells[1].parse()) else {
            assert!(series.at.is_empty(), "{name}: `{line}`");
            continue;
        };
        let row = series.at.len();
        match (
            open,
            cells.get(2).is_some_and(|label| label.starts_with('1')),
        ) {
            (None, true) => open = Some(row),
            (Some(first), false) => {
                series.windows.push((first, row - 1));
                open = None;
            }
            _ => {}
        }
        series.at.push(at);
        series.values.push(value);
    }
    if let Some(first) = open {
        series.windows.push((first, series.at.len() - 1));
    }
    Some(series)
}

/// What our program says of a file, one number per row: its score, where nothing holds it back.
pub(crate) fn ours(path: &Path) -> Vec<f64> {
    let ran = Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["anomaly", "replay"])
        .arg(path)
        .output()
        .expect("the program runs");
    let talk = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {talk}", path.display());
    let lines = ran.stdout.split(|byte| *byte == b'\n');
    let score = |line: &[u8]| {
        let row: Value = serde_json::from_slice(line).expect("a line is JSON");
        let held = row["damped"] == true || row["ready"] == false;
        let score = row["score"].as_f64().filter(|_| !held);
        score.unwrap_or(-1.0)
    };
    lines.filter(|line| !line.is_empty()).map(score).collect()
}

#[test]
fn labels_become_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["labels", "data/real"] {
        fs::create_dir_all(folder.path().join(name)).expect("a folder");
    }
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    put(
        "labels/combined_windows.json",
        r#"{"real/a.csv":[["2014-04-10 00:10:00.000000","2014-04-10 00:20:00.000000"]],
            "real/gone.csv":[]}"#,
    );
    let row =
        |minute: u32, label: &str| format!("2014-04-10 00:{minute:02}:00,{minute}.5{label}\n");
    let plain: String = (0..6).map(|at| row(at * 5, "")).collect();
    put("data/real/a.csv", &format!("timestamp,value\n{plain}"));
    let found = nab_folder(folder.path());
    let [(path, series)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(series.windows, [(2, 4)]);
    assert_eq!(series.values[5].to_string(), "25.5");
    assert_eq!(ours(path), [-1.0; 6]);
    let marked: String = (0..6)
        .map(|at| row(at * 5, if at == 2 || at == 5 { ",1" } else { ",0" }))
        .collect();
    put("marked.csv", &marked);
    let series = labelled(&folder.path().join("marked.csv"));
    assert_eq!(series.windows, [(2, 2), (5, 5)]);
}
