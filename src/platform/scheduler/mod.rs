//! The task loop's machinery: what a task is, when it is due, and one run of it at a time. It knows
//! no capability. Sole writer of `logs/task_runs.ndjson`.
//!
//! [`plan`] answers what one task should do now; [`core`] keeps all of them and decides without a
//! clock, a disk or a runtime; [`driver`] carries out. What is on record comes back as [`view`].

pub mod core;
pub mod driver;
pub mod event;
pub mod plan;
mod recorder;
mod row;
pub mod rules;
mod run;
pub mod status;
mod task;
mod turn;
pub mod view;
mod watch;

#[cfg(test)]
mod tests;

pub use driver::{Parts, Scheduler};
pub use event::{RunRecord, STREAM};
pub use row::TaskRow;
pub use rules::{LoopRules, Missed, Overlap, Override, TaskRules};
pub use status::{QueueStatus, TaskFault, TaskStatus, Ticket};
pub use task::{
    DefaultCadence, Outcome, Pass, Retries, Roster, Summary, Task, TaskError, Trigger, Work,
};
