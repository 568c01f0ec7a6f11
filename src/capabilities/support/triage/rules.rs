//! The rules that mails are judged by, checked: what `configs/support.json` says under `triage`.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::config;
use super::hours::Hours;
use super::words::Words;
use crate::base::json::Path;
use crate::base::problems::Problems;

/// How soon customers of a tier are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tier {
    /// Its name.
    pub(super) name: String,
    /// Business hours to our first answer.
    pub(super) first_hours: u32,
    /// Business hours to a later answer.
    pub(super) next_hours: u32,
}

/// When a day has unusually many mails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trend {
    /// How many times the usual of that weekday.
    pub(super) ratio: f64,
    /// Mails below which no day is a spike.
    pub(super) mails: u32,
}

/// When mails about the same are a burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    /// Different senders at least.
    pub(super) senders: usize,
    /// Within how long.
    pub(super) window: TimeDelta,
    /// How many times the usual.
    pub(super) ratio: f64,
}

/// How mails are judged.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) own: Vec<String>,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
    pub(super) customers: BTreeMap<String, Tier>,
    pub(super) default_tier: Tier,
    pub(super) hours: Hours,
    pub(super) trend: Trend,
    pub(super) burst: Burst,
    pub(super) words: Words,
}

/// The rules as they are shipped.
impl Default for Rules {
    fn default() -> Self {
        let mut problems = Problems::new("support.json");
        let place = Path::root().key("triage");
        config::read(&config::RawTriage::default(), &place, &mut problems)
    }
}

impl Rules {
    /// The same with one more address of our own, such as the mailbox's; anything else than an
    /// address is passed over, for some servers have user names without `@`.
    #[must_use]
    pub fn with_own(mut self, address: &str) -> Self {
        let address = address.trim().to_lowercase();
        if address.contains('@') && !self.own.contains(&address) {
            self.own.push(address);
        }
        self
    }

    /// The day on our clocks.
    pub fn day_of(&self, at: DateTime<Utc>) -> NaiveDate {
        self.hours.day_of(at)
    }

    pub(super) fn own_addresses(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(String::as_str)
    }

    pub(super) fn is_own(&self, address: &str) -> bool {
        is_in(&self.own, address)
    }

    pub(super) fn is_allowed(&self, address: &str) -> bool {
        is_in(&self.allow, address)
    }

    pub(super) fn is_denied(&self, address: &str) -> bool {
        is_in(&self.deny, address)
    }

    /// The tier of a known customer: the address counts more than its domain.
    pub(super) fn customer(&self, address: &str) -> Option<&Tier> {
        self.customers
            .get(address)
            .or_else(|| self.customers.get(domain(address)?))
    }

    /// The tier of anybody.
    pub(super) fn tier(&self, address: &str) -> &Tier {
        self.customer(address).unwrap_or(&self.default_tier)
    }
}

/// `@domain` of an address.
fn domain(address: &str) -> Option<&str> {
    address.get(address.rfind('@')?..)
}

fn is_in(list: &[String], address: &str) -> bool {
    let domain = domain(address).unwrap_or_default();
    !address.is_empty() && list.iter().any(|entry| entry == address || entry == domain)
}
