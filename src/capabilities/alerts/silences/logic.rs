//! Whether a silence may be made, and what an edit of one comes to: as with Alertmanager, the same
//! silence where only its end or its words change, and a new one in its place otherwise.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::event::Event;
use super::model::{Draft, Phase, Silence};
use super::{MOST_COMMENT, MOST_MATCHERS, SilenceError};

/// What making `draft` does; the silence that it leads to has `fresh` as its id if it is a new one.
/// `known` is the silence that it edits.
pub(super) fn decide(
    draft: Draft,
    known: Option<&Silence>,
    fresh: String,
    now: DateTime<Utc>,
) -> Result<(String, Vec<Event>), SilenceError> {
    check(&draft, now)?;
    // Journals tell milliseconds.
    let (starts_at, ends_at) = (
        draft.starts_at.trunc_subsecs(3),
        draft.ends_at.trunc_subsecs(3),
    );
    let now = now.trunc_subsecs(3);
    let mut silence = Silence {
        id: fresh,
        by: draft.by,
        comment: draft.comment,
        matchers: draft.matchers,
        starts_at: starts_at.max(now),
        ends_at,
        changed_at: now,
    };
    let Some(known) = known else {
        let id = silence.id.clone();
        let replaces = String::new();
        return Ok((id, vec![Event::Created { silence, replaces }]));
    };
    let same = known.matchers == silence.matchers;
    let stays = match known.phase(now) {
        Phase::Active => same && starts_at == known.starts_at,
        Phase::Pending => same && starts_at >= now,
        Phase::Expired => false,
    };
    if stays {
        silence.id.clone_from(&known.id);
        silence.starts_at = starts_at;
        return Ok((known.id.clone(), vec![Event::Changed(silence)]));
    }
    let mut events = Vec::new();
    if known.phase(now) != Phase::Expired {
        events.push(Event::Expired {
            id: known.id.clone(),
            by: silence.by.clone(),
        });
    }
    let (id, replaces) = (silence.id.clone(), known.id.clone());
    events.push(Event::Created { silence, replaces });
    Ok((id, events))
}

fn check(draft: &Draft, now: DateTime<Utc>) -> Result<(), SilenceError> {
    let refused = |found: String, allowed: &str| {
        let allowed = allowed.to_owned();
        Err(SilenceError::Refused { found, allowed })
    };
    if draft.matchers.is_empty() {
        return refused(
            "a silence without conditions".into(),
            "at least one condition",
        );
    }
    if draft.matchers.len() > MOST_MATCHERS {
        let found = format!("{} conditions", draft.matchers.len());
        return refused(found, "at most 32");
    }
    // Else it would cover what nobody has thought of.
    if draft.matchers.iter().all(|matcher| matcher.takes("")) {
        let found = "conditions that hold without any label".to_owned();
        return refused(found, "at least one that an empty label does not fit");
    }
    if draft.ends_at <= draft.starts_at {
        return refused("an end before its start".into(), "an end after its start");
    }
    if draft.ends_at <= now {
        return refused("an end in the past".into(), "an end in the future");
    }
    if draft.by.is_empty() || draft.by.len() > MOST_COMMENT {
        return refused(
            format!("an author of {} bytes", draft.by.len()),
            "1..=1024 bytes",
        );
    }
    if draft.comment.len() > MOST_COMMENT {
        let found = format!("a comment of {} bytes", draft.comment.len());
        return refused(found, "at most 1024 bytes");
    }
    Ok(())
}
