//! How much the store takes in memory, by its own estimate.

use super::histogram::Histogram;
use super::rows::{Counts, Row};
use super::series::{DAY, HOUR, Wish};
use super::state::{Closed, State};
use crate::storage::view::{Reader, View as _};

/// Durations around 50 ms, log-normal. A spread of 1 is that of a web application (the tenth
/// percentile a quarter, the 99th ten times the middle), 0.4 that of probes of one page.
fn durations(seed: u32, n: u64, spread: f64) -> Histogram {
    let mut histogram = Histogram::default();
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut unit = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    for _ in 0..n {
        let normal = (-2.0 * (1.0 - unit()).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "test data"
        )]
        histogram.add(((normal * spread + 10.8).exp()) as u64, 1);
    }
    histogram
}

fn row(series: &str, minute: u32, n: u64) -> Row {
    let spread = if series.starts_with("probe") {
        0.4
    } else {
        1.0
    };
    Row {
        minute,
        series: series.into(),
        counts: Counts { total: n, bad: 0 },
        durations: durations(minute, n, spread),
    }
}

/// Thirty days of `light` series with two samples a minute and `fine` ones with 600. What lies
/// behind the minutes that are kept comes by the hour, which makes no difference in memory.
fn thirty_days(light: u32, fine: u32) -> State {
    let mut state = State::default();
    for number in 0..fine {
        state.wish(&format!("nginx:route-{number}"), Wish::of(&[200_000]));
    }
    let end = 600 * DAY + 18 * HOUR;
    for hour in (end / HOUR - 30 * 24)..end / HOUR {
        for number in 0..light {
            let name = format!("probe:home-page-{number}");
            let ago = end / HOUR - hour;
            if ago <= 3 {
                let minutes = hour * HOUR..(hour + 1) * HOUR;
                minutes.for_each(|minute| state.take_row(0, "probes", row(&name, minute, 2)));
            } else {
                // Their durations are dropped again after 26 hours.
                let mut one = row(&name, hour * HOUR, if ago < 40 { 120 } else { 1 });
                one.counts.total = 120;
                state.take_row(0, "probes", one);
            }
        }
        for number in 0..fine {
            let name = format!("nginx:route-{number}");
            if end / HOUR - hour <= 3 {
                let minutes = hour * HOUR..(hour + 1) * HOUR;
                minutes.for_each(|minute| state.take_row(0, "tail", row(&name, minute, 600)));
            } else {
                (0..60).for_each(|minute| {
                    state.take_row(0, "tail", row(&name, hour * HOUR + minute, 20));
                });
                state.take_row(0, "tail", row(&name, hour * HOUR, 1000));
            }
        }
        let until = hour * HOUR;
        state.begin_closing(Closed { through: 0, until });
        state.end_closing();
    }
    state
}

#[test]
fn thirty_days_of_five_hundred_series_take_twelve_megabytes() {
    let state = thirty_days(20, 1);
    let (bytes, empty) = (state.bytes(), State::default().bytes());
    let light = thirty_days(20, 0).bytes() - empty;
    let fine = bytes - empty - light;
    // Ids take at most 48 bytes each, in a queue and in a set.
    let all = empty + light * 25 + fine * 20 + 16_384 * 48;
    assert!(
        all <= 12 << 20,
        "{all} bytes: light {}, fine {}",
        light / 50,
        fine / 2
    );
    let mut saved = Vec::new();
    state.save(&mut saved);
    let again = State::restore(&mut Reader::new(&saved)).expect("whole");
    let mut twice = Vec::new();
    again.save(&mut twice);
    assert!(saved.len() <= bytes, "{} bytes saved", saved.len());
    for series in state.series() {
        let other = again.find(&series.name).expect("restored");
        assert_eq!(other.counts(0, u32::MAX), series.counts(0, u32::MAX));
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        series.durations(0, u32::MAX, &mut left);
        other.durations(0, u32::MAX, &mut right);
        assert_eq!(left, right);
    }
}
