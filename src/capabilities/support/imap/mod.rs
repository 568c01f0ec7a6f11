//! The mail server's side: one connection, read-only, bounded in time and bytes.

pub mod config;
