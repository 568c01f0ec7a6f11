//! Sources of samples, checked: what [`super::config`] becomes.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use super::config::{
    AccessLogConfig, BeginWord, CountersConfig, ExcludeConfig, FieldsConfig, FormatWord,
    ScrapeConfig, SourceConfig, TimeWord, UnitWord,
};
use super::decimal::Unit;
use super::format::{COMBINED, Format};
use super::instant::Form;
use super::ndjson::Fields;
use super::scrape::Matcher;
use super::select::{Exclude, Pick, Selector, Statuses};
use super::tail::Begin;
use crate::base::json::Path;
use crate::base::names::is_name;
use crate::base::problems::Problems;
use crate::seams::outbound::Url;

/// What a name of a source or a series may be.
const NAME_RULE: &str = "1..=64 lower-case letters, digits, `_` or `-`, the first no mark";

/// Bytes of a word of an exclusion at most; it is looked for in every line.
const MAX_WORD: usize = 256;

/// One source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// As it is written: what tells whether an edit has changed it.
    pub written: SourceConfig,
    /// Its kind.
    pub kind: Kind,
}

/// Kinds of sources.
#[derive(Debug, Clone)]
pub enum Kind {
    /// An access log that is followed.
    AccessLog(Box<AccessLogRules>),
    /// A page of metrics.
    Scrape(Box<ScrapeRules>),
    /// What callers push.
    Pushed(Vec<String>),
    /// The daemon's own requests, as this series.
    Own(String),
}

/// How lines are written.
#[derive(Debug, Clone)]
pub enum Lines {
    /// As nginx does.
    Nginx(Format),
    /// One JSON object a line.
    Ndjson(Fields),
}

/// An access log.
#[derive(Debug, Clone)]
pub struct AccessLogRules {
    /// The file.
    pub path: PathBuf,
    /// Where reading begins.
    pub begin: Begin,
    /// How lines are written.
    pub lines: Lines,
    /// What counts.
    pub selector: Selector,
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct ScrapeRules {
    /// Where it is.
    pub url: Url,
    /// From one look to the next.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What is read.
    pub series: Vec<CounterRules>,
}

/// The counters of one series.
#[derive(Debug, Clone)]
pub struct CounterRules {
    /// The series.
    pub series: String,
    /// All requests.
    pub total: Option<Matcher>,
    /// The bad ones.
    pub bad: Option<Matcher>,
    /// Durations, by the name of the histogram.
    pub duration: Option<Matcher>,
    /// Unit of `duration`.
    pub unit: Unit,
}

impl Source {
    /// The series that it feeds.
    pub fn series(&self) -> Vec<&str> {
        match &self.kind {
            Kind::AccessLog(rules) => {
                let picks = rules.selector.picks();
                picks.iter().map(|pick| pick.series.as_str()).collect()
            }
            Kind::Scrape(rules) => rules.series.iter().map(|one| one.series.as_str()).collect(),
            Kind::Pushed(series) => series.iter().map(String::as_str).collect(),
            Kind::Own(series) => vec![series],
        }
    }
}

/// Checks the section `sources`, which stands at `place`; gives those in which nothing is wrong.
pub fn check(
    sources: &BTreeMap<String, SourceConfig>,
    place: &Path,
    problems: &mut Problems,
) -> Vec<Source> {
    let mut good = Vec::with_capacity(sources.len());
    for (name, written) in sources {
        let place = place.key(name);
        if !is_name(name) {
            let hint = "rename it; it stands in the journal beside every row";
            problems.not_allowed(&place, format!("the name `{name}`"), NAME_RULE, hint);
        }
        good.extend(kind(name, written, &place, problems).map(|kind| Source {
            name: name.clone(),
            written: written.clone(),
            kind,
        }));
    }
    fed_once(&good, place, problems);
    good
}

fn kind(name: &str, written: &SourceConfig, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let before = problems.count();
    let kind = match written {
        SourceConfig {
            access_log: Some(log),
            scrape: None,
            pushed: None,
            own: None,
        } => access_log(name, log, &place.key("access_log"), problems)
            .map(|rules| Kind::AccessLog(Box::new(rules))),
        SourceConfig {
            access_log: None,
            scrape: Some(page),
            pushed: None,
            own: None,
        } => {
            scrape(page, &place.key("scrape"), problems).map(|rules| Kind::Scrape(Box::new(rules)))
        }
        SourceConfig {
            access_log: None,
            scrape: None,
            pushed: Some(pushed),
            own: None,
        } => Some(Kind::Pushed(pushed.series.clone())),
        SourceConfig {
            access_log: None,
            scrape: None,
            pushed: None,
            own: Some(own),
        } => Some(Kind::Own(own.series.clone().unwrap_or_else(|| name.into()))),
        _ => {
            let allowed = "exactly one of `access_log`, `scrape`, `pushed`, `own`";
            let hint = "a source has one kind; write two sources instead";
            problems.not_allowed(place, "none or several", allowed, hint);
            None
        }
    };
    kind.filter(|_| problems.count() == before)
}

/// One series has one source: two that count the same requests would count them twice.
fn fed_once(sources: &[Source], place: &Path, problems: &mut Problems) {
    let mut fed: HashMap<&str, &str> = HashMap::new();
    for source in sources {
        for series in source.series() {
            let place = place.key(&source.name);
            if !is_name(series) {
                let hint = "rename the series";
                problems.not_allowed(&place, format!("the series `{series}`"), NAME_RULE, hint);
            }
            if let Some(other) = fed.insert(series, &source.name) {
                let found = format!("the series `{series}` again, after source `{other}`");
                let hint = "give each source series of its own; an objective may name several";
                problems.not_allowed(&place, found, "each series once", hint);
            }
        }
    }
}

fn access_log(
    name: &str,
    log: &AccessLogConfig,
    place: &Path,
    problems: &mut Problems,
) -> Option<AccessLogRules> {
    let path = PathBuf::from(&log.path);
    if !path.is_absolute() {
        let hint = "write the whole path from the root, such as /var/log/nginx/access.log";
        let found = format!("{:?}", log.path);
        problems.not_allowed(
            place.key("path"),
            found,
            "a path that begins with `/`",
            hint,
        );
    }
    let lines = lines(log, place, problems);
    let exclude = exclude(&log.exclude, &place.key("exclude"), problems);
    let bad = statuses(&log.bad_statuses, &place.key("bad_statuses"), problems);
    let mut picks: Vec<Pick> = Vec::with_capacity(log.series.len().max(1));
    for (series, pick) in &log.series {
        picks.push(Pick {
            series: series.clone(),
            path_prefixes: pick.path_prefixes.clone(),
            methods: pick.methods.clone(),
        });
    }
    if picks.is_empty() {
        picks.push(Pick {
            series: name.into(),
            path_prefixes: Vec::new(),
            methods: Vec::new(),
        });
    }
    let selector = Selector::new(exclude, picks, bad?);
    let selector = selector.map_err(|fault| {
        let hint = "divide the log's series among fewer objectives";
        problems.out_of_range(place.key("series"), fault.to_string(), "at most 64", hint);
    });
    Some(AccessLogRules {
        path,
        begin: match log.begin {
            BeginWord::End => Begin::End,
            BeginWord::Start => Begin::Start,
        },
        lines: lines?,
        selector: selector.ok()?,
    })
}

fn lines(log: &AccessLogConfig, place: &Path, problems: &mut Problems) -> Option<Lines> {
    let unused = |key: &str, problems: &mut Problems| {
        let allowed = "a key of the format that is chosen";
        let hint = "`log_format` goes with `nginx`, `fields` with `ndjson`, neither with `caddy`";
        problems.not_allowed(place.key(key), format!("`{key}`"), allowed, hint);
    };
    if log.log_format.is_some() && log.format != FormatWord::Nginx {
        unused("log_format", problems);
    }
    if log.fields.is_some() && log.format != FormatWord::Ndjson {
        unused("fields", problems);
    }
    match log.format {
        FormatWord::Caddy => Some(Lines::Ndjson(Fields::caddy())),
        FormatWord::Ndjson => {
            let Some(written) = &log.fields else {
                let hint = "name the members, at least `time` and `status`";
                problems.not_allowed(place, "no `fields`", "`fields` with `ndjson`", hint);
                return None;
            };
            Some(Lines::Ndjson(fields(written)))
        }
        FormatWord::Nginx => {
            let text = match log.log_format.as_deref() {
                None => format!("{COMBINED} $request_time"),
                Some("combined") => COMBINED.to_owned(),
                Some(text) => text.to_owned(),
            };
            let compiled = Format::compile(&text).map_err(|fault| {
                let found = format!("a format that cannot be read: {fault}");
                let allowed = "the text of a `log_format` with `$status` and a time";
                let hint = "copy it from nginx's configuration, without the quotes of its pieces";
                problems.not_allowed(place.key("log_format"), found, allowed, hint);
            });
            compiled.ok().map(Lines::Nginx)
        }
    }
}

fn fields(written: &FieldsConfig) -> Fields {
    Fields {
        time: written.time.clone(),
        form: match written.time_format {
            TimeWord::Rfc3339 => Form::Rfc3339,
            TimeWord::UnixSecs => Form::UnixSecs,
            TimeWord::UnixMillis => Form::UnixMillis,
        },
        status: written.status.clone(),
        method: written.method.clone(),
        path: written.path.clone(),
        duration: written.duration.clone(),
        unit: unit(written.duration_unit),
        agent: written.user_agent.clone(),
    }
}

fn unit(word: UnitWord) -> Unit {
    match word {
        UnitWord::Secs => Unit::Secs,
        UnitWord::Millis => Unit::Millis,
        UnitWord::Micros => Unit::Micros,
        UnitWord::Nanos => Unit::Nanos,
    }
}

fn exclude(written: &ExcludeConfig, place: &Path, problems: &mut Problems) -> Exclude {
    for (at, word) in written.user_agents.iter().enumerate() {
        if word.is_empty() || word.len() > MAX_WORD {
            let hint = "an empty word would be found in every agent";
            let (found, allowed) = (format!("{} bytes", word.len()), "1..=256");
            problems.out_of_range(place.key("user_agents").index(at), found, allowed, hint);
        }
    }
    let statuses = statuses(&written.statuses, &place.key("statuses"), problems);
    Exclude::new(
        written.path_prefixes.clone(),
        &written.user_agents,
        written.methods.clone(),
        statuses.unwrap_or_default(),
    )
}

fn statuses(words: &[String], place: &Path, problems: &mut Problems) -> Option<Statuses> {
    let made = Statuses::of(words.iter().map(String::as_str));
    let made = made.map_err(|word| {
        let allowed = "`5xx`, `404` or `500-599`";
        problems.not_allowed(place, format!("{word:?}"), allowed, "");
    });
    made.ok()
}

fn scrape(page: &ScrapeConfig, place: &Path, problems: &mut Problems) -> Option<ScrapeRules> {
    let url = Url::parse(&page.url).map_err(|fault| {
        let allowed = "a whole URL such as `http://127.0.0.1:9100/metrics`";
        problems.not_allowed(place.key("url"), fault.refused(), allowed, fault.hint);
    });
    let mut series = Vec::with_capacity(page.series.len());
    for (name, written) in &page.series {
        let place = place.key("series").key(name);
        series.push(counters(name, written, &place, problems));
    }
    Some(ScrapeRules {
        url: url.ok()?,
        every: Duration::from_secs(page.every_secs.into()),
        timeout: Duration::from_secs(page.timeout_secs.into()),
        series,
    })
}

fn counters(
    name: &str,
    written: &CountersConfig,
    place: &Path,
    problems: &mut Problems,
) -> CounterRules {
    if written.total.is_none() && written.duration.is_none() {
        let hint = "name the counter of all requests, or the histogram of their durations";
        problems.not_allowed(place, "neither", "`total` or `duration`", hint);
    }
    let mut matcher = |key: &str, text: &Option<String>| {
        let made = Matcher::parse(text.as_deref()?).map_err(|fault| {
            let allowed = "a selector such as `http_requests_total{code=~\"5..\"}`";
            problems.not_allowed(place.key(key), format!("refused, as {fault}"), allowed, "");
        });
        made.ok()
    };
    CounterRules {
        series: name.into(),
        total: matcher("total", &written.total),
        bad: matcher("bad", &written.bad),
        duration: matcher("duration", &written.duration),
        unit: unit(written.duration_unit),
    }
}
