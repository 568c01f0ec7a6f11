//! The platform, seen from outside.

mod auth;
mod config_daemon;
mod http;
mod http_lab;
mod http_slow;
