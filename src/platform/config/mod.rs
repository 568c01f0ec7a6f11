//! Live configuration: typed documents, checked whole, swapped in one step.
//!
//! A document becomes rules in one way only ([`Config::read`]), whether it was saved by an editor,
//! sent by the API or named to `echopilot check`. What fails never replaces what is in force.

mod kind;
mod live;

pub use kind::{Config, ConfigKind, kind, read, schema_of, schemas, typed};
pub use live::{Accepted, Live};
