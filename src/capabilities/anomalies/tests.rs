//! What the detector promises, at its own door.

use chrono::{DateTime, TimeDelta, Utc};

use super::logic::{Detector, Limits, MAX_RATIO, MAX_VALUE, NotANumber, Verdict};

fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A detector at one sample a minute, and a time at which its model is made again.
fn trained(values: impl IntoIterator<Item = f64>) -> (Detector, DateTime<Utc>) {
    let (mut detector, mut now) = (Detector::default(), start());
    for value in values {
        now += TimeDelta::minutes(1);
        detector
            .train(value, &Limits::default(), now)
            .expect("a number");
    }
    (detector, now + TimeDelta::minutes(5))
}

fn wave(count: u32) -> impl Iterator<Item = f64> {
    (0..count).map(|at| 100.0 + f64::from(at % 10))
}

fn judged(detector: &Detector, value: f64, now: DateTime<Utc>) -> Verdict {
    let verdict = detector.judge(value, &Limits::default(), now);
    verdict.expect("a number").expect("ready")
}

#[test]
fn thirty_samples_make_it_ready() {
    let (mut detector, now) = trained(wave(29));
    assert_eq!(detector.judge(500.0, &Limits::default(), now), Ok(None));
    detector
        .train(100.0, &Limits::default(), now)
        .expect("a number");
    assert!(judged(&detector, 500.0, now).anomaly);
}

#[test]
fn a_score_is_the_smaller_of_the_two_parts_of_their_limits() {
    // 100 … 109, fifty times: mean 104.5, deviation √8.25, quartiles 102 and 107.
    let (detector, now) = trained(wave(500));
    let verdict = judged(&detector, 130.0, now);
    let z = 25.5 / 8.25_f64.sqrt();
    let by_z = z / 5.5;
    let by_quartiles = 23.0 / (2.75 * 5.0);
    assert!(by_z < by_quartiles);
    assert!((verdict.z - z).abs() < 1e-9);
    assert!((verdict.score - (by_z - 1.0)).abs() < 1e-9);
    assert!(verdict.anomaly);
    let below = judged(&detector, 89.0, now);
    assert!(!below.anomaly && below.z < 0.0);
}

#[test]
fn one_test_alone_is_no_anomaly() {
    // One giant widens the deviation, not the quartiles: 118 is far outside the quartiles only.
    let (detector, now) = trained(wave(499).chain([100_000.0]));
    let verdict = judged(&detector, 400.0, now);
    assert!(!verdict.anomaly, "{verdict:?}");
    // Two heights with little between: outside in deviations would need outside the quartiles.
    let (detector, now) = trained((0..500).map(|at| f64::from(at % 2) * 100.0));
    let verdict = judged(&detector, 340.0, now);
    assert!(verdict.z > 5.5 && !verdict.anomaly, "{verdict:?}");
}

#[test]
fn a_question_does_not_train() {
    let (detector, now) = trained(wave(100));
    let before = detector.clone();
    let first = judged(&detector, 900.0, now);
    let later = judged(&detector, 900.0, now + TimeDelta::hours(3));
    assert_eq!(detector, before);
    assert_eq!(first, later);
}

#[test]
fn after_an_anomaly_the_next_must_be_worse_for_150_samples() {
    let (mut detector, now) = trained(wave(500));
    let limits = Limits {
        retrain_after: TimeDelta::days(9),
        ..Limits::default()
    };
    let mut train = |value| {
        detector
            .train(value, &limits, now)
            .expect("a number")
            .expect("ready")
    };
    let first = train(140.0);
    assert!(first.anomaly && !first.damped);
    let ratio = first.score + 1.0;
    // The model stands still, so the ratio grows with the distance from the mean.
    let at_ratio = |times: f64| 104.5 + 35.5 * times;
    let same = train(140.0);
    assert!(same.damped && !same.anomaly && same.score > 0.0);
    assert!(train(at_ratio(1.14)).damped);
    let worse = train(at_ratio(1.16));
    assert!(worse.anomaly, "{worse:?}");
    assert!(worse.score + 1.0 > ratio * 1.15);
    for _ in 0..150 {
        let verdict = train(140.0);
        assert!(verdict.damped, "{verdict:?}");
    }
    assert!(train(140.0).anomaly);
}

#[test]
fn a_constant_series_knows_another_value() {
    let (mut detector, now) = trained(std::iter::repeat_n(0.1, 200));
    let same = judged(&detector, 0.1, now);
    assert!(same.z.abs() < f64::EPSILON && (same.score + 1.0).abs() < f64::EPSILON);
    for other in [0.100_001, -3.0, 1e140] {
        let verdict = judged(&detector, other, now);
        assert!(verdict.anomaly, "{other}");
        assert!(
            (verdict.score - (MAX_RATIO - 1.0)).abs() < f64::EPSILON,
            "{verdict:?}"
        );
        assert!(verdict.z.is_finite());
    }
    // A step is told once, not at each of its samples.
    let limits = Limits::default();
    let mut train = || {
        detector
            .train(7.0, &limits, now)
            .expect("a number")
            .expect("ready")
    };
    assert!(train().anomaly);
    assert!((0..150).all(|_| !train().anomaly));
}

#[test]
fn quartiles_that_meet_leave_it_to_the_deviation() {
    let (detector, now) = trained((0..400).map(|at| if at % 10 == 0 { 5.0 } else { 0.0 }));
    assert!(!judged(&detector, 5.0, now).anomaly);
    assert!(judged(&detector, 50.0, now).anomaly);
    assert!(!judged(&detector, 0.0, now).anomaly);
}

#[test]
fn what_is_no_number_is_refused_and_leaves_nothing() {
    let (mut detector, now) = trained(wave(40));
    let before = detector.clone();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, MAX_VALUE * 10.0] {
        assert_eq!(
            detector.train(value, &Limits::default(), now),
            Err(NotANumber)
        );
        assert_eq!(
            detector.judge(value, &Limits::default(), now),
            Err(NotANumber)
        );
    }
    assert_eq!(detector, before);
    let (huge, now) = trained((0..500).map(|at| if at % 2 == 0 { MAX_VALUE } else { -MAX_VALUE }));
    assert!(judged(&huge, 1.0, now).score.is_finite());
}

#[test]
fn the_model_is_made_again_after_five_minutes_and_while_the_window_fills() {
    let limits = Limits::default();
    let mut detector = Detector::default();
    let now = start();
    for value in wave(500) {
        detector.train(value, &limits, now).expect("a number");
    }
    let samples = |detector: &Detector, at| detector.model(&limits, at).map(|model| model.samples);
    // All within one moment: made at 30, then at each quarter more.
    let made = samples(&detector, now).expect("ready");
    assert!((400..=500).contains(&made), "{made}");
    for value in wave(100) {
        detector
            .train(value + 50.0, &limits, now)
            .expect("a number");
    }
    let old = detector
        .model(&limits, now + TimeDelta::seconds(299))
        .expect("ready");
    assert!(old.mean < 110.0, "{old:?}");
    let new = detector
        .model(&limits, now + TimeDelta::seconds(300))
        .expect("ready");
    assert!(new.mean > 110.0, "{new:?}");
    // A clock that was set back does not keep a model for ever.
    let back = detector
        .model(&limits, now - TimeDelta::hours(1))
        .expect("ready");
    assert!(back.mean > 110.0);
}

#[test]
fn the_window_forgets() {
    let (detector, now) = trained(std::iter::repeat_n(1e6, 300).chain(wave(500)));
    assert_eq!(detector.window().len(), 500);
    assert_eq!(detector.seen(), 800);
    assert!(judged(&detector, 1e6, now).anomaly);
}
