//! Storage: what every engine promises, and what the file engine does when files are not as they
//! should be.

mod conformance;
mod logs;
mod support;
