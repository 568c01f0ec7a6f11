//! A guard against getting worse: series made here, of the shapes that a small service shows, with
//! faults whose places are known. It is no proof of worth, for shapes and faults are our own; that
//! is `cargo bench --bench anomaly -- DIR` on the public benchmark.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta};

use super::corpus;
use super::nab::{PROFILES, Series, Sheet};
use super::rivals;

/// Rows of a series, five minutes apart: two weeks.
const ROWS: usize = 4032;
/// Rows of a day.
const DAY: f64 = 288.0;
/// Rows around the beginning of a fault in which an alarm counts as a hit.
const WINDOW: usize = 200;
/// Alarms outside of faults that a fortnight may have.
const WRONG: usize = 2;

/// A generator of even numbers in 0..1 (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around 0 with deviation 1, nearly normal.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

/// A shape: the value of a row, in a fault or not.
type Shape = fn(&mut Dice, usize, bool) -> f64;

/// A detector that ours is measured against.
type Rival = fn(&Series) -> Vec<f64>;

/// Processor load with jobs that are nothing unusual; a fault pins it.
fn load(dice: &mut Dice, _row: usize, fault: bool) -> f64 {
    let job = if dice.even() < 0.05 { 12.0 } else { 0.0 };
    let pinned = if fault { 70.0 } else { 0.0 };
    (8.0 + 1.5 * dice.noise() + job + pinned).clamp(0.0, 100.0)
}

/// Latency with a heavy tail; a fault multiplies it.
fn latency(dice: &mut Dice, _row: usize, fault: bool) -> f64 {
    let usual = 80.0 * (0.25 * dice.noise()).exp();
    if fault { usual * 12.0 } else { usual }
}

/// Traffic by the hour of the day; a fault is a flood.
fn traffic(dice: &mut Dice, row: usize, fault: bool) -> f64 {
    let hour = (row as f64 / DAY * std::f64::consts::TAU).sin();
    let flood = if fault { 5000.0 } else { 0.0 };
    500.0 + 200.0 * hour + 30.0 * dice.noise() + flood
}

/// A queue that is mostly empty; a fault fills it.
fn queue(dice: &mut Dice, _row: usize, fault: bool) -> f64 {
    let waiting = if dice.even() < 0.3 {
        (dice.even() * 4.0).floor()
    } else {
        0.0
    };
    if fault { 300.0 + waiting } else { waiting }
}

/// Free memory that stands almost still; a fault eats it.
fn memory(dice: &mut Dice, _row: usize, fault: bool) -> f64 {
    let eaten = if fault { 900.0 } else { 0.0 };
    2000.0 + 5.0 * dice.noise() - eaten
}

fn make(shape: Shape, seed: u64) -> Series {
    let mut dice = Dice(seed);
    let seed_row = usize::try_from(seed).expect("a small number");
    let faults = [1300 + seed_row * 29, 2900 + seed_row * 31];
    let in_fault = |row: usize| faults.iter().any(|from| (*from..from + 20).contains(&row));
    let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let step = std::time::Duration::from_mins(5);
    let rows = std::iter::successors(Some(start), |at| Some(*at + step));
    Series {
        name: format!("made-{seed}"),
        at: rows.take(ROWS).collect(),
        values: (0..ROWS)
            .map(|row| shape(&mut dice, row, in_fault(row)))
            .collect(),
        windows: faults
            .iter()
            .map(|from| (from - WINDOW / 2, from + WINDOW / 2))
            .collect(),
    }
}

fn corpus() -> Vec<Series> {
    let shapes: [Shape; 5] = [load, latency, traffic, queue, memory];
    let shapes = shapes.into_iter().cycle().zip(0..10);
    shapes.map(|(shape, seed)| make(shape, seed)).collect()
}

fn written(home: &Path, series: &Series) -> PathBuf {
    let mut text = "timestamp,value\n".to_owned();
    for (at, value) in series.at.iter().zip(&series.values) {
        writeln!(text, "{},{value}", at.format("%Y-%m-%d %H:%M:%S")).expect("a text");
    }
    let path = home.join(format!("{}.csv", series.name));
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn every_made_fault_is_found_and_two_quiet_weeks_are_quiet() {
    let home = tempfile::tempdir().expect("a folder");
    for series in corpus() {
        let scores = corpus::ours(&written(home.path(), &series));
        let alarms: Vec<usize> = (0..ROWS).filter(|row| scores[*row] > 0.0).collect();
        let found =
            |(from, to): &(usize, usize)| alarms.iter().any(|row| (from..=to).contains(&row));
        let missed = series.windows.iter().filter(|window| !found(window));
        assert_eq!(missed.count(), 0, "{}: {alarms:?}", series.name);
        let inside = |row: &usize| {
            series
                .windows
                .iter()
                .any(|(from, to)| (from..=to).contains(&row))
        };
        let wrong = alarms.iter().filter(|row| !inside(row)).count();
        assert!(wrong <= WRONG, "{}: {alarms:?}", series.name);
    }
}

#[test]
fn the_rivals_are_no_straw_men() {
    let corpus: Vec<Series> = corpus().into_iter().take(5).collect();
    let rivals: [(&str, Rival); 3] = [
        ("z-score", rivals::z_score),
        ("Windowed Gaussian", rivals::windowed_gaussian),
        ("Skyline", rivals::skyline),
    ];
    for (name, detector) in rivals {
        let scores: Vec<Vec<f64>> = corpus.iter().map(detector).collect();
        for profile in &PROFILES {
            let best = Sheet::new(&corpus, &scores, profile).best();
            assert!(best > 50.0, "{name}, {}: {best}", profile.name);
        }
    }
}
