//! Floor 2: storage. Journals, documents and views, and the engines that keep them.

pub mod engine;
pub mod journal;
pub mod line;
pub mod lines;
pub mod view;
