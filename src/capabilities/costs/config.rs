//! `configs/costs.json`: from what is written to what is reckoned with.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use schemars::Schema;

use super::decimal::Decimal;
use super::model::{
    Budget, BudgetOf, CostsRules, Item, Price, Pricing, Proration, Source, StepRules, Tier,
    is_item_name,
};
use super::raw::{RawBudget, RawCosts, RawFixed, RawMetered, RawModel, RawPricing};
use crate::base::json::{Path, Tree};
use crate::base::money::{Currency, Ratio};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};

/// Items at most: every answer reckons all of them.
const MOST_ITEMS: usize = 500;
/// Budgets at most.
const MOST_BUDGETS: usize = 100;
/// Tokens that a model's prices are for.
const MILLION: i64 = 1_000_000;
/// Percent at which somebody is told, where nothing is said.
const USUAL_THRESHOLDS: [u32; 3] = [50, 80, 100];
/// The highest threshold.
const MOST_PERCENT: u32 = 1000;

/// Sizes that bytes may be counted in.
const SIZES: [(&str, i64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The file.
#[derive(Debug)]
pub(super) struct CostsConfig;

impl Default for RawPricing {
    fn default() -> Self {
        // `product.md` §4.
        let thousandths = |count| Decimal(Ratio::new(count, 1000).unwrap_or(Ratio::ZERO));
        Self {
            storage_gb_month: thousandths(23),
            cpu_hour: thousandths(50),
            bandwidth_gb: thousandths(90),
        }
    }
}

impl Config for CostsConfig {
    const FILE: &'static str = "costs.json";
    const SHIPPED: &'static str = include_str!("../../../configs/costs.json");
    type Rules = CostsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<CostsRules> {
        let raw: RawCosts = typed(tree, problems)?;
        let before = problems.count();
        let rules = Checker { problems }.rules(&raw);
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawCosts>()
    }
}

/// What every item says.
struct Common<'a> {
    name: &'a str,
    description: &'a str,
    currency: &'a str,
    start: Option<&'a str>,
    end: Option<&'a str>,
    proration: Proration,
    units: &'a [String],
}

struct Checker<'a> {
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn rules(mut self, raw: &RawCosts) -> CostsRules {
        let root = Path::root();
        let items = self.items(raw);
        if items.len() > MOST_ITEMS {
            let allowed = format!("at most {MOST_ITEMS} items");
            self.problems.not_allowed("fixed", items.len(), allowed, "");
        }
        if raw.budgets.len() > MOST_BUDGETS {
            let allowed = format!("at most {MOST_BUDGETS}");
            let found = raw.budgets.len();
            self.problems.out_of_range("budgets", found, allowed, "");
        }
        let place = root.key("pricing");
        let mut budgets = Vec::new();
        for (name, one) in &raw.budgets {
            budgets.push(self.budget(name, one, &items));
        }
        let step = raw.step_change.factor;
        if !(step > 1.0 && step <= 1000.0) {
            let place = root.key("step_change").key("factor");
            let hint = "2 tells when the use of a day has doubled";
            self.problems
                .out_of_range(place, step, "above 1, up to 1000", hint);
        }
        CostsRules {
            pricing: Pricing {
                storage_gb_month: self.price(
                    &place.key("storage_gb_month"),
                    &raw.pricing.storage_gb_month,
                ),
                cpu_hour: self.price(&place.key("cpu_hour"), &raw.pricing.cpu_hour),
                bandwidth_gb: self.price(&place.key("bandwidth_gb"), &raw.pricing.bandwidth_gb),
            },
            currency: self.currency(
                &root.key("currency"),
                raw.currency.as_deref().unwrap_or("USD"),
            ),
            items,
            budgets,
            step: StepRules {
                factor: step,
                days_min: raw.step_change.days_min as usize,
            },
            requests_series: raw
                .requests_series
                .as_deref()
                .unwrap_or("echopilot")
                .to_owned(),
        }
    }

    fn items(&mut self, raw: &RawCosts) -> BTreeMap<String, Item> {
        let root = Path::root();
        let mut items = BTreeMap::new();
        let mut keep = |checker: &mut Self, place: &Path, item: Item| {
            if items.contains_key(&item.name) {
                let found = format!("the key `{}` again", item.name);
                let hint = "fixed items, metered items and models share their names";
                checker
                    .problems
                    .not_allowed(place, found, "each name once", hint);
            }
            items.insert(item.name.clone(), item);
        };
        for (name, one) in &raw.fixed {
            let place = root.key("fixed").key(name);
            let item = self.fixed(name, one, &place);
            keep(self, &place, item);
        }
        for (name, one) in &raw.metered {
            let place = root.key("metered").key(name);
            let item = self.metered(name, one, &place);
            keep(self, &place, item);
        }
        for (name, one) in &raw.models {
            let place = root.key("models").key(name);
            let item = self.model(name, one, &place);
            keep(self, &place, item);
        }
        items
    }

    fn currency(&mut self, place: &Path, code: &str) -> Currency {
        Currency::parse(code).unwrap_or_else(|| {
            let found = format!("\"{}\"", code.chars().take(16).collect::<String>());
            let hint = "three capitals, such as EUR";
            self.problems
                .not_allowed(place, found, "a code of ISO 4217", hint);
            Currency::USD
        })
    }

    fn price(&mut self, place: &Path, price: &Decimal) -> Ratio {
        if price.0.is_negative() {
            let found = price.0.to_decimal(12);
            self.problems.out_of_range(
                place,
                found,
                "at least 0",
                "write a credit as a fixed item",
            );
        }
        price.0
    }

    fn day(&mut self, place: &Path, text: Option<&str>) -> Option<NaiveDate> {
        let text = text?;
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        let day = day.filter(|_| text.len() == 10);
        if day.is_none() {
            let found = format!("\"{}\"", text.chars().take(32).collect::<String>());
            self.problems
                .not_allowed(place, found, "a day such as 2026-10-17", "days are UTC");
        }
        day
    }

    fn common(&mut self, place: &Path, said: &Common<'_>, price: Price) -> Item {
        if !is_item_name(said.name) {
            let found = format!("the key `{}`", said.name);
            let allowed = "1..=64 letters, digits or `_.:/-`, the first a letter or digit";
            self.problems
                .not_allowed(place, found, allowed, "say more in `description`");
        }
        let start = self.day(&place.key("start"), said.start);
        let end = self.day(&place.key("end"), said.end);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            let allowed = format!("{start} or later");
            let hint = "both days are paid for";
            self.problems
                .out_of_range(place.key("end"), end, allowed, hint);
        }
        Item {
            name: said.name.to_owned(),
            description: said.description.to_owned(),
            currency: self.currency(&place.key("currency"), said.currency),
            start,
            end,
            proration: said.proration,
            price,
            units: said.units.to_vec(),
        }
    }

    fn fixed(&mut self, name: &str, raw: &RawFixed, place: &Path) -> Item {
        for (at, unit) in raw.units.iter().enumerate() {
            // What systemctl would take for an option or a pattern is no name.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:\\".contains(c);
            if unit.starts_with('-') || unit.is_empty() || !unit.chars().all(plain) {
                let place = place.key("units").index(at);
                let allowed = "the name of a unit";
                self.problems
                    .not_allowed(place, format!("\"{unit}\""), allowed, "shop.service");
            }
        }
        let said = Common {
            name,
            description: &raw.description,
            currency: &raw.currency,
            start: raw.start.as_deref(),
            end: raw.end.as_deref(),
            proration: raw.proration.unwrap_or(Proration::Days),
            units: &raw.units,
        };
        let price = Price::Fixed {
            amount: raw.amount.0,
            period: raw.period,
        };
        self.common(place, &said, price)
    }

    fn metered(&mut self, name: &str, raw: &RawMetered, place: &Path) -> Item {
        let per = raw.per.map_or(Ratio::ONE, |per| per.0);
        if per.is_negative() || per.is_zero() {
            let hint = "1000 for a price of a thousand units";
            self.problems
                .out_of_range(place.key("per"), per.to_decimal(12), "above 0", hint);
        }
        let unit_size = match raw.source {
            Source::Pushed | Source::Requests => Ratio::ONE,
            Source::OwnBandwidth | Source::OwnStorage => self.size(&place.key("unit"), &raw.unit),
        };
        let included = raw.included.map_or(Ratio::ZERO, |included| included.0);
        if included.is_negative() {
            let found = included.to_decimal(12);
            self.problems
                .out_of_range(place.key("included"), found, "at least 0", "");
        }
        let price = Price::Metered {
            unit: raw.unit.clone(),
            included,
            tiers: self.tiers(raw, per, place),
            source: raw.source,
            unit_size,
        };
        let said = Common {
            name,
            description: &raw.description,
            currency: &raw.currency,
            start: raw.start.as_deref(),
            end: raw.end.as_deref(),
            proration: raw.proration.unwrap_or(Proration::Full),
            units: &[],
        };
        self.common(place, &said, price)
    }

    fn size(&mut self, place: &Path, unit: &str) -> Ratio {
        let known = SIZES.iter().find(|(name, _)| *name == unit);
        known.map_or_else(
            || {
                let names = SIZES.iter().map(|(name, _)| *name);
                let hint = "bytes are measured; GB is 10^9 of them, GiB 2^30";
                self.problems.unknown_word(place, unit, names, hint);
                Ratio::ONE
            },
            |(_, bytes)| Ratio::whole(*bytes),
        )
    }

    fn tiers(&mut self, raw: &RawMetered, per: Ratio, place: &Path) -> Vec<Tier> {
        let of_one = |price: Ratio| price.divided_by(per).unwrap_or(Ratio::ZERO);
        match (&raw.price, raw.tiers.as_slice()) {
            (Some(price), []) => {
                let price = of_one(self.price(&place.key("price"), price));
                return vec![Tier { up_to: None, price }];
            }
            (None, [_, ..]) => {}
            (None, []) => {
                let hint = "or `tiers`, where the price depends on the quantity";
                self.problems
                    .missing_key(place.key("price"), "what a unit costs", hint);
            }
            (Some(_), [_, ..]) => {
                let hint = "the last tier holds for all that is beyond the others";
                let found = "beside `tiers`";
                self.problems
                    .not_allowed(place.key("price"), found, "one of both", hint);
            }
        }
        let mut tiers = Vec::new();
        let mut bound = Ratio::ZERO;
        for (at, tier) in raw.tiers.iter().enumerate() {
            let place = place.key("tiers").index(at);
            let is_last = at + 1 == raw.tiers.len();
            match tier.up_to {
                Some(up_to) if !is_last && bound.is_below(up_to.0) => bound = up_to.0,
                None if is_last => {}
                found => {
                    let found = found.map_or("nothing".to_owned(), |up_to| up_to.0.to_decimal(12));
                    let allowed = if is_last {
                        "left away in the last tier".to_owned()
                    } else {
                        format!("above {}", bound.to_decimal(12))
                    };
                    let hint = "tiers rise, and the last has no bound";
                    self.problems
                        .not_allowed(place.key("up_to"), found, allowed, hint);
                }
            }
            let price = of_one(self.price(&place.key("price"), &tier.price));
            let up_to = tier.up_to.map(|up_to| up_to.0);
            tiers.push(Tier { up_to, price });
        }
        tiers
    }

    fn model(&mut self, name: &str, raw: &RawModel, place: &Path) -> Item {
        let million = Ratio::whole(MILLION);
        let mut of_one = |key: &str, price: &Decimal| {
            let price = self.price(&place.key(key), price);
            price.divided_by(million).unwrap_or(Ratio::ZERO)
        };
        let cached = raw.cached_per_million.unwrap_or(raw.input_per_million);
        let price = Price::Tokens {
            input: of_one("input_per_million", &raw.input_per_million),
            output: of_one("output_per_million", &raw.output_per_million),
            cached: of_one("cached_per_million", &cached),
        };
        let said = Common {
            name,
            description: &raw.description,
            currency: raw.currency.as_deref().unwrap_or("USD"),
            start: None,
            end: None,
            proration: Proration::Full,
            units: &[],
        };
        self.common(place, &said, price)
    }

    fn budget(&mut self, name: &str, raw: &RawBudget, items: &BTreeMap<String, Item>) -> Budget {
        let place = Path::root().key("budgets").key(name);
        if !is_item_name(name) {
            let found = format!("the key `{name}`");
            let allowed = "1..=64 letters, digits or `_.:/-`, the first a letter or digit";
            self.problems.not_allowed(&place, found, allowed, "");
        }
        let amount = raw.amount.0;
        if amount.is_negative() || amount.is_zero() {
            let found = amount.to_decimal(12);
            self.problems
                .out_of_range(place.key("amount"), found, "above 0", "");
        }
        let currency = self.currency(&place.key("currency"), &raw.currency);
        let thresholds = raw.thresholds_percent.clone();
        let thresholds = thresholds.unwrap_or(USUAL_THRESHOLDS.to_vec());
        let rising = thresholds.is_sorted_by(|low, high| low < high);
        let within = thresholds
            .iter()
            .all(|one| (1..=MOST_PERCENT).contains(one));
        if !rising || !within {
            let place = place.key("thresholds_percent");
            let allowed = format!("rising, each 1 to {MOST_PERCENT}");
            self.problems
                .not_allowed(place, format!("{thresholds:?}"), allowed, "[50, 80, 100]");
        }
        let of = match &raw.item {
            None => BudgetOf::Total,
            Some(item) => {
                let place = place.key("item");
                match items.get(item) {
                    None => {
                        let names = items.keys().map(String::as_str);
                        self.problems.unknown_word(
                            place,
                            item,
                            names,
                            "leave it away for all items",
                        );
                    }
                    Some(known) if known.currency != currency => {
                        let allowed = known.currency;
                        let place = place.split_last().map_or(place.clone(), |(up, _)| up);
                        let hint = "amounts of two currencies are never compared";
                        self.problems
                            .not_allowed(place.key("currency"), currency, allowed, hint);
                    }
                    Some(_) => {}
                }
                BudgetOf::Item(item.clone())
            }
        };
        Budget {
            name: name.to_owned(),
            of,
            amount,
            currency,
            thresholds,
            forecast: raw.forecast.unwrap_or(true),
        }
    }
}
