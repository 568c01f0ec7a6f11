//! Live configuration: typed documents, checked whole, swapped in one step.
//!
//! A document becomes rules in one way only ([`Config::read`]), whether it was saved by an editor,
//! sent by the API or named to `echopilot check`. What fails never replaces what is in force.

mod check;
mod daemon;
mod edits;
mod kind;
mod live;
mod outbound;
mod record;
mod retention;
mod slot;
mod status;
mod store;

pub use check::{check_files, check_text};
pub use daemon::{DaemonConfig, DaemonRules, EXPOSURES, Limits};
pub use kind::{Config, ConfigKind, kind, read, schema_of, schemas, typed};
pub use live::{Accepted, Live};
pub use record::{HISTORY, STREAM, in_force};
pub use retention::cuttable;
pub use slot::OnAccept;
pub use status::{ConfigStatus, Degraded, EditError, LINK_HINT};
pub use store::ConfigStore;
