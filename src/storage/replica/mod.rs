//! A byte-exact copy of another home that is kept up to date: what a standby lives on.
//!
//! [`Shipper`] compares what a [`Source`] lists with what is in its own home, and fetches the
//! difference: sealed segments once, the active one up to its last whole line, configurations when
//! their text changed. Where it stands it reads off its own files, so that it may be killed at any
//! time. What does not continue the chain of what is there is never taken over, and what is there
//! is never overwritten: that journal is left as it is, and said.
//!
//! Never copies `secrets/`, `.echopilot/` or anything derived.

mod copy;
mod folder;
pub mod followers;
mod papers;
mod ship;
mod source;

pub use folder::FolderSource;
pub use ship::{Fault, Pass, ShipOptions, Shipper};
pub use source::{Listing, LogFile, Paper, Place, Source, SourceError, list_home, read_bytes};
