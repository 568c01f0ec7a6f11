//! What must not be cut from journals although it is old: whoever folds a journal says how far back
//! it still needs lines. Asked each time before the oldest lines of a journal are removed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// When the oldest line was written that is still needed; `None` where none is.
type Hold = Arc<dyn Fn() -> Option<DateTime<Utc>> + Send + Sync>;

/// All holds by journal. Cheap to clone.
#[derive(Clone, Default)]
pub struct Holds(Arc<Mutex<BTreeMap<&'static str, Hold>>>);

impl Debug for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Holds")
    }
}

impl Holds {
    /// From now on `hold` is asked before `journal` is cut.
    pub fn add(
        &self,
        journal: &'static str,
        hold: impl Fn() -> Option<DateTime<Utc>> + Send + Sync + 'static,
    ) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.insert(journal, Arc::new(hold));
    }

    /// What is left of a wish to cut `journal` before an instant.
    pub fn within(&self, journal: &str, before: DateTime<Utc>) -> DateTime<Utc> {
        let hold = {
            let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            holds.get(journal).map(Arc::clone)
        };
        let oldest = hold.and_then(|hold| hold());
        oldest.map_or(before, |oldest| oldest.min(before))
    }
}
