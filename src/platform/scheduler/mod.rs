//! The task loop's machinery: what a task is, when it is due, and one run of it at a time. It knows
//! no capability.

mod task;

pub use task::{
    DefaultCadence, Outcome, Pass, Retries, Roster, Summary, Task, TaskError, Trigger, Work,
};
