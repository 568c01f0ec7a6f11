//! What costs are made of: months, items with their prices, and what was used.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, Utc};

use crate::base::money::{Currency, Ratio, TooLarge};

/// Bytes of a name at most.
pub(super) const MAX_NAME: usize = 64;

/// Whether `text` may name an item: letters, digits and `_.:/-`, the first a letter or digit.
pub(super) fn is_item_name(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    text.len() <= MAX_NAME
        && text.bytes().all(may)
        && text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
}

/// Midnight at which a day begins, UTC.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// A calendar month, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(NaiveDate);

impl Month {
    /// The month that `day` lies in.
    pub fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).unwrap_or(day))
    }

    /// `2026-10`.
    pub fn parse(text: &str) -> Option<Self> {
        let of_digits = |(at, byte): (usize, u8)| match at {
            4 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        let fits = text.len() == 7 && text.bytes().enumerate().all(of_digits);
        let day = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        fits.then_some(Self(day))
    }

    /// Its first day.
    pub const fn first(self) -> NaiveDate {
        self.0
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self::of(self.0 + Days::new(31))
    }

    /// The month before it.
    #[must_use]
    pub fn before(self) -> Self {
        Self::of(self.0 - Days::new(1))
    }

    /// Its last day.
    pub fn last(self) -> NaiveDate {
        self.next().0 - Days::new(1)
    }

    /// How many days it has.
    pub fn days(self) -> u32 {
        self.last().day()
    }

    /// Its days in order.
    pub fn each_day(self) -> impl Iterator<Item = NaiveDate> {
        self.0.iter_days().take(self.days() as usize)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

/// What a price covers of a month that an item was not there for as a whole.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Proration {
    /// As many parts of the month as there were days.
    Days,
    /// All of it.
    Full,
}

/// How often a fixed amount is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// Each calendar month.
    #[default]
    Monthly,
    /// Each year: every month bears a twelfth.
    Yearly,
}

/// Where the amounts of a metered item come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// They are told by `POST /api/costs/usage`.
    #[default]
    Pushed,
    /// Bytes that the daemon has sent.
    OwnBandwidth,
    /// Bytes of `logs/` and `backups/` on the disk, averaged over the month.
    OwnStorage,
    /// Requests of a series of samples.
    Requests,
}

/// A price that holds up to a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Up to how many units of the month beyond the quota; `None` for all that are left.
    pub up_to: Option<Ratio>,
    /// Of one unit.
    pub price: Ratio,
}

/// What an item's price is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// So much a period.
    Fixed {
        /// The amount.
        amount: Ratio,
        /// Of which period.
        period: Period,
    },
    /// By quantity.
    Metered {
        /// What is counted, such as `TB`.
        unit: String,
        /// Units of a month that cost nothing.
        included: Ratio,
        /// What the others cost, the first ones first; the last has no bound.
        tiers: Vec<Tier>,
        /// Where quantities come from.
        source: Source,
        /// How much of what is measured makes a unit: bytes for `own_*`.
        unit_size: Ratio,
    },
    /// By tokens of a language model, each kind counted by itself.
    Tokens {
        /// Of one token that was read.
        input: Ratio,
        /// Of one token that was written.
        output: Ratio,
        /// Of one token that was read from the provider's cache.
        cached: Ratio,
    },
}

/// Something that costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name; for a language model the model's.
    pub name: String,
    /// For people.
    pub description: String,
    /// What it is paid in.
    pub currency: Currency,
    /// Its first day; `None` for always.
    pub start: Option<NaiveDate>,
    /// Its last day; `None` for always.
    pub end: Option<NaiveDate>,
    /// What a part of a month costs; for a metered item, how much of the quota it brings.
    pub proration: Proration,
    /// How its price is made.
    pub price: Price,
    /// The units of systemd that share it.
    pub units: Vec<String>,
}

impl Item {
    /// Whether it is paid for on `day`.
    pub fn is_active(&self, day: NaiveDate) -> bool {
        self.start.is_none_or(|start| start <= day) && self.end.is_none_or(|end| day <= end)
    }

    /// In a word, how its price is made.
    pub const fn kind(&self) -> &'static str {
        match self.price {
            Price::Fixed { .. } => "fixed",
            Price::Metered { .. } => "metered",
            Price::Tokens { .. } => "tokens",
        }
    }

    /// Where its quantities come from; `None` for what has none.
    pub const fn source(&self) -> Option<Source> {
        match self.price {
            Price::Metered { source, .. } => Some(source),
            Price::Fixed { .. } | Price::Tokens { .. } => None,
        }
    }
}

/// What a budget is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BudgetOf {
    /// All items in its currency.
    Total,
    /// One item.
    Item(String),
}

/// A bound on the cost of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub of: BudgetOf,
    /// The bound.
    pub amount: Ratio,
    /// In which currency.
    pub currency: Currency,
    /// Percent of it at which somebody is told, rising.
    pub thresholds: Vec<u32>,
    /// Whether somebody is told when the forecast is above it.
    pub forecast: bool,
}

/// What makes a step in the daily use of an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRules {
    /// How many times the median.
    pub factor: f64,
    /// Days that must be known of the 14.
    pub days_min: usize,
}

/// Prices of what the daemon itself uses, in US dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pricing {
    /// Of 10^9 bytes kept for a month.
    pub storage_gb_month: Ratio,
    /// Of an hour of processor time.
    pub cpu_hour: Ratio,
    /// Of 10^9 bytes sent.
    pub bandwidth_gb: Ratio,
}

/// The rules, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CostsRules {
    /// What the daemon's own use is priced with.
    pub pricing: Pricing,
    /// The currency of the ledger's keys.
    pub currency: Currency,
    /// What costs, by name.
    pub items: BTreeMap<String, Item>,
    /// Bounds.
    pub budgets: Vec<Budget>,
    /// When a step is told.
    pub step: StepRules,
    /// Series of samples whose requests the costs are divided by.
    pub requests_series: String,
}

impl CostsRules {
    /// All units of systemd that share an item, each once.
    pub fn units(&self) -> Vec<String> {
        let all = self.items.values().flat_map(|item| &item.units);
        let once: std::collections::BTreeSet<&String> = all.collect();
        once.into_iter().cloned().collect()
    }
}

/// Tokens of a language model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tokens {
    /// Read, and not from the cache.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Read from the provider's cache.
    pub cached: u64,
}

impl Tokens {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            input: self.input.saturating_add(more.input),
            output: self.output.saturating_add(more.output),
            cached: self.cached.saturating_add(more.cached),
        }
    }
}

/// What was used of one item, by day.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Quantities, in units, or in what makes them ([`Price::Metered`]).
    pub quantities: BTreeMap<NaiveDate, Ratio>,
    /// Tokens.
    pub tokens: BTreeMap<NaiveDate, Tokens>,
}

impl Usage {
    /// Adds a quantity to a day.
    pub fn add(&mut self, day: NaiveDate, quantity: Ratio) -> Result<(), TooLarge> {
        let sum = self.quantities.entry(day).or_insert(Ratio::ZERO);
        *sum = sum.plus(quantity)?;
        Ok(())
    }

    /// Its first day.
    pub fn first(&self) -> Option<NaiveDate> {
        let first = self.quantities.keys().next();
        first
            .into_iter()
            .chain(self.tokens.keys().next())
            .min()
            .copied()
    }
}

/// What was used of all items, by name.
pub type Usages = BTreeMap<String, Usage>;
