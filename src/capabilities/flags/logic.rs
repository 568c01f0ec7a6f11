//! Pure decisions: what changed between two sets of flags.

use std::collections::BTreeMap;

use super::event::FlagChange;
use super::model::FlagValue;

/// The changes that lead from `before` to `after`, in the order of `after`, deletions last.
pub(super) fn diff<'a>(
    before: &BTreeMap<String, FlagValue>,
    after: impl Iterator<Item = (&'a str, &'a FlagValue)>,
) -> Vec<FlagChange> {
    let mut gone: BTreeMap<&str, &FlagValue> = before
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let mut changes = Vec::new();
    for (key, value) in after {
        let old = gone.remove(key);
        if old != Some(value) {
            changes.push(FlagChange {
                key: key.to_owned(),
                before: old.cloned(),
                after: Some(value.clone()),
            });
        }
    }
    changes.extend(gone.into_iter().map(|(key, old)| FlagChange {
        key: key.to_owned(),
        before: Some(old.clone()),
        after: None,
    }));
    changes
}
