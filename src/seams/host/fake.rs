//! A machine that says what a test tells it to.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Host, Looking, Reading, Wanted};

/// A machine that says what it was last told, as often as it is asked.
#[derive(Debug, Default)]
pub struct FakeHost {
    state: Mutex<(Reading, u64)>,
}

impl FakeHost {
    /// A machine that says `reading`.
    pub fn saying(reading: Reading) -> Self {
        Self {
            state: Mutex::new((reading, 0)),
        }
    }

    /// Changes what it says from now on.
    pub fn change(&self, change: impl FnOnce(&mut Reading)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.0);
    }

    /// How often it was read.
    pub fn asked(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Host for FakeHost {
    fn read(&self, wanted: Arc<Wanted>) -> Looking<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        let mut reading = state.0.clone();
        // What was not asked for is not told; what was asked for and is not known is told as such.
        let (volumes, units) = (&reading.volumes, &reading.units);
        let asked_volumes = wanted.mounts.iter().map(|mount| {
            let known = volumes.get(mount).copied().flatten();
            (mount.clone(), known)
        });
        let asked_units = wanted.units.iter().map(|unit| {
            let known = units.get(unit).cloned().unwrap_or_default();
            (unit.clone(), known)
        });
        let (volumes, units) = (asked_volumes.collect(), asked_units.collect());
        (reading.volumes, reading.units) = (volumes, units);
        Box::pin(std::future::ready(reading))
    }
}
