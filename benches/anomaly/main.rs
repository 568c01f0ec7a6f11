//! The anomaly detector on the Numenta Anomaly Benchmark, beside a plain z-score, the Windowed
//! Gaussian and Etsy's Skyline: `cargo bench --bench anomaly -- DIR`, where `DIR` is a checkout of
//! that benchmark (`data/`, `labels/combined_windows.json`) or holds CSV files `time,value,label`.
//!
//! Ours goes through `echopilot anomaly replay` as shipped; its threshold is 0 and not tuned. The
//! others get the best threshold that there is for each profile.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench stands outside: it reads files and talks"
)]

#[path = "../../tests/it/capabilities/anomalies/corpus.rs"]
mod corpus;
#[path = "../../tests/it/capabilities/anomalies/nab.rs"]
mod nab;
#[path = "../../tests/it/capabilities/anomalies/rivals.rs"]
mod rivals;

use std::path::{Path, PathBuf};

use nab::{PROFILES, Series, Sheet};

fn main() {
    let Some(folder) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) else {
        println!("usage: cargo bench --bench anomaly -- DIR");
        return;
    };
    let found = load(Path::new(&folder));
    let (paths, corpus): (Vec<PathBuf>, Vec<Series>) = found.into_iter().unzip();
    let rows: usize = corpus.iter().map(|series| series.values.len()).sum();
    let windows: usize = corpus.iter().map(|series| series.windows.len()).sum();
    println!("{} series, {rows} rows, {windows} windows", corpus.len());
    let over = |detector: fn(&Series) -> Vec<f64>| corpus.iter().map(detector).collect();
    let ours: Vec<Vec<f64>> = paths.iter().map(|path| corpus::ours(path)).collect();
    let rivals: [(&str, Vec<Vec<f64>>); 3] = [
        ("z-score, 500", over(rivals::z_score)),
        ("Windowed Gaussian", over(rivals::windowed_gaussian)),
        ("Etsy Skyline", over(rivals::skyline)),
    ];
    let heads = PROFILES.map(|profile| format!("{:>9}", profile.name));
    println!("{:28}{}", "", heads.join(""));
    row(
        "echopilot, as shipped",
        |sheet| sheet.above(0.0),
        &corpus,
        &ours,
    );
    row("echopilot, best threshold", Sheet::best, &corpus, &ours);
    for (name, scores) in &rivals {
        row(name, Sheet::best, &corpus, scores);
    }
}

fn row(name: &str, score: fn(&Sheet) -> f64, corpus: &[Series], scores: &[Vec<f64>]) {
    let cell = |profile| format!("{:>9.1}", score(&Sheet::new(corpus, scores, profile)));
    let cells: Vec<String> = PROFILES.iter().map(cell).collect();
    println!("{name:28}{}", cells.join(""));
}

fn load(folder: &Path) -> Vec<(PathBuf, Series)> {
    if folder.join("labels").is_dir() {
        return corpus::nab_folder(folder);
    }
    let listed = std::fs::read_dir(folder);
    let listed = listed.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    paths.sort();
    let labelled = paths.into_iter().map(|path| {
        let series = corpus::labelled(&path);
        (path, series)
    });
    labelled.collect()
}
