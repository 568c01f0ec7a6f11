//! The platform, seen from outside.

mod config_daemon;
