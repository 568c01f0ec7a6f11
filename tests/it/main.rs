//! All tests of the built program and of the house rules, in one binary.

#![expect(
    unreachable_pub,
    reason = "test crate: modules share what they mark `pub`"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: they look at files and clocks as a person does"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic in a test is a failed test"
)]
#![expect(clippy::string_slice, reason = "a panic in a test is a failed test")]

mod capabilities;
mod cli;
mod crash;
mod daemon;
mod doctor;
mod faults;
mod platform;
mod seams;
mod secrets;
mod standby;
mod storage;
mod systemd;
mod tidy;
mod upgrade;
mod world;
