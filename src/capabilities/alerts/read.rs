//! Checks `configs/alerts.json`: every fault at once, each with its place and its cure.

use std::sync::Arc;
use std::time::Duration;

use super::channels::config::checked;
use super::config::{RawAlerts, RawEscalation, RawInhibition, RawQuiet, RawRoute};
use super::matcher::Matcher;
use super::rules::{
    AlertsRules, Escalation, Flapping, Grouping, Inhibition, Quiet, Route, Step, place as place_of,
};
use crate::base::calendar::{CalendarError, Span, TimeOfDay, Weekdays, Window, Zone};
use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::platform::alerts::Severity;

/// Channels, routes, inhibitions, quiet hours and escalations at most, of each. Our own choice: a
/// page that a person can still read.
const MOST_ROWS: usize = 200;
/// Conditions of one row at most.
const MOST_MATCHERS: usize = 32;
/// The word for no channel: everything is on record anyway.
const LOG: &str = "log";
/// The word for every channel.
const EVERY: &str = "*";
/// The word for each alert by itself.
const ALONE: &str = "...";

/// What the texts of the file are checked with.
struct Reader<'a> {
    raw: &'a RawAlerts,
    problems: &'a mut Problems,
}

/// The rules; whether they are good, `problems` tells.
pub(super) fn read_rules(raw: &RawAlerts, problems: &mut Problems) -> AlertsRules {
    let mut reader = Reader { raw, problems };
    let root = Path::root();
    let channels_place = root.key("channels");
    reader.count(raw.channels.len(), &channels_place);
    for name in raw.channels.keys() {
        reader.channel_name(name, &channels_place.key(name));
    }
    let channels = checked(&raw.channels, &channels_place, reader.problems);
    let levels = reader.levels();
    let default = Grouping {
        by: Some(["alertname".to_owned(), "source".to_owned()].into()),
        wait: Duration::from_secs(30),
        critical_wait: Duration::from_secs(10),
        interval: Duration::from_mins(5),
        repeat: chrono::TimeDelta::hours(4),
    };
    let own = RawRoute {
        group_by: raw.group_by.clone(),
        group_wait: raw.group_wait.clone(),
        critical_wait: raw.critical_wait.clone(),
        group_interval: raw.group_interval.clone(),
        repeat_interval: raw.repeat_interval.clone(),
        ..RawRoute::default()
    };
    let grouping = reader.grouping(&own, &default, &root);
    let mut routes = reader.rows(&raw.routes, "routes", |reader, route, place| {
        reader.route(route, &grouping, place)
    });
    routes.push(Arc::new(Route {
        id: "default".into(),
        matchers: Vec::new(),
        channels: None,
        goes_on: false,
        grouping,
    }));
    AlertsRules {
        channels,
        levels,
        routes,
        inhibit: reader.rows(&raw.inhibit, "inhibit", Reader::inhibition),
        quiet_hours: reader.rows(&raw.quiet_hours, "quiet_hours", Reader::quiet),
        escalate: reader.rows(&raw.escalate, "escalate", Reader::escalation),
        flapping: reader.flapping(),
    }
}

impl Reader<'_> {
    fn count(&mut self, found: usize, place: &Path) {
        if found > MOST_ROWS {
            let allowed = format!("at most {MOST_ROWS} entries");
            self.problems
                .out_of_range(place, found, allowed, "remove some");
        }
    }

    fn rows<Raw, Row, Read: Into<Option<Row>>>(
        &mut self,
        raw: &[Raw],
        key: &str,
        read: impl Fn(&mut Self, &Raw, &Path) -> Read,
    ) -> Vec<Row> {
        let place = Path::root().key(key);
        self.count(raw.len(), &place);
        let mut rows = Vec::new();
        for (at, one) in raw.iter().enumerate() {
            rows.extend(read(self, one, &place.index(at)).into());
        }
        rows
    }

    fn channel_name(&mut self, name: &str, place: &Path) {
        let rule = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let good = (1..=64).contains(&name.len()) && name.bytes().all(rule) && name != LOG;
        if !good {
            let allowed = "1..=64 letters, digits or `_-`, and not `log`";
            let found = format!("the name `{name}`");
            self.problems
                .not_allowed(place, found, allowed, "rename it");
        }
    }

    fn levels(&mut self) -> [Arc<[Arc<str>]>; 4] {
        let place = Path::root().key("levels");
        let raw = &self.raw.levels;
        let mut read = |names: &Option<Vec<String>>, key: &str, default: &str| match names {
            Some(names) => self.channels(names, &place.key(key)).into(),
            None => self.channels(&[default.to_owned()], &place.key(key)).into(),
        };
        [
            read(&raw.info, "info", LOG),
            read(&raw.warning, "warning", EVERY),
            read(&raw.error, "error", EVERY),
            read(&raw.critical, "critical", EVERY),
        ]
    }

    /// The channels `names`, each once and in the order of their names.
    fn channels(&mut self, names: &[String], place: &Path) -> Vec<Arc<str>> {
        let known = || self.raw.channels.keys().map(String::as_str);
        let mut found: Vec<Arc<str>> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            match &**name {
                LOG => {}
                EVERY => found.extend(known().map(Arc::from)),
                name if self.raw.channels.contains_key(name) => found.push(name.into()),
                name => {
                    let words = known().chain([EVERY, LOG]);
                    let hint = "name it under `channels`, or mend the word";
                    let place = place.index(at);
                    self.problems.unknown_word(place, name, words, hint);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn matchers(&mut self, texts: &[String], place: &Path) -> Vec<Matcher> {
        if texts.len() > MOST_MATCHERS {
            let allowed = format!("at most {MOST_MATCHERS} conditions");
            let hint = "one regular expression may stand for several";
            self.problems
                .out_of_range(place, texts.len(), allowed, hint);
        }
        let mut matchers = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            match Matcher::parse(text) {
                Ok(matcher) => matchers.push(matcher),
                Err(fault) => {
                    let hint = "such as `source=probes` or `probe=~\"web|api\"`";
                    let place = place.index(at);
                    self.problems
                        .not_allowed(place, &fault.found, fault.allowed, hint);
                }
            }
        }
        matchers
    }

    fn some_matchers(&mut self, texts: &[String], place: &Path) -> Vec<Matcher> {
        if texts.is_empty() {
            let hint = "such as [\"source=probes\"]";
            self.problems
                .missing_key(place, "at least one condition", hint);
        }
        self.matchers(texts, place)
    }

    fn noted<T>(&mut self, read: Result<T, CalendarError>, place: Path) -> Option<T> {
        let note = |error: CalendarError| {
            let hint = error.hint.clone();
            self.problems
                .not_allowed(place, &error.found, &error.allowed, hint);
        };
        read.map_err(note).ok()
    }

    /// A span within `bounds`, which the third of them says for people.
    fn span(&mut self, text: &str, bounds: (u64, u64, &str), place: Path) -> Option<Span> {
        let span = self.noted(Span::parse(text), place.clone())?;
        if (bounds.0..=bounds.1).contains(&span.as_secs()) {
            return Some(span);
        }
        self.problems.out_of_range(place, span, bounds.2, "");
        None
    }

    fn route(&mut self, raw: &RawRoute, default: &Grouping, place: &Path) -> Arc<Route> {
        let matchers = self.some_matchers(&raw.matches, &place.key("match"));
        let grouping = self.grouping(raw, default, place);
        let channels = raw.channels.as_ref();
        let channels = channels.map(|names| self.channels(names, &place.key("channels")).into());
        let texts: Vec<_> = matchers.iter().map(ToString::to_string).collect();
        Arc::new(Route {
            id: texts.join(",").into(),
            matchers,
            channels,
            goes_on: raw.goes_on,
            grouping,
        })
    }

    fn grouping(&mut self, raw: &RawRoute, default: &Grouping, place: &Path) -> Grouping {
        /// An hour, in seconds.
        const HOUR: u64 = 3600;
        /// A day, in seconds.
        const DAY: u64 = 24 * HOUR;
        let mut own = default.clone();
        let mut span = |text: &Option<String>, key, bounds| {
            let text = text.as_deref()?;
            self.span(text, bounds, place.key(key))
        };
        if let Some(wait) = span(&raw.group_wait, "group_wait", (0, HOUR, "0s..=1h")) {
            own.wait = wait.as_duration();
            own.critical_wait = own.critical_wait.min(own.wait);
        }
        if let Some(wait) = span(&raw.critical_wait, "critical_wait", (0, HOUR, "0s..=1h")) {
            own.critical_wait = wait.as_duration();
        }
        let bounds = (1, DAY, "1s..=1d");
        if let Some(interval) = span(&raw.group_interval, "group_interval", bounds) {
            own.interval = interval.as_duration();
        }
        let bounds = (60, 30 * DAY, "1m..=30d");
        if let Some(repeat) = span(&raw.repeat_interval, "repeat_interval", bounds) {
            own.repeat = repeat.as_delta();
        }
        if own.repeat < chrono::TimeDelta::from_std(own.interval).unwrap_or_default() {
            let key = if raw.repeat_interval.is_some() {
                "repeat_interval"
            } else {
                "group_interval"
            };
            let found = "a repeat interval shorter than the group interval";
            let hint = "repeats are looked at when the group interval has passed";
            let allowed = "`repeat_interval` not less than `group_interval`";
            self.problems
                .not_allowed(place.key(key), found, allowed, hint);
        }
        if let Some(names) = &raw.group_by {
            own.by = self.group_by(names, &place.key("group_by"));
        }
        own
    }

    fn group_by(&mut self, names: &[String], place: &Path) -> Option<Arc<[String]>> {
        if names.iter().any(|name| name == ALONE) {
            if names.len() > 1 {
                let hint = "remove the others: `...` tells each alert by itself";
                let found = "`...` among labels";
                self.problems
                    .not_allowed(place, found, "`...` alone, or labels", hint);
            }
            return None;
        }
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() || name.len() > 128 {
                let found = format!("a label of {} bytes", name.len());
                self.problems
                    .not_allowed(place.index(at), found, "1..=128 bytes", "mend it");
            }
        }
        Some(names.into())
    }

    fn inhibition(&mut self, raw: &RawInhibition, place: &Path) -> Inhibition {
        Inhibition {
            source: self.some_matchers(&raw.source, &place.key("source")),
            target: self.some_matchers(&raw.target, &place.key("target")),
            equal: raw.equal.clone(),
        }
    }

    fn quiet(&mut self, raw: &RawQuiet, place: &Path) -> Option<Quiet> {
        let days = match &raw.days {
            Some(text) => self.noted(Weekdays::parse(text), place.key("days")),
            None => Some(Weekdays::ALL),
        };
        let start = self.noted(TimeOfDay::parse(&raw.start), place.key("start"));
        let length = self.noted(Span::parse(&raw.length), place.key("length"));
        let zone = match &raw.zone {
            Some(text) => self.noted(Zone::parse(text), place.key("zone")),
            None => Some(Zone::UTC),
        };
        let channels = raw.channels.as_ref().map(|names| {
            let found = self.channels(names, &place.key("channels"));
            found.iter().map(ToString::to_string).collect()
        });
        let window = Window::new(days?, start?, length?, zone?);
        let mut levels = [false; 4];
        let usual = vec![Severity::Info, Severity::Warning, Severity::Error];
        for severity in raw.levels.as_ref().unwrap_or(&usual) {
            if let Some(level) = levels.get_mut(place_of(*severity)) {
                *level = true;
            }
        }
        Some(Quiet {
            window: self.noted(window, place.key("length"))?,
            levels,
            channels,
        })
    }

    fn escalation(&mut self, raw: &RawEscalation, place: &Path) -> Escalation {
        let matchers = self.matchers(&raw.matches, &place.key("match"));
        let place = place.key("steps");
        self.count(raw.steps.len(), &place);
        let mut steps = Vec::new();
        for (at, step) in raw.steps.iter().enumerate() {
            let place = place.index(at);
            let bounds = (60, 7 * 86_400, "1m..=7d");
            let after = self.span(&step.after, bounds, place.key("after"));
            let channels = self.channels(&step.channels, &place.key("channels"));
            steps.extend(after.map(|after| Step {
                after: after.as_delta(),
                channels,
            }));
        }
        steps.sort_by_key(|step| step.after);
        Escalation {
            matchers,
            severity: raw.severity.unwrap_or(Severity::Critical),
            steps,
        }
    }

    fn flapping(&mut self) -> Flapping {
        let raw = &self.raw.flapping;
        let place = Path::root().key("flapping");
        let mut span = |text: &Option<String>, key, default: i64| {
            let bounds = (60, 86_400, "1m..=1d");
            let read = text
                .as_deref()
                .and_then(|text| self.span(text, bounds, place.key(key)));
            read.map_or(chrono::TimeDelta::minutes(default), Span::as_delta)
        };
        let (within, stable) = (
            span(&raw.within, "within", 60),
            span(&raw.stable, "stable", 30),
        );
        let changes = raw.changes.unwrap_or(6);
        if changes > 1000 {
            let place = Path::root().key("flapping").key("changes");
            self.problems
                .out_of_range(place, changes, "0..=1000", "0 never calls it flapping");
        }
        Flapping {
            changes: changes as usize,
            within,
            stable,
        }
    }
}
