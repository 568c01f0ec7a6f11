//! The member `triage` of `configs/support.json`: words, tiers, hours, senders.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;

use super::hours::{Hours, Opening};
use super::rules::{Burst, Tier, Trend};
use super::words::{Group, Words};
use crate::base::calendar::{TimeOfDay, Weekdays, Zone};
use crate::base::json::Path;
use crate::base::problems::Problems;

pub use super::rules::Rules;

/// Phrases of one list at most.
const MOST_PHRASES: usize = 500;

/// How mails are judged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTriage {
    /// Our own addresses, such as `support@example.com`, or all of a domain: `@example.com`. What
    /// they send is an answer. The mailbox's own is always one.
    own_addresses: Vec<String>,
    /// Senders whose mails are never spam nor bulk; an address or `@domain`.
    allow_senders: Vec<String>,
    /// Senders whose mails are always set aside; an address or `@domain`.
    deny_senders: Vec<String>,
    /// Known customers: an address or `@domain`, with the name of their tier.
    customers: BTreeMap<String, String>,
    /// How soon customers are answered, by the name of their tier.
    tiers: BTreeMap<String, RawTier>,
    /// The tier of everybody else.
    default_tier: String,
    /// When answers are given: only these hours count against a deadline.
    hours: RawHours,
    /// When the mails of a day are told as unusually many.
    trend: RawTrend,
    /// When mails about the same within a short time are told as a burst.
    burst: RawBurst,
    /// Words by language (`en`) and by what they speak for. A phrase is found word by word; `*` at
    /// the end of a word stands for any ending. Left out: those that come with the program.
    words: BTreeMap<String, RawWords>,
}

/// How soon customers of a tier are answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawTier {
    /// Business hours from the first mail of a conversation to our first answer.
    #[schemars(range(min = 1, max = 1000))]
    first_response_hours: u32,
    /// Business hours from a later mail to our answer. Default: as the first.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    next_response_hours: Option<u32>,
}

/// When answers are given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawHours {
    /// The zone of these clocks, an IANA name.
    zone: String,
    /// Opening times. An empty list is day and night.
    open: Vec<RawOpening>,
    /// Days without opening times, such as `2026-12-25`.
    holidays: Vec<String>,
}

/// One opening time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawOpening {
    /// Days of the week, such as `mon-fri`.
    days: String,
    /// When it begins, `09:00`.
    start: String,
    /// When it ends, `17:00`; `24:00` is the end of the day.
    end: String,
}

/// When a day has unusually many mails.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawTrend {
    /// How many times the usual of that weekday. Default 2.
    #[schemars(range(min = 1.0, max = 100.0))]
    spike_ratio: f64,
    /// Mails below which no day is a spike. Default 10.
    #[schemars(range(min = 1, max = 1_000_000))]
    spike_mails: u32,
}

/// When mails are a burst.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawBurst {
    /// Different senders that write about the same. Default 5.
    #[schemars(range(min = 2, max = 10_000))]
    senders: u32,
    /// Within how many minutes. Default 30.
    #[schemars(range(min = 1, max = 1440))]
    window_mins: u32,
    /// How many times the usual of such a time. Default 3.
    #[schemars(range(min = 1.0, max = 100.0))]
    ratio: f64,
}

/// The words of one language.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawWords {
    /// The service does not answer.
    outage: Vec<String>,
    /// A hole, a stolen account, personal data.
    security: Vec<String>,
    /// Money went wrong: charged twice, refund.
    payment: Vec<String>,
    /// Money in general: invoices, plans.
    billing: Vec<String>,
    /// Signing in and accounts.
    account: Vec<String>,
    /// Something is broken.
    bug: Vec<String>,
    /// Something is wished for.
    feature: Vec<String>,
    /// It is said to be urgent.
    urgent: Vec<String>,
    /// The customer is about to leave, or complains.
    leaving: Vec<String>,
    /// It is said to have time.
    calm: Vec<String>,
    /// Words that turn what follows them round: `not`.
    negations: Vec<String>,
}

impl RawWords {
    fn list(&self, group: Group) -> &[String] {
        match group {
            Group::Outage => &self.outage,
            Group::Security => &self.security,
            Group::Payment => &self.payment,
            Group::Billing => &self.billing,
            Group::Account => &self.account,
            Group::Bug => &self.bug,
            Group::Feature => &self.feature,
            Group::Urgent => &self.urgent,
            Group::Leaving => &self.leaving,
            Group::Calm => &self.calm,
        }
    }
}

impl Default for RawTriage {
    fn default() -> Self {
        let tier = |(name, hours): (&str, u32)| {
            let tier = RawTier {
                first_response_hours: hours,
                next_response_hours: None,
            };
            (name.to_owned(), tier)
        };
        Self {
            own_addresses: Vec::new(),
            allow_senders: Vec::new(),
            deny_senders: Vec::new(),
            customers: BTreeMap::new(),
            // The deadlines of the four plans.
            tiers: [
                ("basic", 48),
                ("standard", 24),
                ("plus", 12),
                ("priority", 4),
            ]
            .map(tier)
            .into(),
            default_tier: "basic".into(),
            hours: RawHours::default(),
            trend: RawTrend::default(),
            burst: RawBurst::default(),
            words: BTreeMap::new(),
        }
    }
}

impl Default for RawHours {
    fn default() -> Self {
        let (start, end) = ("09:00".into(), "17:00".into());
        Self {
            zone: "Europe/London".into(),
            open: vec![RawOpening {
                days: "mon-fri".into(),
                start,
                end,
            }],
            holidays: Vec::new(),
        }
    }
}

impl Default for RawTrend {
    fn default() -> Self {
        Self {
            spike_ratio: 2.0,
            spike_mails: 10,
        }
    }
}

impl Default for RawBurst {
    fn default() -> Self {
        Self {
            senders: 5,
            window_mins: 30,
            ratio: 3.0,
        }
    }
}

/// Checks `raw`, which stands at `place`. Whatever is wrong is added to `problems`.
pub fn read(raw: &RawTriage, place: &Path, problems: &mut Problems) -> Rules {
    let tiers = tiers(raw, place, problems);
    let mut rules = Rules {
        own: addresses(&raw.own_addresses, &place.key("own_addresses"), problems),
        allow: addresses(&raw.allow_senders, &place.key("allow_senders"), problems),
        deny: addresses(&raw.deny_senders, &place.key("deny_senders"), problems),
        customers: BTreeMap::new(),
        default_tier: tier(
            &tiers,
            &raw.default_tier,
            &place.key("default_tier"),
            problems,
        ),
        hours: hours(&raw.hours, &place.key("hours"), problems),
        trend: Trend {
            ratio: raw.trend.spike_ratio,
            mails: raw.trend.spike_mails,
        },
        burst: Burst {
            senders: raw.burst.senders as usize,
            window: chrono::TimeDelta::minutes(i64::from(raw.burst.window_mins)),
            ratio: raw.burst.ratio,
        },
        words: Words::default(),
    };
    for (who, name) in &raw.customers {
        let here = place.key("customers").key(who);
        let found = tier(&tiers, name, &here, problems);
        let who = address(who, &here, problems);
        rules.customers.insert(who, found);
    }
    rules.words = words(&raw.words, &place.key("words"), problems);
    rules
}

fn tiers(raw: &RawTriage, place: &Path, problems: &mut Problems) -> BTreeMap<String, Tier> {
    if raw.tiers.is_empty() {
        let hint = "such as { \"basic\": { \"first_response_hours\": 48 } }";
        problems.out_of_range(place.key("tiers"), "no tier", "at least one tier", hint);
    }
    let read = |(name, raw): (&String, &RawTier)| {
        let next = raw.next_response_hours.unwrap_or(raw.first_response_hours);
        let tier = Tier {
            name: name.clone(),
            first_hours: raw.first_response_hours,
            next_hours: next,
        };
        (name.clone(), tier)
    };
    raw.tiers.iter().map(read).collect()
}

fn tier(tiers: &BTreeMap<String, Tier>, name: &str, place: &Path, problems: &mut Problems) -> Tier {
    tiers.get(name).cloned().unwrap_or_else(|| {
        // Without any tier that is the fault, told already.
        if !tiers.is_empty() {
            problems.unknown_word(place, name, tiers.keys().map(String::as_str), "");
        }
        Tier::default()
    })
}

fn addresses(list: &[String], place: &Path, problems: &mut Problems) -> Vec<String> {
    let each = list.iter().enumerate();
    each.map(|(at, text)| address(text, &place.index(at), problems))
        .collect()
}

/// An address or `@domain`, in lower case.
fn address(text: &str, place: &Path, problems: &mut Problems) -> String {
    let plain = text.trim().to_lowercase();
    let good = plain.split_once('@').is_some_and(|(_, domain)| {
        !domain.is_empty() && !domain.contains('@') && !plain.contains([' ', '<', '>', ','])
    });
    if !good {
        let hint = "such as `jane@example.com`, or `@example.com` for all of a domain";
        problems.not_allowed(place, format!("`{text}`"), "an address or `@domain`", hint);
    }
    plain
}

fn hours(raw: &RawHours, place: &Path, problems: &mut Problems) -> Hours {
    let refused = |key: Path, fault: crate::base::calendar::CalendarError, to: &mut Problems| {
        to.not_allowed(key, fault.found, fault.allowed, fault.hint);
    };
    let zone = Zone::parse(&raw.zone).unwrap_or_else(|fault| {
        refused(place.key("zone"), fault, problems);
        Zone::UTC
    });
    let mut openings = Vec::new();
    for (at, opening) in raw.open.iter().enumerate() {
        let place = place.key("open").index(at);
        let days = Weekdays::parse(&opening.days);
        let start = TimeOfDay::parse(&opening.start);
        // The only name for the end of a day that is no time of the day.
        let end = match opening.end.as_str() {
            "24:00" => Ok(None),
            text => TimeOfDay::parse(text).map(Some),
        };
        match (days, start, end) {
            (Ok(_), Ok(start), Ok(Some(end))) if end <= start => {
                let hint = "an opening over midnight is written as two, up to 24:00 and from 00:00";
                let allowed = format!("later than {start}");
                problems.out_of_range(place.key("end"), end, allowed, hint);
            }
            (Ok(days), Ok(start), Ok(end)) => openings.push(Opening { days, start, end }),
            (days, start, end) => {
                let faults = [
                    ("days", days.err()),
                    ("start", start.err()),
                    ("end", end.err()),
                ];
                for (key, fault) in faults {
                    if let Some(fault) = fault {
                        refused(place.key(key), fault, problems);
                    }
                }
            }
        }
    }
    let mut holidays = Vec::new();
    for (at, text) in raw.holidays.iter().enumerate() {
        if let Ok(day) = text.parse::<NaiveDate>() {
            holidays.push(day);
        } else {
            let place = place.key("holidays").index(at);
            let found = format!("`{text}`");
            problems.not_allowed(place, found, "a date such as `2026-12-25`", "");
        }
    }
    Hours::new(zone, openings, holidays)
}

fn words(raw: &BTreeMap<String, RawWords>, place: &Path, problems: &mut Problems) -> Words {
    let shipped;
    let raw = if raw.is_empty() {
        shipped = shipped_words();
        &shipped
    } else {
        raw
    };
    let mut words = Words::default();
    for (language, lists) in raw {
        let place = place.key(language);
        let short = (2..=3).contains(&language.len());
        if !(short && language.bytes().all(|byte| byte.is_ascii_lowercase())) {
            let hint = "such as en, de, fr, es";
            let found = format!("the language `{language}`");
            problems.not_allowed(&place, found, "a code of two or three small letters", hint);
        }
        for group in Group::ALL {
            let place = place.key(group.word());
            let list = lists.list(group);
            if list.len() > MOST_PHRASES {
                let allowed = format!("at most {MOST_PHRASES} phrases");
                problems.out_of_range(&place, list.len(), allowed, "");
            }
            for (at, phrase) in list.iter().enumerate() {
                if !words.add(language, group, phrase) {
                    let found = format!("`{phrase}`");
                    problems.not_allowed(place.index(at), found, "words", "remove it");
                }
            }
        }
        for word in &lists.negations {
            words.add_negation(language, word);
        }
    }
    words
}

/// The words of the shipped file.
fn shipped_words() -> BTreeMap<String, RawWords> {
    #[derive(Deserialize)]
    struct Shipped {
        triage: ShippedTriage,
    }
    #[derive(Deserialize)]
    struct ShippedTriage {
        words: BTreeMap<String, RawWords>,
    }
    let text = include_str!("../../../../configs/support.json");
    let read: Result<Shipped, _> = serde_json::from_str(text);
    read.map(|shipped| shipped.triage.words).unwrap_or_default()
}
