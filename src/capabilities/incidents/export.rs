//! An incident as a postmortem in Markdown, to be finished by a person. Pure. What came from
//! elsewhere is escaped: it cannot make headings, links or images.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{Entry, Impact, Incident};
use super::timeline::timeline;
use crate::base::time::stamp;

/// What begins something in Markdown.
const MARKS: &str = "\\`*_{}[]<>()#+!|~&";

/// `incident` as it is at `now`; `impact` is what it has cost so far.
pub(super) fn markdown(incident: &Incident, impact: Option<&Impact>, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _infallible = write(&mut text, incident, impact, now);
    text
}

fn write(
    out: &mut String,
    incident: &Incident,
    impact: Option<&Impact>,
    now: DateTime<Utc>,
) -> std::fmt::Result {
    writeln!(out, "# {}: {}\n", incident.id, safe(&incident.title))?;
    writeln!(out, "## Summary\n")?;
    let severity = format!("{:?}", incident.severity).to_lowercase();
    writeln!(out, "- State: {}", incident.state.word())?;
    writeln!(out, "- Severity: {severity}")?;
    writeln!(out, "- First bad sample: {}", stamp(incident.started_at))?;
    let found = incident.detected_at - incident.started_at;
    let detected = stamp(incident.detected_at);
    writeln!(out, "- Noticed: {detected}, after {}", span(found))?;
    if let Some((at, by)) = &incident.acknowledged {
        let after = span(*at - incident.detected_at);
        writeln!(
            out,
            "- Acknowledged: {}, after {after}, by {}",
            stamp(*at),
            safe(by)
        )?;
    }
    match &incident.resolved {
        Some((at, by, how)) => {
            let took = span(*at - incident.started_at);
            let by = if by.is_empty() { "itself" } else { by.as_str() };
            writeln!(
                out,
                "- Resolved: {}, after {took}, by {}",
                stamp(*at),
                safe(by)
            )?;
            writeln!(out, "- How: {}", safe(how))?;
        }
        None => writeln!(out, "- Goes on since {}", span(now - incident.started_at))?,
    }
    if incident.flaps > 0 {
        writeln!(out, "- It came back {} times", incident.flaps)?;
    }
    writeln!(out, "\n## Impact\n")?;
    match impact {
        Some(impact) => {
            writeln!(out, "- Requests: {}", impact.requests)?;
            writeln!(out, "- Requests failed: {}", impact.failed)?;
            let burned = impact.burned_minutes;
            writeln!(out, "- Error budget burned: {burned} min of a full outage")?;
        }
        None => writeln!(
            out,
            "- Not measured: no alert of it names a series of samples"
        )?,
    }
    alerts(out, incident)?;
    let all = timeline(incident);
    writeln!(out, "\n## Timeline\n")?;
    for entry in &all {
        line(out, entry)?;
    }
    changes(out, incident)?;
    writeln!(out, "\n## What helped\n")?;
    let mut helped = all.iter().filter(|one| helps(one)).peekable();
    if helped.peek().is_none() {
        writeln!(out, "- (to be written)")?;
    }
    for entry in helped {
        line(out, entry)?;
    }
    writeln!(out, "\n## Follow-ups\n")?;
    writeln!(out, "- [ ] What would have prevented it?")?;
    writeln!(out, "- [ ] What would have shown it sooner?")?;
    writeln!(out, "- [ ] What would have ended it sooner?")
}

fn alerts(out: &mut String, incident: &Incident) -> std::fmt::Result {
    /// Alerts that are listed at most: a page of them.
    const MOST: usize = 50;
    writeln!(out, "\n## Alerts\n")?;
    for member in incident.members.values().take(MOST) {
        let found = &member.found;
        let until = match member.ended_at {
            Some(at) => format!("until {}", stamp(at)),
            None => "holds".to_owned(),
        };
        let (key, summary) = (safe(&found.key), safe(&found.summary));
        let since = stamp(found.started_at);
        writeln!(out, "- {key}: {summary} (from {since}, {until})")?;
    }
    match incident.members.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(out, "- and {more} more"),
    }
}

fn changes(out: &mut String, incident: &Incident) -> std::fmt::Result {
    writeln!(out, "\n## Changes in the 60 minutes before\n")?;
    if incident.suspects.is_empty() {
        writeln!(out, "- None is known")?;
    }
    for (place, suspect) in incident.suspects.iter().enumerate() {
        let (at, place) = (stamp(suspect.at), place + 1);
        let (said, why) = (safe(&suspect.sentence()), safe(&suspect.reasons.join("; ")));
        writeln!(out, "{place}. {at} {said} (score {}: {why})", suspect.score)?;
    }
    Ok(())
}

/// What a person or a recovery action did about it.
fn helps(entry: &Entry) -> bool {
    let by_hand = matches!(entry.what, "note" | "resolved") && !entry.by.is_empty();
    by_hand || entry.what == "recovery_done"
}

fn line(out: &mut String, entry: &Entry) -> std::fmt::Result {
    let what = entry.what.replace('_', " ");
    write!(out, "- {} {what}", stamp(entry.at))?;
    if !entry.by.is_empty() {
        write!(out, ", by {}", safe(&entry.by))?;
    }
    match entry.text.as_str() {
        "" => writeln!(out),
        text => writeln!(out, ": {}", safe(text)),
    }
}

/// `text` on one line, without a meaning to Markdown.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            out.push(' ');
            continue;
        }
        if MARKS.contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    // Bare addresses become links too in most readers (GFM §6.9).
    out.replace("://", ":\\//").replace("www.", "www\\.")
}

/// A span for people: `6 h 2 min`, `40 s`.
fn span(span: TimeDelta) -> String {
    let secs = span.num_seconds().max(0);
    let (hours, minutes) = (secs / 3600, secs / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{secs} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
