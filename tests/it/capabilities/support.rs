//! The support inbox: dry runs, real and hostile mail servers, what it makes of mails.

pub mod corpus;
mod dovecot;
mod hostile;
mod kept;
mod lab;
mod plain;
mod triage;
