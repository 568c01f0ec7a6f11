//! The mail server's side: one visit at a time, read-only, bounded in time and bytes. What a server
//! may answer is bounded before it is kept ([`wire`]); commands are in [`session`] and [`look`];
//! which mails are read when is in [`sync`]. Keeps no state: [`sync::Keeper`] does.

pub mod config;
pub mod fault;
pub mod look;
pub mod oauth;
pub mod pending;
pub mod sasl;
pub mod session;
pub mod sync;
pub mod utf7;
pub mod wire;
