//! SLOs, by what a caller sees of them.

mod guard;
mod intake;
mod intake_races;
mod intake_tail;
mod lines;
mod verbs;
