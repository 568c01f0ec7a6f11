//! Channels: the ways to people. A place holder until they are built.

pub(super) mod config;
