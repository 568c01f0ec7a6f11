//! Who may reach the daemon, and through what: listening beyond this machine, proxies that are
//! believed, host names that are let in, proxy variables that do nothing.

use super::{Around, Notes};

/// Variables that other programs heed. Calls of ours go out directly, by `outbound` alone.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let Some(rules) = around.rules() else {
        return notes.skip("no settings to look at");
    };
    let listen = around.listens().unwrap_or(rules.listen);
    let everybody = |network: &&String| network.ends_with("/0");
    if let Some(network) = rules.trusted_proxies.iter().find(everybody) {
        notes.fail(
            format!("`trusted_proxies` has `{network}`: anybody may say who he is"),
            "name the address of your proxy alone in `configs/echopilot.json`, such as 127.0.0.1",
        );
    }
    if rules.allowed_hosts.iter().any(|host| host == "*") {
        notes.warn(
            "`allowed_hosts` has `*`: a foreign web page may reach the daemon through a browser",
            "name the hosts that are yours in `configs/echopilot.json`",
        );
    }
    if !listen.ip().is_loopback() {
        notes.warn(
            format!("it listens beyond this machine, at {listen}, without TLS"),
            "put a proxy with TLS in front and listen on 127.0.0.1; docs/systemd.md",
        );
        if rules.trusted_proxies.is_empty() {
            notes.warn(
                "`trusted_proxies` is empty: behind a proxy all clients count as one",
                "name the proxy's address in `configs/echopilot.json`",
            );
        }
        let local = |host: &String| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok();
        if rules.allowed_hosts.iter().all(local) {
            notes.warn(
                "`allowed_hosts` has no public name: calls by your host name are refused",
                "add it to `allowed_hosts` in `configs/echopilot.json`",
            );
        }
    }
    let set: Vec<&str> = PROXY_VARIABLES
        .into_iter()
        .filter(|name| around.given.has(name))
        .collect();
    if !set.is_empty() {
        notes.warn(
            format!("`{}` is set and has no effect", set.join("`, `")),
            "calls go out directly and only where `outbound` of `configs/echopilot.json` lets \
             them; allow that in the firewall, or unset the variable",
        );
    }
    notes.ok_otherwise(format!(
        "at {listen}, nobody is believed or let in by accident"
    ));
}
