//! Floor 5: puts a process together and runs it.

pub mod assemble;
pub mod bugreport;
pub mod daemon_file;
pub mod doctor;
pub mod explain;
pub mod fetch;
pub mod local;
pub mod past;
pub mod schema_walk;
pub mod serve;
pub mod settings;
pub mod standby;

mod families;
mod first_start;
mod guard;
mod home;
mod process_log;
mod reload;
mod rules;
pub mod schema_files;
mod sockets;
