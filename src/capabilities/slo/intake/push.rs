//! Samples that callers push: counts, or one duration each.
//!
//! A call is taken whole or not at all. With an `id` it is answered when its line is in the
//! journal, and counts once however often it is sent (the last 16,384 ids are known). Without, it
//! counts at once and is in the journal within a second; a crash in between loses it, and the
//! answer says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::{Kind, Source};
use crate::base::names::{is_name, nearest};
use crate::platform::samples::{Rows, Samples, Splits};

/// Under this name pushed samples stand in the journal.
pub(super) const SOURCE: &str = "push";

/// Samples of one call at most: some 10 ms of work.
pub(super) const MAX_SAMPLES: usize = 10_000;

/// Series that callers may make themselves, at most: one caller with a fault must not fill the
/// store.
const MAX_CREATED: usize = 256;

/// Bytes of an id at most.
const MAX_ID: usize = 128;

/// Seconds that a sample may be ahead of our clock; the store takes no more.
const MAX_AHEAD_SECS: i64 = 300;

/// Requests of one sample at most: what one caller serves in years.
const MAX_COUNT: u64 = 1_000_000_000_000;

/// One sample: counts, or the duration of one request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleBody {
    /// The series it counts in.
    pub(super) series: String,
    /// How many requests were good.
    #[serde(default)]
    pub(super) good: Option<u64>,
    /// How many requests were bad.
    #[serde(default)]
    pub(super) bad: Option<u64>,
    /// How long one request took, in milliseconds.
    #[serde(default)]
    pub(super) duration_ms: Option<f64>,
    /// Whether that request was good. Default true.
    #[serde(default)]
    pub(super) ok: Option<bool>,
    /// When it was, RFC 3339. Default now.
    #[serde(default)]
    pub(super) ts: Option<String>,
    /// What these requests saw, variant by flag, at most 16: for the causes of incidents.
    #[serde(default)]
    pub(super) flags: BTreeMap<String, String>,
}

/// Flags of one sample at most (our own choice: those that a page depends on).
const MAX_FLAGS: usize = 16;

/// Bytes of a flag's key or of a variant at most (our own choice).
const MAX_FLAG: usize = 128;

/// Why a sample is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Stable machine word.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) detail: String,
    /// The cure.
    pub(super) hint: String,
    /// The series that was probably meant.
    pub(super) nearest: Option<String>,
}

impl Refused {
    fn new(code: &'static str, detail: impl Into<String>, hint: &str) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: hint.into(),
            nearest: None,
        }
    }
}

/// Series that callers have made.
#[derive(Debug)]
pub(super) struct Created(Mutex<BTreeSet<String>>);

impl Created {
    /// Those that the store knows from earlier.
    pub(super) fn known(samples: &Samples) -> Self {
        let all = samples.series().into_iter();
        let pushed = all.filter(|info| &*info.source == SOURCE);
        Self(Mutex::new(pushed.map(|info| info.name.into()).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks the id of a call.
pub(super) fn check_id(id: &str) -> Result<(), Refused> {
    if !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let detail = "`id` is not 1..=128 visible ASCII characters";
    Err(Refused::new(
        "bad_id",
        detail,
        "such as a UUID, the same when the call is repeated",
    ))
}

/// Makes rows of samples: all of them, or what is wrong with the first bad one and its number.
pub(super) fn rows(
    bodies: &[SampleBody],
    sources: &[Source],
    created: &Created,
    create: bool,
    now: DateTime<Utc>,
) -> Result<Rows, (usize, Refused)> {
    let mut rows = Rows::new();
    let mut new = BTreeSet::new();
    for (at, body) in bodies.iter().enumerate() {
        let refuse = |refused| (at, refused);
        if !may_push(&body.series, sources, created) {
            if !create {
                return Err(refuse(unknown(&body.series, sources, created)));
            }
            may_create(&body.series, sources).map_err(refuse)?;
            new.insert(body.series.clone());
        }
        add(&mut rows, body, now).map_err(refuse)?;
        check_flags(&body.flags).map_err(refuse)?;
    }
    let mut known = created.lock();
    if known.len() + new.len() > MAX_CREATED {
        let detail = format!("{MAX_CREATED} series have been made by callers, no more are taken");
        let hint = "name them in `configs/slo.json`, in a source of the kind `pushed`";
        return Err((0, Refused::new("too_many_series", detail, hint)));
    }
    known.append(&mut new);
    Ok(rows)
}

fn check_flags(flags: &BTreeMap<String, String>) -> Result<(), Refused> {
    let hint = r#"{"series":"shop","bad":1,"flags":{"checkout.v2":"true"}}"#;
    if flags.len() > MAX_FLAGS {
        let detail = format!(
            "{} flags in one sample, at most {MAX_FLAGS} are taken",
            flags.len()
        );
        return Err(Refused::new("bad_flags", detail, hint));
    }
    let fits = |text: &String| {
        !text.is_empty() && text.len() <= MAX_FLAG && !text.chars().any(char::is_control)
    };
    if flags
        .iter()
        .all(|(flag, variant)| fits(flag) && fits(variant))
    {
        return Ok(());
    }
    let detail =
        format!("a flag or variant is not 1..={MAX_FLAG} bytes without control characters");
    Err(Refused::new("bad_flags", detail, hint))
}

/// Counts what the requests of good samples saw.
pub(super) fn record_flags(bodies: &[SampleBody], splits: &Splits, now: DateTime<Utc>) {
    for body in bodies.iter().filter(|body| !body.flags.is_empty()) {
        let at = body.ts.as_ref().and_then(|text| text.parse().ok());
        let counts = match body.duration_ms {
            Some(_) if body.ok == Some(false) => (0, 1),
            Some(_) => (1, 0),
            None => (body.good.unwrap_or(0), body.bad.unwrap_or(0)),
        };
        for (flag, variant) in &body.flags {
            splits.record(flag, variant, counts, at.unwrap_or(now), now);
        }
    }
}

/// Whether callers may push samples of `series`.
fn may_push(series: &str, sources: &[Source], created: &Created) -> bool {
    let declared = sources.iter().any(|source| match &source.kind {
        Kind::Pushed(names) => names.iter().any(|name| name == series),
        _ => false,
    });
    // One that has since become another source's is not counted twice.
    declared || (created.lock().contains(series) && fed_by(series, sources).is_none())
}

/// The source that feeds `series`.
fn fed_by<'s>(series: &str, sources: &'s [Source]) -> Option<&'s Source> {
    sources
        .iter()
        .find(|source| source.series().contains(&series))
}

fn may_create(series: &str, sources: &[Source]) -> Result<(), Refused> {
    if let Some(source) = fed_by(series, sources) {
        let detail = format!("the series `{series}` is fed by source `{}`", source.name);
        return Err(Refused::new("series_taken", detail, "take another name"));
    }
    if is_name(series) {
        return Ok(());
    }
    let detail = format!("`{series}` is no name of a series");
    let hint = "1..=64 lower-case letters, digits, `_` or `-`, the first no mark";
    Err(Refused::new("bad_series", detail, hint))
}

fn unknown(series: &str, sources: &[Source], created: &Created) -> Refused {
    let pushed = sources.iter().filter(|s| matches!(s.kind, Kind::Pushed(_)));
    let declared = pushed.flat_map(Source::series);
    let made = created.lock();
    let near = nearest(series, declared.chain(made.iter().map(String::as_str)));
    let shown: String = series.chars().take(64).collect();
    let hint = "name it in `configs/slo.json`, in a source of the kind `pushed`, or send \
                `?create_series=true`";
    Refused {
        nearest: near.map(str::to_owned),
        ..Refused::new(
            "unknown_series",
            format!("no series `{shown}` is pushed"),
            hint,
        )
    }
}

/// Adds one sample.
fn add(rows: &mut Rows, body: &SampleBody, now: DateTime<Utc>) -> Result<(), Refused> {
    let at = match &body.ts {
        None => now,
        Some(text) => instant(text, now)?,
    };
    match (body.good, body.bad, body.duration_ms, body.ok) {
        (None, None, Some(took), ok) => {
            let bad = u64::from(ok == Some(false));
            rows.add(&body.series, at, 1, bad, Some(micros(took)?));
        }
        (good, bad, None, None) if good.is_some() || bad.is_some() => {
            let (good, bad) = (good.unwrap_or(0), bad.unwrap_or(0));
            if good.max(bad) > MAX_COUNT {
                let detail = format!("{} requests in one sample", good.max(bad));
                return Err(Refused::new(
                    "bad_sample",
                    detail,
                    "at most 10^12 are taken",
                ));
            }
            rows.add(&body.series, at, good + bad, bad, None);
        }
        _ => {
            let detail = "a sample is either `good` and `bad`, or `duration_ms` and `ok`";
            let hint = r#"{"series":"jobs","good":99,"bad":1} or {"series":"jobs","duration_ms":12.5,"ok":true}"#;
            return Err(Refused::new("bad_sample", detail, hint));
        }
    }
    Ok(())
}

fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
    let Ok(at) = text.parse::<DateTime<Utc>>() else {
        let detail = "`ts` is no instant";
        return Err(Refused::new(
            "bad_ts",
            detail,
            "such as 2026-11-21T09:15:02.123Z",
        ));
    };
    if at > now + TimeDelta::seconds(MAX_AHEAD_SECS) {
        let detail = format!("`ts` is {text}, more than five minutes ahead of our clock");
        return Err(Refused::new(
            "bad_ts",
            detail,
            "leave `ts` out, or set the clock",
        ));
    }
    Ok(at)
}

/// Whole microseconds.
fn micros(millis: f64) -> Result<u64, Refused> {
    super::decimal::whole((millis * 1000.0).round()).ok_or_else(|| {
        let detail = format!("`duration_ms` is {millis}");
        Refused::new("bad_sample", detail, "milliseconds, zero or more")
    })
}
