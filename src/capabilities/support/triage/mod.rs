//! Triage: what a mail is, how urgent, who waits for an answer. Pure: values in, values out.

pub mod config;
