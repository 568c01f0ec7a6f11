//! `outbound` of `configs/echopilot.json`: what probes, scrapes and webhooks may reach beyond the
//! open internet.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::seams::outbound::{Allow, Rule};

/// Where the rules are written, as refusals name it.
const PLACE: &str = "`outbound.allow` in `configs/echopilot.json`";

/// Rules and ports at most: more is a list that nobody reads.
const MOST_RULES: usize = 1_000;

/// What may be called, as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOutbound {
    /// Addresses, networks and host names that may be called although they are not of the open
    /// internet, with or without a port: `127.0.0.1:8080`, `10.0.0.0/8`, `localhost:3000`,
    /// `[::1]:8080`. A cloud's metadata address only by itself, never by its network.
    allow: Vec<String>,
    /// Ports that HTTP may use on hosts of the open internet, beside 80, 443, 8080 and 8443.
    #[schemars(inner(range(min = 1, max = 65_535)))]
    ports: Vec<u16>,
}

/// The rules that `raw` says; what is wrong goes to `problems`.
pub(super) fn checked(raw: &RawOutbound, problems: &mut Problems) -> Arc<Allow> {
    let mut rules = Vec::with_capacity(raw.allow.len());
    if raw.allow.len().max(raw.ports.len()) > MOST_RULES {
        let found = format!("a list of {}", raw.allow.len().max(raw.ports.len()));
        let hint = "name networks instead of single addresses";
        problems.not_allowed("outbound", found, format!("at most {MOST_RULES}"), hint);
    }
    for (index, text) in raw.allow.iter().enumerate() {
        match text.parse::<Rule>() {
            Ok(rule) => rules.push(rule),
            Err(fault) => problems.not_allowed(
                Path::from("outbound.allow").index(index),
                format!("\"{text}\""),
                "an address, a network or a host name, with or without a port",
                format!("{fault}: {}", fault.hint),
            ),
        }
    }
    Arc::new(Allow::new(PLACE, rules, raw.ports.clone()))
}
