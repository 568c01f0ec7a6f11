//! capabilities

pub mod experiments;
