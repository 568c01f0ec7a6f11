//! `configs/echopilot.json` in the server's words.

use crate::platform::config::DaemonRules;
use crate::platform::http::{HttpRules, Network};
use crate::platform::lifecycle::handles_for_connections;

/// The server's rules as the file has them; what the file cannot say keeps the server's default.
pub(super) fn http_rules(daemon: &DaemonRules) -> HttpRules {
    let limits = &daemon.limits;
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    HttpRules {
        // Without a handle left for a new segment, storage would fail before the server does.
        max_connections: count(limits.max_connections).min(handles_for_connections()),
        max_connections_per_ip: count(limits.max_connections_per_ip),
        max_in_work: count(limits.max_requests_in_work),
        allowed_hosts: daemon.allowed_hosts.clone(),
        // The check has seen them: none is lost here.
        trusted_proxies: daemon
            .trusted_proxies
            .iter()
            .filter_map(|text| Network::parse(text))
            .collect(),
        keyless_per_minute: limits.keyless_per_ip_per_minute,
        loopback_per_minute: limits.loopback_per_ip_per_minute,
        keyless_total_per_minute: limits.keyless_total_per_minute,
        key_per_minute: limits.per_key_per_minute,
        failed_auth_per_minute: limits.failed_auth_per_ip_per_minute,
        ..HttpRules::default()
    }
}
