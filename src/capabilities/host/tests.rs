//! Rates, hysteresis, forecasts and the shipped configuration, without a machine.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::config::{HostFile, HostRules};
use super::forecast::forecast;
use super::logic::{figures, judge, known, rates, swap};
use super::model::{Change, Figure, Forecast, Key, Known, Rates, Room, Rule, Warning, Watches};
use crate::base::problems::Problems;
use crate::platform::config::{Config, kind};
use crate::seams::host::{
    ClockSync, CpuTicks, Load, Memory, Pressure, Reading, Traffic, UnitReading, UnitState, Volume,
};

/// Seconds between two readings.
const CYCLE: i64 = 180;

fn at(cycle: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().unwrap();
    start + TimeDelta::seconds(cycle * CYCLE)
}

fn rules(text: &str) -> HostRules {
    let mut problems = Problems::new("host.json");
    let tree = problems.parse(text.as_bytes()).expect("JSON");
    let rules = HostFile::read(&tree, &mut problems);
    rules.unwrap_or_else(|| panic!("{problems:?}"))
}

fn ticks(user: u64, system: u64, idle: u64, iowait: u64, steal: u64) -> CpuTicks {
    CpuTicks {
        user,
        system,
        idle,
        iowait,
        steal,
    }
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("a figure");
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

#[test]
fn the_shipped_file_says_the_defaults() {
    assert_eq!(rules(HostFile::SHIPPED), rules("{}"));
}

#[test]
fn every_fault_of_the_file_is_told_at_once() {
    let text = r#"{
        "mounts": ["var", "/", "/"],
        "units": { "--now": {}, "shop": {}, "shop.service": {} },
        "cpu": { "warn_percent": 50, "clear_percent": 60 },
        "disk_full": { "warn_hours": 24, "clear_hours": 12 },
        "oom": { "clear_cycles": 481 }
    }"#;
    let problems = (kind::<HostFile>().check)("host.json", text.as_bytes());
    let mut places: Vec<_> = problems.iter().map(|one| one.path.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        ["oom.clear_cycles"],
        "shapes come first: {problems:?}"
    );
    let text = text.replace("481", "480");
    let problems = (kind::<HostFile>().check)("host.json", text.as_bytes());
    let mut places: Vec<_> = problems.iter().map(|one| one.path.as_str()).collect();
    places.sort_unstable();
    let expected = [
        "cpu.clear_percent",
        "disk_full.clear_hours",
        "mounts[0]",
        "mounts[2]",
        "units.--now",
        "units.shop",
    ];
    assert_eq!(places, expected, "{problems:?}");
}

#[test]
fn rates_are_differences_over_time() {
    let before = Reading {
        cpu: Some(ticks(100, 100, 1000, 50, 0)),
        pressure: Pressure {
            cpu: Some(1_000_000),
            memory: Some(5),
            io: None,
        },
        network: Some(Traffic {
            inward: 1000,
            outward: 9000,
        }),
        ..Reading::default()
    };
    let after = Reading {
        cpu: Some(ticks(150, 110, 1030, 55, 5)),
        pressure: Pressure {
            cpu: Some(2_000_000),
            memory: Some(4),
            io: Some(7),
        },
        network: Some(Traffic {
            inward: 3000,
            outward: 9500,
        }),
        ..Reading::default()
    };
    let found = rates(&before, &after, Duration::from_secs(10));
    close(found.cpu_percent, 65.0);
    close(found.iowait_percent, 5.0);
    close(found.steal_percent, 5.0);
    close(found.pressure_cpu_percent, 10.0);
    assert_eq!(found.pressure_memory_percent, None, "the counter went back");
    assert_eq!(found.pressure_io_percent, None, "there was none before");
    close(found.net_in, 200.0);
    close(found.net_out, 50.0);
    assert_eq!(found.disk_read, None);
}

#[test]
fn counters_begun_anew_say_nothing() {
    let old = Reading {
        boot_id: Some("a".into()),
        cpu: Some(ticks(100, 100, 1000, 50, 0)),
        ..Reading::default()
    };
    let mut new = old.clone();
    new.cpu = Some(ticks(99, 200, 2000, 60, 0));
    let second = Duration::from_secs(1);
    assert_eq!(rates(&old, &new, second).cpu_percent, None);
    // Idle time and waiting may go back: a processor was switched off.
    new.cpu = Some(ticks(150, 150, 990, 40, 0));
    close(rates(&old, &new, second).cpu_percent, 100.0);
    // Another run of the machine, however plausible its counters.
    new.boot_id = Some("b".into());
    assert_eq!(rates(&old, &new, second).cpu_percent, None);
    new.boot_id = old.boot_id.clone();
    assert_eq!(rates(&old, &new, Duration::ZERO).cpu_percent, None);
    assert_eq!(
        rates(&old, &old, second).cpu_percent,
        None,
        "no tick passed"
    );
}

/// A rule that warns at 80 and clears at 70, three and two in a row.
const RULE: Rule = Rule {
    warn: 80.0,
    clear: 70.0,
    raise_cycles: 3,
    clear_cycles: 2,
    falling: false,
};

/// Runs `values` through one rule from cycle 0 on; cycles at which it was raised and cleared.
fn told(values: &[Option<f64>], gaps: &[i64]) -> Vec<(i64, bool)> {
    let mut watches = Watches::new();
    let mut told = Vec::new();
    for (cycle, value) in (0..).zip(values) {
        let figure = Figure {
            key: Key::machine(Warning::HighCpu),
            value: *value,
            rule: RULE,
        };
        let gap = gaps.contains(&cycle);
        let (after, changes) = judge(&watches, &[figure], at(cycle), gap);
        watches = after;
        told.extend(changes.iter().map(|change| (cycle, change.raised)));
    }
    told
}

fn run(values: &[f64]) -> Vec<(i64, bool)> {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    told(&values, &[])
}

#[test]
fn a_warning_needs_bad_readings_in_a_row() {
    assert_eq!(run(&[95.0, 95.0, 79.0, 95.0, 95.0, 79.0]), []);
    assert_eq!(run(&[95.0, 80.0, 95.0, 95.0, 95.0]), [(2, true)]);
    // Between the thresholds it stays; one good reading among them does not clear it.
    let values = [90.0, 90.0, 90.0, 75.0, 69.0, 75.0, 69.0, 70.0, 79.0];
    assert_eq!(run(&values), [(2, true), (7, false)]);
    // An unknown figure neither raises nor clears, and does not break a row.
    let (bad, good) = (Some(90.0), Some(10.0));
    let values = [
        bad, None, bad, None, bad, None, None, None, good, None, good,
    ];
    assert_eq!(told(&values, &[]), [(4, true), (10, false)]);
}

#[test]
fn a_warning_began_with_its_first_bad_reading() {
    let key = Key::machine(Warning::HighCpu);
    let mut watches = Watches::new();
    for (cycle, value) in (0..).zip([90.0, 1.0, 90.0, 90.0, 90.0]) {
        let figure = Figure {
            key: key.clone(),
            value: Some(value),
            rule: RULE,
        };
        let (after, changes) = judge(&watches, &[figure], at(cycle), false);
        assert!(changes.iter().all(|change| change.from == at(2)));
        watches = after;
    }
    assert_eq!(watches[&key].from, Some(at(2)));
    assert_eq!(watches[&key].since, Some(at(4)));
}

#[test]
fn readings_before_a_gap_are_not_in_a_row_with_those_after() {
    let bad = [Some(90.0); 5];
    assert_eq!(told(&bad, &[]), [(2, true)]);
    assert_eq!(told(&bad, &[2]), [(4, true)]);
    let mut values = vec![Some(90.0); 3];
    values.extend([Some(1.0); 3]);
    // Raised it stays over the gap, until it is seen to be well twice.
    assert_eq!(told(&values, &[4]), [(2, true), (5, false)]);
}

#[test]
fn what_is_not_watched_any_more_is_cleared() {
    let key = Key::of(Warning::HighDisk, "/old");
    let figure = Figure {
        key: key.clone(),
        value: Some(99.0),
        rule: Rule {
            raise_cycles: 1,
            ..RULE
        },
    };
    let (watches, raised) = judge(&Watches::new(), &[figure], at(0), false);
    assert!(raised.iter().all(|change| change.raised) && raised.len() == 1);
    let (watches, changes) = judge(&watches, &[], at(1), false);
    let expected = Change {
        key,
        raised: false,
        value: None,
        rule: None,
        from: at(0),
    };
    assert_eq!(changes, [expected]);
    assert!(watches.is_empty());
}

/// Room that `of` tells for each cycle of `hours` hours.
fn rooms(hours: i64, of: impl Fn(f64) -> f64) -> Vec<Room> {
    let cycles = hours * 3600 / CYCLE;
    let room = |cycle: i64| {
        let hour = (cycle * CYCLE) as f64 / 3600.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rooms of tests are small and positive"
        )]
        let available = of(hour).max(0.0) as u64;
        Room {
            at: at(cycle),
            available,
        }
    };
    (0..=cycles).map(room).collect()
}

/// A thousand million bytes.
const GB: f64 = 1e9;

fn hours(found: Forecast) -> f64 {
    match found {
        Forecast::Hours(hours) => hours,
        other => panic!("{other:?} and not a number of hours"),
    }
}

#[test]
fn a_disk_that_fills_evenly_is_foretold() {
    let window = TimeDelta::hours(6);
    // 100 GB, 5 GB an hour: after 6 hours 70 GB are left, for 14 hours.
    let steady = rooms(6, |hour| (100.0 - 5.0 * hour) * GB);
    assert!((hours(forecast(&steady, window)) - 14.0).abs() < 0.01);
    // A wave of the size of the slope does not hide it.
    let noisy = rooms(6, |hour| (100.0 - 5.0 * hour + (hour * 40.0).sin()) * GB);
    assert!((hours(forecast(&noisy, window)) - 14.0).abs() < 1.5);
    // What was quiet for five hours and runs wild in the last is seen within that hour.
    let wild = rooms(6, |hour| (100.0 - 30.0 * (hour - 5.0).max(0.0)) * GB);
    let left = hours(forecast(&wild, window));
    assert!((left - 70.0 / 30.0).abs() < 0.1, "{left}");
}

#[test]
fn what_is_no_slope_is_not_foretold() {
    let window = TimeDelta::hours(6);
    assert_eq!(forecast(&[], window), Forecast::TooFew);
    let short = rooms(6, |hour| (100.0 - hour) * GB);
    assert_eq!(forecast(&short[..9], window), Forecast::TooFew);
    let flat = rooms(6, |_| 50.0 * GB);
    assert_eq!(forecast(&flat, window), Forecast::Never);
    let growing = rooms(6, |hour| (50.0 + hour) * GB);
    assert_eq!(forecast(&growing, window), Forecast::Never);
    // One large file, whenever it came.
    for minute in 1..360 {
        let when = f64::from(minute) / 60.0;
        let step = rooms(6, |hour| if hour < when { 50.0 } else { 30.0 } * GB);
        assert_eq!(forecast(&step, window), Forecast::Never, "after {when} h");
    }
    // Rotation takes back what was written.
    let saw = rooms(6, |hour| (50.0 - 10.0 * hour.fract()) * GB);
    assert_eq!(forecast(&saw[..101], window), Forecast::Never);
}

#[test]
fn a_clock_that_was_set_back_does_not_bend_the_line() {
    let window = TimeDelta::hours(6);
    let mut past = rooms(6, |hour| (100.0 - 5.0 * hour) * GB);
    // Readings of a time that has not come yet stand before the others.
    let future = past.iter().map(|room| Room {
        at: room.at + TimeDelta::days(2),
        available: 1,
    });
    let mut all: Vec<_> = future.collect();
    all.append(&mut past);
    assert!((hours(forecast(&all, window)) - 14.0).abs() < 0.01);
}

fn value(rules: &HostRules, reading: &Reading, before: &Known, key: &Key) -> Option<f64> {
    let all = figures(
        rules,
        reading,
        &rates(reading, reading, Duration::ZERO),
        before,
        &BTreeMap::new(),
    );
    let found = all.iter().find(|figure| figure.key == *key);
    found.unwrap_or_else(|| panic!("no figure {key}")).value
}

#[test]
fn figures_are_what_people_reckon() {
    let rules = rules(r#"{ "mounts": ["/"], "units": { "shop.service": { "memory_mib": 100 } } }"#);
    let mut reading = Reading {
        cpus: Some(4),
        load: Some(Load {
            one: 1.0,
            five: 6.0,
            fifteen: 3.0,
        }),
        memory: Some(Memory {
            total: 1000,
            available: 250,
            swap_total: 0,
            swap_free: 0,
        }),
        ..Reading::default()
    };
    // As `df` does: what only root may use is neither used nor free.
    let volume = Volume {
        used: 80,
        available: 15,
        inodes_used: 0,
        inodes_free: 0,
    };
    reading.volumes.insert("/".into(), Some(volume));
    let unit = UnitReading {
        state: UnitState::Active,
        memory: Some(75 * 1024 * 1024),
        memory_most: Some(1),
        ..UnitReading::default()
    };
    reading.units.insert("shop.service".into(), unit);
    let of = |key: Key| value(&rules, &reading, &Known::default(), &key);
    close(of(Key::machine(Warning::HighLoad)), 150.0);
    close(of(Key::machine(Warning::HighRam)), 75.0);
    assert_eq!(swap(&reading), None, "there is no swap");
    close(of(Key::of(Warning::HighDisk, "/")), 80.0 / 95.0 * 100.0);
    assert_eq!(
        of(Key::of(Warning::HighInodes, "/")),
        None,
        "btrfs has none"
    );
    assert_eq!(of(Key::of(Warning::DiskFullSoon, "/")), None);
    close(of(Key::of(Warning::UnitFailed, "shop.service")), 0.0);
    close(of(Key::of(Warning::HighUnitMemory, "shop.service")), 75.0);
    assert_eq!(
        of(Key::machine(Warning::ClockUnsynced)),
        None,
        "unknown is not well"
    );
    reading.clock = ClockSync::Unsynced;
    let clock = Key::machine(Warning::ClockUnsynced);
    close(value(&rules, &reading, &Known::default(), &clock), 1.0);
}

#[test]
fn kills_and_restarts_are_counted_since_the_run_before() {
    let rules = rules(r#"{ "units": { "shop.service": {} } }"#);
    let killed = Key::machine(Warning::OomKill);
    let again = Key::of(Warning::UnitRestarted, "shop.service");
    let mut reading = Reading {
        boot_id: Some("a".into()),
        oom_kills: Some(7),
        ..Reading::default()
    };
    let unit = UnitReading {
        restarts: Some(3),
        ..UnitReading::default()
    };
    reading.units.insert("shop.service".into(), unit);
    let none = Known::default();
    close(value(&rules, &reading, &none, &killed), 0.0);
    close(value(&rules, &reading, &none, &again), 0.0);
    let first = known(&reading, &none);
    let mut next = reading.clone();
    next.oom_kills = Some(9);
    close(value(&rules, &next, &first, &killed), 2.0);
    next.units.get_mut("shop.service").unwrap().restarts = Some(4);
    close(value(&rules, &next, &first, &again), 1.0);
    // Started by hand: systemd counts from zero again.
    next.units.get_mut("shop.service").unwrap().restarts = Some(0);
    close(value(&rules, &next, &first, &again), 0.0);
    // The machine was started anew and has killed one since.
    next.boot_id = Some("b".into());
    next.oom_kills = Some(1);
    close(value(&rules, &next, &first, &killed), 1.0);
    // Nothing could be read: what is known stays known.
    assert_eq!(known(&Reading::default(), &first).oom_kills, Some(7));
}

#[test]
fn words_are_told_apart_and_read_back() {
    for warning in Warning::ALL {
        assert_eq!(Warning::from_word(warning.word()), Some(warning));
    }
    assert_eq!(Key::of(Warning::HighDisk, "/var").listed(), "high_disk");
    let unit = Key::of(Warning::UnitFailed, "shop.service");
    assert_eq!(unit.listed(), "unit_failed:shop.service");
}

#[test]
fn what_cannot_be_measured_any_more_on_purpose_does_not_stay_raised() {
    let rules = rules(r#"{ "units": { "shop.service": {} } }"#);
    let mut reading = Reading {
        memory: Some(Memory {
            total: 1000,
            available: 500,
            swap_total: 1000,
            swap_free: 0,
        }),
        ..Reading::default()
    };
    let unit = UnitReading {
        state: UnitState::Active,
        memory: Some(99),
        memory_most: Some(100),
        ..UnitReading::default()
    };
    reading.units.insert("shop.service".into(), unit);
    let look = |reading: &Reading, watches: &Watches, cycle| {
        let rates = Rates::default();
        let (known, none) = (Known::default(), BTreeMap::new());
        let figures = figures(&rules, reading, &rates, &known, &none);
        judge(watches, &figures, at(cycle), false)
    };
    let mut watches = Watches::new();
    for cycle in 0..5 {
        watches = look(&reading, &watches, cycle).0;
    }
    let raised = |watches: &Watches| {
        let raised = watches.iter().filter(|(_, watch)| watch.since.is_some());
        raised.map(|(key, _)| key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(raised(&watches).len(), 2, "{:?}", raised(&watches));
    // Nothing is known: both stay.
    let mut silent = reading.clone();
    silent.memory = None;
    silent
        .units
        .insert("shop.service".into(), UnitReading::default());
    assert_eq!(raised(&look(&silent, &watches, 5).0).len(), 2);
    // The swap is switched off and the bound is taken away.
    let memory = reading.memory.as_mut().expect("memory");
    (memory.swap_total, memory.swap_free) = (0, 0);
    let unit = reading.units.get_mut("shop.service").expect("a unit");
    unit.memory_most = None;
    let (watches, changes) = look(&reading, &watches, 6);
    assert!(raised(&watches).is_empty(), "{:?}", raised(&watches));
    assert_eq!(changes.len(), 2);
}
