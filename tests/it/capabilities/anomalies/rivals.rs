//! The detectors that ours is measured against, written from their descriptions: a plain z-score,
//! the Windowed Gaussian of the Numenta benchmark and the ensemble of Etsy's Skyline.
//!
//! Each gives one number per row, the higher the stranger; where its scale saturates, so does it.

use std::collections::VecDeque;

use super::nab::Series;

/// Samples in the window of the plain z-score: as many as ours has.
const Z_WINDOW: usize = 500;
/// Samples in the window of the Windowed Gaussian, as its authors tuned it.
const GAUSSIAN_WINDOW: usize = 6400;
/// Samples by which it slides once it is full.
const GAUSSIAN_STEP: usize = 100;
/// Deviations beyond which one minus the tail probability is 1 in a double.
const SATURATED: f64 = 8.3;

/// Mean and squared deviations, one value after the other (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Running {
    fn of<'a>(values: impl IntoIterator<Item = &'a f64>) -> Self {
        let mut running = Self::default();
        values.into_iter().for_each(|value| running.add(*value));
        running
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    /// Divided by n.
    fn deviation(&self) -> f64 {
        (self.squares / self.count).sqrt()
    }

    /// Divided by n − 1; NaN for a single value.
    fn sample_deviation(&self) -> f64 {
        (self.squares / (self.count - 1.0)).sqrt()
    }
}

/// |z| over the values before.
pub(crate) fn z_score(series: &Series) -> Vec<f64> {
    let mut window = VecDeque::with_capacity(Z_WINDOW);
    let judge = |value: &f64| {
        let running = Running::of(&window);
        let z = ((value - running.mean) / running.deviation().max(1e-9)).abs();
        let score = if window.len() < 30 { 0.0 } else { z };
        if window.len() == Z_WINDOW {
            window.pop_front();
        }
        window.push_back(*value);
        score
    };
    series.values.iter().map(judge).collect()
}

/// One minus the tail probability under a normal distribution of the values before. It grows with
/// |z| until a double has no room between it and 1, so |z| up to there stands for it.
pub(crate) fn windowed_gaussian(series: &Series) -> Vec<f64> {
    let (mut window, mut slide) = (VecDeque::new(), Vec::new());
    let mut running = Running::default();
    let judge = |value: &f64| {
        let deviation = match running.deviation() {
            deviation if deviation > 0.0 => deviation,
            _ => 1e-6,
        };
        let z = (value - running.mean).abs() / deviation;
        let score = if window.is_empty() {
            0.0
        } else {
            z.min(SATURATED)
        };
        if window.len() < GAUSSIAN_WINDOW {
            window.push_back(*value);
            running.add(*value);
        } else {
            slide.push(*value);
            if slide.len() == GAUSSIAN_STEP {
                window.drain(..GAUSSIAN_STEP);
                window.extend(slide.drain(..));
                running = Running::of(&window);
            }
        }
        score
    };
    series.values.iter().map(judge).collect()
}

/// The share of Skyline's seven tests that object, over all values so far.
pub(crate) fn skyline(series: &Series) -> Vec<f64> {
    let mut seen = Seen::default();
    let rows = series.at.iter().zip(&series.values);
    rows.map(|(at, value)| {
        let before = seen.all;
        seen.take(at.timestamp() as f64, *value);
        let tests = [
            seen.far_from_the_median(),
            seen.unlike_an_hour_a_day_ago(),
            is_off(seen.tail(), seen.all.mean, seen.all.sample_deviation()),
            is_off(*value, seen.slow.mean(), seen.slow.deviation()),
            is_off(*value, before.mean, before.sample_deviation()),
            seen.off_the_line(),
            seen.in_a_rare_bin(),
        ];
        tests.iter().filter(|objects| **objects).count() as f64 / tests.len() as f64
    })
    .collect()
}

/// All values so far, in the forms that the tests ask for.
#[derive(Debug, Default)]
struct Seen {
    rows: Vec<(f64, f64)>,
    sorted: Vec<f64>,
    all: Running,
    times: Running,
    together: f64,
    slow: Fading,
}

impl Seen {
    fn take(&mut self, at: f64, value: f64) {
        let place = self.sorted.partition_point(|one| *one < value);
        self.sorted.insert(place, value);
        let from_mean = at - self.times.mean;
        self.times.add(at);
        self.all.add(value);
        self.together += from_mean * (value - self.all.mean);
        self.slow.add(value);
        self.rows.push((at, value));
    }

    /// Mean of the last three values.
    fn tail(&self) -> f64 {
        match self.rows.as_slice() {
            [.., (_, a), (_, b), (_, c)] => (a + b + c) / 3.0,
            [.., (_, last)] => *last,
            [] => 0.0,
        }
    }

    /// More than six median deviations from the median.
    fn far_from_the_median(&self) -> bool {
        let count = self.sorted.len();
        let halves = [(count - 1) / 2, count / 2];
        let median = halves.iter().map(|at| self.sorted[*at]).sum::<f64>() / 2.0;
        let nearest = |at: &usize| nth_distance(&self.sorted, median, *at);
        let spread = halves.iter().map(nearest).sum::<f64>() / 2.0;
        let last = self.rows.last().map_or(median, |row| row.1);
        spread > 0.0 && (last - median).abs() / spread > 6.0
    }

    fn unlike_an_hour_a_day_ago(&self) -> bool {
        const HOUR: f64 = 3600.0;
        let now = self.rows.last().map_or(0.0, |row| row.0);
        let from = self.rows.partition_point(|row| row.0 < now - 24.0 * HOUR);
        let to = self.rows.partition_point(|row| row.0 < now - 23.0 * HOUR);
        let hour = Running::of(self.rows[from..to.max(from)].iter().map(|row| &row.1));
        hour.count > 1.0 && is_off(self.tail(), hour.mean, hour.sample_deviation())
    }

    /// The last three are three deviations off the straight line through all.
    fn off_the_line(&self) -> bool {
        let [.., a, b, c] = self.rows.as_slice() else {
            return false;
        };
        let slope = match self.times.squares {
            squares if squares > 0.0 => self.together / squares,
            _ => 0.0,
        };
        let line = |at: f64| self.all.mean + slope * (at - self.times.mean);
        let error = [a, b, c].iter().map(|row| row.1 - line(row.0)).sum::<f64>() / 3.0;
        let left = (self.all.squares - slope * self.together).max(0.0);
        let deviation = (left / self.all.count).sqrt();
        error.abs() > 3.0 * deviation && deviation > 0.5 && error.abs() > 0.5
    }

    /// The last three lie in one of fifteen bins with at most twenty values in it.
    fn in_a_rare_bin(&self) -> bool {
        const BINS: usize = 15;
        const RARE: usize = 20;
        let (Some(low), Some(high)) = (self.sorted.first(), self.sorted.last()) else {
            return false;
        };
        let (low, high) = match high - low {
            range if range > 0.0 => (*low, *high),
            _ => (low - 0.5, high + 0.5),
        };
        let edge = |bin: usize| low + (high - low) * bin as f64 / BINS as f64;
        let below = |edge: f64| self.sorted.partition_point(|value| *value < edge);
        let tail = self.tail();
        (0..BINS).any(|bin| {
            let up_to = if bin + 1 == BINS {
                self.sorted.len()
            } else {
                below(edge(bin + 1))
            };
            let inside = if bin == 0 {
                tail <= low
            } else {
                tail >= edge(bin) && tail < edge(bin + 1)
            };
            inside && up_to - below(edge(bin)) <= RARE
        })
    }
}

/// More than three deviations from the mean; nothing is, from a deviation that is not known.
fn is_off(value: f64, mean: f64, deviation: f64) -> bool {
    (value - mean).abs() > 3.0 * deviation
}

/// The distance of the value that is `nth` nearest to `middle`, counted from 0.
fn nth_distance(sorted: &[f64], middle: f64, nth: usize) -> f64 {
    let (mut low, mut high) = (0, sorted.len() - nth - 1);
    while low < high {
        let mid = usize::midpoint(low, high);
        if middle - sorted[mid] > sorted[mid + nth + 1] - middle {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    (middle - sorted[low])
        .abs()
        .max((sorted[low + nth] - middle).abs())
}

/// Mean and deviation that forget with a centre of mass of 50 values.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    first: f64,
    weights: f64,
    weights_squared: f64,
    sum: f64,
    squares: f64,
}

impl Fading {
    fn add(&mut self, value: f64) {
        const KEEP: f64 = 50.0 / 51.0;
        if self.weights == 0.0 {
            self.first = value;
        }
        // Centred on the first value, so that the squares do not eat the digits.
        let value = value - self.first;
        self.weights = self.weights * KEEP + 1.0;
        self.weights_squared = self.weights_squared * KEEP * KEEP + 1.0;
        self.sum = self.sum * KEEP + value;
        self.squares = self.squares * KEEP + value * value;
    }

    fn mean(&self) -> f64 {
        self.first + self.sum / self.weights
    }

    /// Without bias; NaN for a single value, which objects to nothing.
    fn deviation(&self) -> f64 {
        let mean = self.sum / self.weights;
        let biased = (self.squares / self.weights - mean * mean).max(0.0);
        let whole = self.weights * self.weights;
        (biased * whole / (whole - self.weights_squared)).sqrt()
    }
}
