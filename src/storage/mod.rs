//! Floor 2: storage. Journals, documents and views, and the engines that keep them.

pub mod anchors;
pub mod backup;
mod barred;
pub mod chain;
pub mod engine;
pub mod files;
pub mod filter;
pub mod journal;
pub mod line;
pub mod lines;
pub mod memory;
pub mod numbering;
pub mod objects;
mod removed;
pub mod replica;
mod replies;
mod search;
pub mod segments;
pub mod tidying;
mod times;
pub mod verify;
pub mod view;
