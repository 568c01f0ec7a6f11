//! Storage: what every engine promises, and what the file engine does when files are not as they
//! should be.

mod anchors;
mod backup;
mod backup_replica;
mod backup_world;
mod conformance;
mod copied;
mod documents;
mod faults;
mod flips;
mod logs;
mod meddling;
mod mended;
mod packing;
mod replica;
mod rotation;
mod runs;
mod seeking;
pub mod support;
mod tidying;
mod views;
