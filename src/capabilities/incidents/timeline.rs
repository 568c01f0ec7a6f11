//! The story of an incident in order of time: the first bad sample, what was changed before it, and
//! what happened since. Pure.

use super::model::{Entry, Incident};
use crate::base::time::stamp;

/// Everything that is known of `incident`, in order.
pub(super) fn timeline(incident: &Incident) -> Vec<Entry> {
    let mut all = vec![Entry {
        at: incident.started_at,
        what: "started",
        text: "the first bad sample".to_owned(),
        by: String::new(),
    }];
    let changes = incident.suspects.iter().map(|suspect| Entry {
        at: suspect.at,
        what: "change",
        text: suspect.summary.clone(),
        by: suspect.actor.clone(),
    });
    all.extend(changes);
    all.extend(incident.entries.iter().cloned());
    // What happened at the same time stays in the order in which it was told.
    all.sort_by_key(|entry| entry.at);
    if incident.more_entries > 0
        && let Some(last) = all.last()
    {
        let text = format!(
            "{} more entries are in `logs/incidents.ndjson`, the last ones of this list after {}",
            incident.more_entries,
            stamp(last.at)
        );
        all.push(Entry {
            at: last.at,
            what: "more",
            text,
            by: String::new(),
        });
    }
    all
}
