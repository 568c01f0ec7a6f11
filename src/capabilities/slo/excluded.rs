//! The past without planned maintenance. Pure.

use super::model::{Past, Tally};

/// Windows that do not count, merged, in order; minutes, the end not included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(Vec<(i64, i64)>);

impl Excluded {
    /// Merges `windows`; those that end before they begin are none.
    pub fn new(windows: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut windows: Vec<_> = windows.into_iter().filter(|(a, b)| a < b).collect();
        windows.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(windows.len());
        for (from, until) in windows {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        Self(merged)
    }

    /// Whether a minute lies in a window.
    pub fn contains(&self, minute: i64) -> bool {
        self.0.iter().any(|(a, b)| (*a..*b).contains(&minute))
    }
}

/// What was counted outside the excluded windows.
pub struct Counted<'a> {
    /// Everything.
    pub past: &'a dyn Past,
    /// What does not count.
    pub excluded: &'a Excluded,
}

impl Past for Counted<'_> {
    fn tally(&self, from: i64, until: i64) -> Tally {
        let all = self.past.tally(from, until);
        let inside = self.excluded.0.iter();
        let inside = inside.map(|(a, b)| ((*a).max(from), (*b).min(until)));
        inside
            .filter(|(a, b)| a < b)
            .fold(all, |left, (a, b)| left.without(self.past.tally(a, b)))
    }

    fn begins(&self) -> Option<i64> {
        self.past.begins()
    }
}
