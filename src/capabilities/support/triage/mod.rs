//! Triage: what a mail is, how urgent, who waits for an answer. Pure: values in, values out. No
//! mail is too broken to be read, and nothing here is ever written or sent.

pub mod config;

mod automatic;
mod category;
mod digest;
mod headers;
mod hours;
mod html;
mod language;
mod mime;
mod read;
mod rules;
mod signs;
mod spam;
mod text;
mod threads;
mod timers;
mod topics;
mod trend;
mod urgency;
mod words;

pub use digest::{Digest, Input, Item, Wait, compose};
pub use read::read;
pub use rules::Rules;
pub use trend::{Burst, DayCounts, Trend};

#[cfg(test)]
mod tests;
