//! The platform, seen from outside.

mod alerts;
mod auth;
mod auth_matrix;
mod calendar;
mod config_daemon;
mod config_edit;
mod config_links;
mod config_reload;
mod config_world;
mod http;
mod http_handles;
mod http_lab;
mod http_odd;
mod http_odd_bodies;
mod http_odd_table;
mod http_slow;
mod samples;
mod scheduler;
mod scheduler_crash;
mod scheduler_world;
