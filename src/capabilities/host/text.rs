//! Sentences about warnings, with the numbers that made them. Pure.

use super::event::Readings;
use super::model::{Key, Rule, Warning};

/// What is too bad, and from where on it is.
pub(super) fn raised(key: &Key, value: Option<f64>, rule: &Rule, readings: &Readings) -> String {
    let told = told(key, value, readings);
    match unit_of(key.warning) {
        Some(unit) => format!("{told}; warned from {}{unit} on", number(rule.warn)),
        None => told,
    }
}

/// How it ended.
pub(super) fn cleared(
    key: &Key,
    value: Option<f64>,
    rule: Option<&Rule>,
    readings: &Readings,
) -> String {
    let Some(rule) = rule else {
        return format!("`{}` is not watched any more", key.of);
    };
    let of = &key.of;
    match key.warning {
        Warning::OomKill => "no process was ended for want of memory since".to_owned(),
        Warning::ClockUnsynced => "the clock is synchronised again".to_owned(),
        Warning::UnitFailed => format!("`{of}` runs again"),
        Warning::UnitRestarted => format!("`{of}` was not started again since"),
        Warning::DiskFullSoon => match value.filter(|value| value.is_finite()) {
            Some(hours) => format!("the disk of `{of}` has {} h left", number(hours)),
            None => format!("the disk of `{of}` is not filling any more"),
        },
        warning => {
            let unit = unit_of(warning).unwrap_or_default();
            let told = told(key, value, readings);
            format!("{told}; well again at {}{unit}", number(rule.clear))
        }
    }
}

/// What the threshold is in.
const fn unit_of(warning: Warning) -> Option<&'static str> {
    match warning {
        Warning::OomKill
        | Warning::ClockUnsynced
        | Warning::UnitFailed
        | Warning::UnitRestarted => None,
        Warning::DiskFullSoon => Some(" h"),
        _ => Some(" %"),
    }
}

fn told(key: &Key, value: Option<f64>, readings: &Readings) -> String {
    let of = &key.of;
    let n = value.map_or_else(|| "?".to_owned(), number);
    match key.warning {
        Warning::HighCpu => format!("processors are {n} % busy"),
        Warning::HighLoad => format!("the load of 5 minutes is {n} % of the processors"),
        Warning::HighRam => format!("memory is {n} % used"),
        Warning::HighSwap => format!("swap is {n} % used"),
        Warning::HighPressureCpu => format!("tasks wait for a processor in {n} % of the time"),
        Warning::HighPressureMemory => format!("tasks wait for memory in {n} % of the time"),
        Warning::HighPressureIo => format!("tasks wait for a disk in {n} % of the time"),
        Warning::HighDisk => format!("the disk of `{of}` is {n} % full"),
        Warning::HighInodes => format!("{n} % of the inodes of `{of}` are used"),
        Warning::DiskFullSoon => format!("the disk of `{of}` is full in {n} h at this rate"),
        Warning::LowFds => format!("{n} % of the file handles of `{of}` are open"),
        Warning::OomKill => format!("the kernel has ended {n} for want of memory"),
        Warning::ClockUnsynced => "the clock is not synchronised".to_owned(),
        Warning::UnitFailed => {
            let unit = readings.units.get(of);
            let said = unit.map_or("", |unit| unit.said.as_str());
            format!("`{of}` does not run: {said}")
        }
        Warning::UnitRestarted => format!("systemd has started `{of}` again, {n} times"),
        Warning::HighUnitMemory => format!("`{of}` uses {n} % of its memory"),
    }
}

/// With one digit behind the point where it says something.
fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}
