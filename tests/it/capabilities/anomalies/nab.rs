//! Scores of the Numenta Anomaly Benchmark (Lavin and Ahmad, 2015), written from its description.
//!
//! A labelled window earns up to 1, the more the earlier the first alarm in it; a missed one costs.
//! An alarm outside costs, a little less just behind a window. The first 15 % of a series, at most
//! 750 rows, are not scored. One threshold per detector and profile for the whole corpus, the best
//! there is. 100 is perfect, 0 is a detector that never speaks.

use chrono::{DateTime, Utc};

/// Share of a series that is not scored.
const PROBATION: f64 = 0.15;
/// Rows at most that it is taken of.
const PROBATION_ROWS: f64 = 5000.0;
/// Steepness of the sigmoid (no unit).
const STEEP: f64 = 5.0;
/// Widths behind a window from which on an alarm costs all.
const FAR: f64 = 3.0;

/// A labelled series.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Where it comes from.
    pub(crate) name: String,
    /// When each value was measured.
    pub(crate) at: Vec<DateTime<Utc>>,
    /// The values.
    pub(crate) values: Vec<f64>,
    /// First and last row of each labelled anomaly, in order.
    pub(crate) windows: Vec<(usize, usize)>,
}

/// What an application cares for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// Its name.
    pub(crate) name: &'static str,
    /// Cost of an alarm outside all windows.
    pub(crate) false_positive: f64,
    /// Cost of a window without an alarm.
    pub(crate) false_negative: f64,
}

/// The benchmark's three profiles; a hit is worth 1 in all of them.
pub(crate) const PROFILES: [Profile; 3] = [
    Profile {
        name: "standard",
        false_positive: 0.11,
        false_negative: 1.0,
    },
    Profile {
        name: "low FP",
        false_positive: 0.22,
        false_negative: 1.0,
    },
    Profile {
        name: "low FN",
        false_positive: 0.11,
        false_negative: 2.0,
    },
];

/// One row that is scored: what the detector said, what an alarm there is worth, in which window.
#[derive(Debug, Clone, Copy)]
struct Point {
    score: f64,
    worth: f64,
    window: Option<usize>,
}

/// A corpus under one detector and one profile.
#[derive(Debug)]
pub(crate) struct Sheet {
    points: Vec<Point>,
    windows: usize,
    missed: f64,
}

impl Sheet {
    /// Lays out what each alarm would be worth. `scores` are by series, one per row.
    pub(crate) fn new(corpus: &[Series], scores: &[Vec<f64>], profile: &Profile) -> Self {
        let mut points = Vec::new();
        let mut windows = 0;
        for (series, scores) in corpus.iter().zip(scores) {
            assert_eq!(series.values.len(), scores.len(), "{}", series.name);
            lay_out(series, scores, profile, windows, &mut points);
            windows += series.windows.len();
        }
        points.sort_by(|one, other| other.score.total_cmp(&one.score));
        Self {
            points,
            windows,
            missed: -profile.false_negative,
        }
    }

    /// The normalised score at the best threshold.
    pub(crate) fn best(&self) -> f64 {
        self.sweep().map(|(_, total)| total).fold(0.0, f64::max)
    }

    /// The normalised score when every row with a score above `threshold` is an alarm.
    pub(crate) fn above(&self, threshold: f64) -> f64 {
        self.sweep()
            .take_while(|(lowest, _)| *lowest > threshold)
            .last()
            .map_or(0.0, |(_, total)| total)
    }

    /// Thresholds downwards, each with the normalised score of an alarm at it and above.
    fn sweep(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        // Windows that lie in the rows which are not scored are not there at all.
        let seen = |window: &usize| self.points.iter().any(|one| one.window == Some(*window));
        let count = (0..self.windows).filter(seen).count() as f64;
        let mut hits = vec![self.missed; self.windows];
        let (nothing, mut total) = (self.missed * count, self.missed * count);
        let mut points = self.points.iter().peekable();
        std::iter::from_fn(move || {
            let threshold = points.peek()?.score;
            while let Some(point) = points.next_if(|point| point.score >= threshold) {
                match point.window {
                    None => total += point.worth,
                    Some(window) if point.worth > hits[window] => {
                        total += point.worth - hits[window];
                        hits[window] = point.worth;
                    }
                    Some(_) => {}
                }
            }
            Some((threshold, (total - nothing) / (count - nothing) * 100.0))
        })
    }
}

fn lay_out(
    series: &Series,
    scores: &[f64],
    profile: &Profile,
    before: usize,
    points: &mut Vec<Point>,
) {
    let rows = series.values.len();
    let probation = (PROBATION * rows as f64)
        .floor()
        .min(PROBATION * PROBATION_ROWS);
    let mut upcoming = series.windows.iter().enumerate().peekable();
    let mut last: Option<(usize, usize)> = None;
    for (row, score) in scores.iter().enumerate() {
        while let Some((_, passed)) = upcoming.next_if(|(_, (_, end))| *end < row) {
            last = Some(*passed);
        }
        let inside = upcoming.peek().filter(|(_, (start, _))| *start <= row);
        let (worth, window) = if let Some((number, (start, end))) = inside {
            let (width, left) = ((end - start + 1) as f64, (end - row + 1) as f64);
            (
                sigmoid(-left / width) / sigmoid(-1.0),
                Some(before + number),
            )
        } else {
            let far = last.map_or(FAR, |(start, end)| {
                (row - end) as f64 / ((end - start) as f64).max(1.0)
            });
            (sigmoid(far.min(FAR)) * profile.false_positive, None)
        };
        if row as f64 >= probation {
            points.push(Point {
                score: *score,
                worth,
                window,
            });
        }
    }
}

/// From 1 far before through 0 to −1 far behind.
fn sigmoid(place: f64) -> f64 {
    if place >= FAR {
        return -1.0;
    }
    2.0 / (1.0 + (STEEP * place).exp()) - 1.0
}

#[test]
fn a_perfect_alarm_is_100_and_silence_0() {
    let series = Series {
        name: "one".to_owned(),
        at: vec![DateTime::UNIX_EPOCH; 1000],
        values: vec![0.0; 1000],
        windows: vec![(500, 599), (800, 899)],
    };
    let corpus = [series];
    for profile in &PROFILES {
        let alarms = |rows: &[usize]| {
            let mut scores = vec![0.0; 1000];
            for row in rows {
                scores[*row] = 1.0;
            }
            Sheet::new(&corpus, &[scores], profile)
        };
        assert!((alarms(&[500, 800]).above(0.5) - 100.0).abs() < 1e-9);
        assert!(alarms(&[]).above(0.5).abs() < 1e-9);
        // Late is worth less, a second alarm in a window nothing, one far from all windows costs.
        let late = alarms(&[560, 800]).above(0.5);
        assert!(late < 100.0 && late > 90.0, "{late}");
        assert!((alarms(&[500, 550, 800]).above(0.5) - 100.0).abs() < 1e-9);
        let cost = 100.0 - alarms(&[300, 500, 800]).above(0.5);
        let whole = 2.0 * (1.0 + profile.false_negative);
        assert!((cost - profile.false_positive / whole * 100.0).abs() < 1e-9);
        // The first 150 rows are free.
        assert!((alarms(&[100, 500, 800]).above(0.5) - 100.0).abs() < 1e-9);
        assert!((alarms(&[500, 800]).best() - 100.0).abs() < 1e-9);
    }
}
