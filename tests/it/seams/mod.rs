//! The doors outward, against real sockets of this machine.

mod outbound_addresses;
mod outbound_dns;
mod outbound_http;
mod outbound_lab;
mod outbound_tls;
