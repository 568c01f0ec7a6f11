//! Which requests count, for which series, and which of them are bad.
//!
//! A request that an exclusion names counts nowhere: health checks and bots say nothing about
//! users. Any other counts in every series that takes it, so that one series may be a part of
//! another. A prefix is plain text: `/api` takes `/apiary` too, `/api/` does not.

use std::fmt::{self, Display};

use regex::bytes::{Regex, RegexBuilder};

use super::line::Line;

/// Series a source may feed at most: a set of them is one machine word.
pub const MAX_SERIES: usize = 64;

/// A set of status codes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Statuses([u64; 16]);

impl Statuses {
    /// The set of `words`, such as `5xx`, `404` and `500-599`; the first that is none of these is
    /// the error.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, &'w str> {
        let mut set = Self::default();
        for word in words {
            let (first, last) = bounds(word).ok_or(word)?;
            for status in first..=last {
                if let Some(part) = set.0.get_mut(usize::from(status / 64)) {
                    *part |= 1 << (status % 64);
                }
            }
        }
        Ok(set)
    }

    /// Whether `status` is in it.
    pub fn has(&self, status: u16) -> bool {
        let part = self.0.get(usize::from(status / 64)).copied().unwrap_or(0);
        part >> (status % 64) & 1 == 1
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries((0..1000).filter(|s| self.has(*s)))
            .finish()
    }
}

/// First and last status that `word` names.
fn bounds(word: &str) -> Option<(u16, u16)> {
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    if let Some(class) = word.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| *class < 10)?;
        return (word.len() == 3).then_some((class * 100, class * 100 + 99));
    }
    match word.split_once('-') {
        Some((first, last)) => Some((code(first)?, code(last)?)).filter(|(a, b)| a <= b),
        None => code(word).map(|status| (status, status)),
    }
}

/// Any of some words, anywhere in a text, case aside.
#[derive(Debug, Clone, Default)]
struct Words(Option<Regex>);

impl Words {
    fn of(words: &[String]) -> Self {
        let escaped: Vec<String> = words.iter().map(|word| regex::escape(word)).collect();
        let built = RegexBuilder::new(&escaped.join("|"))
            .case_insensitive(true)
            .unicode(false)
            .build();
        // Escaped words always compile, unless they are too large; configuration bounds them.
        Self(built.ok().filter(|_| !words.is_empty()))
    }

    fn in_text(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// What is not counted at all.
#[derive(Debug, Clone, Default)]
pub struct Exclude {
    path_prefixes: Vec<String>,
    agents: Words,
    methods: Vec<String>,
    statuses: Statuses,
}

impl Exclude {
    /// Leaves out what any of these names.
    pub fn new(
        path_prefixes: Vec<String>,
        agents: &[String],
        methods: Vec<String>,
        statuses: Statuses,
    ) -> Self {
        Self {
            path_prefixes,
            agents: Words::of(agents),
            methods,
            statuses,
        }
    }

    fn takes(&self, line: &Line<'_>) -> bool {
        self.statuses.has(line.status)
            || has_prefix(line.path, &self.path_prefixes)
            || is_one_of(line.method, &self.methods)
            || (!line.agent.is_empty() && self.agents.in_text(line.agent))
    }
}

/// Requests of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The series.
    pub series: String,
    /// Beginnings of a path; none = every path.
    pub path_prefixes: Vec<String>,
    /// Methods; none = every method.
    pub methods: Vec<String>,
}

impl Pick {
    fn takes(&self, line: &Line<'_>) -> bool {
        (self.path_prefixes.is_empty() || has_prefix(line.path, &self.path_prefixes))
            && (self.methods.is_empty() || is_one_of(line.method, &self.methods))
    }
}

fn has_prefix(path: &[u8], prefixes: &[String]) -> bool {
    prefixes
        .iter()
        .any(|prefix| path.starts_with(prefix.as_bytes()))
}

fn is_one_of(method: &[u8], methods: &[String]) -> bool {
    methods
        .iter()
        .any(|one| method.eq_ignore_ascii_case(one.as_bytes()))
}

/// All rules of a source.
#[derive(Debug, Clone)]
pub struct Selector {
    exclude: Exclude,
    picks: Vec<Pick>,
    bad: Statuses,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts nowhere.
    Excluded,
    /// It counts.
    Counted {
        /// In which series: bit n for the n-th of [`Selector::picks`].
        series: u64,
        /// Whether as a bad one.
        bad: bool,
    },
}

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany(pub usize);

impl Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} series, at most {MAX_SERIES} are fed by one source",
            self.0
        )
    }
}

impl Selector {
    /// Counts what `exclude` does not name into `picks`, the `bad` ones as bad.
    pub fn new(exclude: Exclude, picks: Vec<Pick>, bad: Statuses) -> Result<Self, TooMany> {
        if picks.len() > MAX_SERIES {
            return Err(TooMany(picks.len()));
        }
        Ok(Self {
            exclude,
            picks,
            bad,
        })
    }

    /// The series in order.
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// What becomes of `line`.
    pub fn judge(&self, line: &Line<'_>) -> Verdict {
        if self.exclude.takes(line) {
            return Verdict::Excluded;
        }
        let mut series = 0;
        for (bit, pick) in self.picks.iter().enumerate() {
            series |= u64::from(pick.takes(line)) << bit;
        }
        if series == 0 {
            return Verdict::Excluded;
        }
        Verdict::Counted {
            series,
            bad: self.bad.has(line.status),
        }
    }
}
