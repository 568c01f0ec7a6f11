//! What a notice says, in words: one text for all channels, which each puts into its form. Pure.
//!
//! The first line tells what matters, then come the alerts, one line each, then the likely cause,
//! the incident and where to acknowledge. Nothing is told that the alerts do not say.

use chrono::TimeDelta;

use crate::capabilities::alerts::model::{Notice, NoticeAlert, Reason, Status};
use crate::platform::alerts::{Severity, is_foreign, name_of};

/// UTF-16 units of one line: a sentence with its numbers.
const MOST_LINE: usize = 400;
/// Alerts told one by one at most: nobody reads more.
const MOST_LINES: usize = 20;
/// Likely causes told.
const MOST_CAUSES: usize = 3;

/// The words of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The first line.
    pub title: String,
    /// One line for each alert.
    pub lines: Vec<String>,
    /// Alerts that have no line.
    pub more: usize,
    /// What follows, a line each.
    pub rest: Vec<String>,
    /// Where it can be acknowledged; empty where nowhere or where nothing holds.
    pub ack_url: String,
    /// Where more is shown; empty where nowhere.
    pub url: String,
}

impl Words {
    /// The words of `notice`, in at most `most` UTF-16 units together: every channel's own count
    /// is no stricter.
    pub fn of(notice: &Notice, most: usize) -> Self {
        let mut words = Self {
            title: calm(&title(notice)),
            lines: Vec::new(),
            more: usize::try_from(notice.more).unwrap_or(usize::MAX),
            rest: rest(notice).iter().map(|line| calm(line)).collect(),
            ack_url: ack_url(notice),
            url: notice
                .alerts
                .iter()
                .map(|alert| alert.url.clone())
                .find(|url| !url.is_empty())
                .unwrap_or_default(),
        };
        let fixed = words.rest.iter().map(|line| units(line) + 1).sum::<usize>();
        // Room for "… and 12345 more" and for the links.
        let links = units(&words.ack_url) + units(&words.url) + 40;
        let mut room = most.saturating_sub(units(&words.title) + fixed + links);
        for alert in &notice.alerts {
            let line = calm(&line(notice, alert));
            let size = units(&line) + 3;
            if size > room || words.lines.len() >= MOST_LINES {
                words.more += 1;
                room = 0;
            } else {
                room -= size;
                words.lines.push(line);
            }
        }
        words
    }

    /// The lines of alerts and what follows, plain, with `mark` before each alert.
    pub fn body(&self, mark: &str) -> String {
        let mut all: Vec<String> = self
            .lines
            .iter()
            .map(|line| format!("{mark}{line}"))
            .collect();
        if self.more > 0 {
            all.push(format!("… and {} more", self.more));
        }
        all.extend(self.rest.iter().cloned());
        all.join("\n")
    }
}

/// The colour of a notice, as the web writes it, without `#`.
pub fn colour(notice: &Notice) -> u32 {
    match (notice.is_firing(), notice.severity) {
        (false, _) if notice.reason != Reason::Digest => 0x002e_b886,
        (_, Severity::Critical | Severity::Error) => 0x00d0_342c,
        (_, Severity::Warning) => 0x00e6_a117,
        (_, Severity::Info) => 0x0043_6cb3,
    }
}

/// A span as people say it: the two largest units that matter.
pub fn span(span: TimeDelta) -> String {
    let secs = span.num_seconds().max(0);
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => match secs / 60 % 60 {
            0 => format!("{} h", secs / 3_600),
            minutes => format!("{} h {minutes} min", secs / 3_600),
        },
        _ => match secs / 3_600 % 24 {
            0 => format!("{} d", secs / 86_400),
            hours => format!("{} d {hours} h", secs / 86_400),
        },
    }
}

/// One word for how bad it is, as people shout it.
fn shouted(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
        Severity::Critical => "CRITICAL",
    }
}

const fn light(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "🔵",
        Severity::Warning => "🟡",
        Severity::Error | Severity::Critical => "🔴",
    }
}

/// What the group is called: its only alert, or what its alerts have in common.
fn subject(notice: &Notice) -> String {
    if let ([only], 0) = (notice.alerts.as_slice(), notice.more) {
        return name(only);
    }
    let count = notice.alerts.len() + usize::try_from(notice.more).unwrap_or(0);
    let labels: Vec<String> = notice
        .group_labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match labels.as_slice() {
        [] => format!("{count} alerts"),
        labels => format!("{count} alerts of {}", labels.join(", ")),
    }
}

fn title(notice: &Notice) -> String {
    let subject = subject(notice);
    let severity = shouted(notice.severity);
    match notice.reason {
        Reason::Test => {
            return format!("🧪 EchoPilot test notice ({})", severity.to_lowercase());
        }
        Reason::Digest => {
            let count = notice.alerts.len() + usize::try_from(notice.more).unwrap_or(0);
            return format!("🗞 Could not be told in time: {count} alerts, summed up");
        }
        _ => {}
    }
    if !notice.is_firing() {
        return format!("✅ {subject} resolved, was down {}", lasted(notice));
    }
    let of_incidents = |alert: &NoticeAlert| {
        alert.status == Status::Firing
            && alert.labels.get("source").map(String::as_str) == Some("incidents")
    };
    let opens = notice.reason == Reason::First && !notice.incident.is_empty();
    if opens || notice.alerts.iter().any(of_incidents) {
        return "🚨 EchoPilot Incident Detected".into();
    }
    let light = light(notice.severity);
    match notice.reason {
        Reason::Repeat => format!("{light} {severity}, still: {subject}"),
        Reason::Escalation => format!("⏫ {severity}, nobody has taken it up: {subject}"),
        Reason::Worse => format!("{light} Now {severity}: {subject}"),
        Reason::NewResolved => format!("{light} {severity}, partly resolved: {subject}"),
        _ => format!("{light} {severity}: {subject}"),
    }
}

/// From the first bad sample of all to the last end of all.
fn lasted(notice: &Notice) -> String {
    let first = notice.alerts.iter().map(|alert| alert.started_at).min();
    let last = notice
        .alerts
        .iter()
        .filter_map(|alert| alert.ended_at)
        .max();
    let (first, last) = (first.unwrap_or(notice.at), last.unwrap_or(notice.at));
    span(last - first)
}

/// What an alert is called.
fn name(alert: &NoticeAlert) -> String {
    let labels = alert.labels.iter();
    name_of(&alert.key, labels.map(|(name, value)| (&**name, &**value)))
}

fn line(notice: &Notice, alert: &NoticeAlert) -> String {
    let summary = match (alert.summary.trim(), is_foreign(&alert.key)) {
        ("", _) => &name(alert),
        (summary, true) if Some(summary) != alert.labels.get("alertname").map(String::as_str) => {
            &format!("{}: {summary}", name(alert))
        }
        (_, true) => &name(alert),
        (summary, false) => summary,
    };
    match (alert.status, notice.reason) {
        (Status::Resolved, Reason::Digest) => {
            let ended = alert.ended_at.unwrap_or(notice.at);
            format!("✅ {summary}, was down {}", span(ended - alert.started_at))
        }
        (Status::Resolved, _) if notice.is_firing() => format!("✅ {summary}"),
        _ => summary.to_owned(),
    }
}

fn rest(notice: &Notice) -> Vec<String> {
    let mut rest = Vec::new();
    if notice.is_firing() {
        let causes = notice.causes.iter().take(MOST_CAUSES);
        let causes: Vec<&str> = causes.map(String::as_str).collect();
        match causes.as_slice() {
            [] => {}
            [first, others @ ..] => {
                rest.push(format!("Likely cause: {first}"));
                rest.extend(others.iter().map(|other| format!("or: {other}")));
            }
        }
    }
    if !notice.incident.is_empty() {
        rest.push(format!("Incident: {}", notice.incident));
    }
    let others = |name: &&String| **name != notice.channel;
    if let Some(last) = notice.via.iter().rev().find(others) {
        rest.push(format!("Sent here because `{last}` could not take it"));
    }
    rest
}

fn ack_url(notice: &Notice) -> String {
    let url = notice.ack_url.as_ref().filter(|_| notice.is_firing());
    url.cloned().unwrap_or_default()
}

/// `text` on one line, without what steers a screen or turns the direction of writing, not too
/// long.
pub fn calm(text: &str) -> String {
    let steers = |c: char| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let mut calm = String::with_capacity(text.len());
    let mut size = 0;
    for c in text.trim().chars() {
        size += c.len_utf16();
        if size > MOST_LINE {
            calm.push('…');
            break;
        }
        calm.push(if steers(c) { ' ' } else { c });
    }
    calm
}

/// UTF-16 units of a text, as Telegram counts; never less than its characters.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
