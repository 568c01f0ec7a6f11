//! echopilot: the back office of a small SaaS in one process and one folder of plain files.

pub mod app;
pub mod base;
pub mod capabilities;
pub mod cli;
pub mod platform;
pub mod seams;
pub mod storage;
