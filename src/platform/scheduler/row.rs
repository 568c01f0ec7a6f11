//! A task as one row of a table: for those that need no state of their own beside a service.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use super::{DefaultCadence, Pass, Task, Work};

/// What a task is, and the work that it does with a `T`.
pub struct TaskRow<T: 'static> {
    /// Its name.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// When it is due by default.
    pub cadence: DefaultCadence,
    /// How long a run may take by default, with all its tries.
    pub limit: Duration,
    /// Whether it changes something by itself.
    pub acts: bool,
    /// One pass.
    pub run: for<'a> fn(&'a Arc<T>, &'a Pass) -> Work<'a>,
}

impl<T: Send + Sync> TaskRow<T> {
    /// The task that works with `service`.
    pub fn bound(&'static self, service: &Arc<T>) -> Arc<dyn Task> {
        self.bound_as(service, &[])
    }

    /// The same, also known by other names.
    pub fn bound_as(
        &'static self,
        service: &Arc<T>,
        aliases: &'static [&'static str],
    ) -> Arc<dyn Task> {
        Arc::new(Bound {
            row: self,
            aliases,
            service: Arc::clone(service),
        })
    }
}

/// A row with what it works with.
struct Bound<T: 'static> {
    row: &'static TaskRow<T>,
    aliases: &'static [&'static str],
    service: Arc<T>,
}

impl<T> Debug for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.row.name)
            .finish_non_exhaustive()
    }
}

impl<T: Send + Sync> Task for Bound<T> {
    fn name(&self) -> &'static str {
        self.row.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn about(&self) -> &'static str {
        self.row.about
    }

    fn cadence(&self) -> DefaultCadence {
        self.row.cadence
    }

    fn limit(&self) -> Duration {
        self.row.limit
    }

    fn acts(&self) -> bool {
        self.row.acts
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        (self.row.run)(&self.service, pass)
    }
}
