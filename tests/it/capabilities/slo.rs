//! SLOs, by what a caller sees of them.

mod intake_tail;
