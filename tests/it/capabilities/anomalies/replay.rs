//! `echopilot anomaly replay`: anybody's series, without a daemon and without a home.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::cli::{Ran, begun, run};

/// A hundred quiet rows and one that is not.
fn series() -> String {
    let mut text = "timestamp,value\n".to_owned();
    for row in 0..100 {
        writeln!(
            text,
            "2026-11-21 {:02}:{:02}:00,{}",
            row / 12,
            row % 12 * 5,
            100 + row % 10
        )
        .expect("a text");
    }
    text + "2026-11-21 09:00:00,900\n"
}

fn replay(text: &str) -> Ran {
    let home = begun();
    let path = home.path().join("series.csv");
    fs::write(&path, text).expect("a file");
    run(
        home.path(),
        &["anomaly", "replay", path.to_str().expect("a name")],
    )
}

fn rows(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    let parse = |line| serde_json::from_str(line).expect("a line is JSON");
    ran.out.lines().map(parse).collect()
}

#[test]
fn each_row_gets_a_verdict_once_there_are_thirty() {
    let ran = replay(&series());
    let rows = rows(&ran);
    assert_eq!(rows.len(), 101);
    assert_eq!(rows[29]["ready"], false);
    assert_eq!(rows[30]["ready"], true);
    assert_eq!(rows[0]["ts"], "2026-11-21T00:00:00.000Z");
    let last = &rows[100];
    assert_eq!(last["row"], 102);
    assert_eq!(last["anomaly"], true);
    assert!(last["score"].as_f64().expect("a score") > 0.0);
    assert!(rows[30..100].iter().all(|row| row["anomaly"] == false));
    assert!(ran.err.contains("101 rows, 1 anomalies"), "{}", ran.err);
}

#[test]
fn values_alone_are_rows_too() {
    let text: String = series().lines().skip(1).fold(String::new(), |text, line| {
        let (_, value) = line.split_once(',').expect("two cells");
        text + value + "\n"
    });
    let rows = rows(&replay(&text));
    assert_eq!(rows.len(), 101);
    assert_eq!(rows[100]["anomaly"], true);
    assert_eq!(rows[0].get("ts"), None);
}

#[test]
fn what_is_no_sample_is_named_by_its_line() {
    for (bad, told) in [
        (
            "2026-11-21 10:00:00,NaN",
            "line 103: `NaN` is no number that can be measured",
        ),
        ("2026-11-21 10:00:00,fast", "line 103: `fast` is no number"),
        ("yesterday,7", "line 103: `yesterday` is no time"),
    ] {
        let ran = replay(&format!("{}{bad}\n", series()));
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains(told), "{}", ran.err);
        assert!(ran.err.contains("hint: a row is"), "{}", ran.err);
    }
}
