//! The support inbox: what it makes of mails.

pub mod corpus;
mod triage;
