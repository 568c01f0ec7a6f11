//! What hides what: for each inhibition the alerts that hold and are its sources, by the values of
//! the labels that must be equal. Asking costs one look, however many alerts there are.

use std::collections::HashMap;

use super::labels::Labelled;
use super::matcher::all_hold;
use super::rules::Inhibition;

/// Sources of one inhibition with the same values of its labels.
#[derive(Debug, Clone, Copy, Default)]
struct Sources {
    /// How many are sources only.
    plain: usize,
    /// How many are targets of it too: they never hide another such.
    both: usize,
}

/// Place of a source in the index, kept with the alert so that it can be taken out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    rule: usize,
    values: Box<str>,
    is_both: bool,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    sources: HashMap<(usize, Box<str>), Sources>,
}

impl Index {
    /// Takes in an alert that holds; gives its places.
    pub(super) fn insert(&mut self, rules: &[Inhibition], labels: &impl Labelled) -> Vec<Place> {
        let mut places = Vec::new();
        for (rule, inhibition) in rules.iter().enumerate() {
            if all_hold(&inhibition.source, labels) {
                let is_both = all_hold(&inhibition.target, labels);
                let values = values(&inhibition.equal, labels);
                let sources = self.sources.entry((rule, values.clone())).or_default();
                *count(sources, is_both) += 1;
                places.push(Place {
                    rule,
                    values,
                    is_both,
                });
            }
        }
        places
    }

    /// Takes out an alert that has ended.
    pub(super) fn remove(&mut self, places: &[Place]) {
        for place in places {
            let key = (place.rule, place.values.clone());
            if let Some(sources) = self.sources.get_mut(&key) {
                let count = count(sources, place.is_both);
                *count = count.saturating_sub(1);
                if sources.plain + sources.both == 0 {
                    self.sources.remove(&key);
                }
            }
        }
    }

    /// The first inhibition that hides what has these labels, by its place in the file.
    pub(super) fn hides(&self, rules: &[Inhibition], labels: &impl Labelled) -> Option<usize> {
        let hides = |(rule, inhibition): &(usize, &Inhibition)| {
            if !all_hold(&inhibition.target, labels) {
                return false;
            }
            let key = (*rule, values(&inhibition.equal, labels));
            let Some(sources) = self.sources.get(&key) else {
                return false;
            };
            // As with Alertmanager: an alert on both sides is not hidden by such, itself included.
            sources.plain > 0 || sources.both > 0 && !all_hold(&inhibition.source, labels)
        };
        rules.iter().enumerate().find(hides).map(|(rule, _)| rule)
    }
}

const fn count(sources: &mut Sources, is_both: bool) -> &mut usize {
    if is_both {
        &mut sources.both
    } else {
        &mut sources.plain
    }
}

/// The values of `names`, so that two are the same only where each value is.
fn values(names: &[String], labels: &impl Labelled) -> Box<str> {
    let mut values = String::new();
    for name in names {
        let value = labels.label(name);
        values.push_str(&value.len().to_string());
        values.push(':');
        values.push_str(value);
    }
    values.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::capabilities::alerts::matcher::Matcher;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn rule(source: &str, target: &str, equal: &[&str]) -> Inhibition {
        Inhibition {
            source: vec![Matcher::parse(source).unwrap()],
            target: vec![Matcher::parse(target).unwrap()],
            equal: equal.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_source_hides_targets_with_equal_labels_while_it_holds() {
        let rules = [rule("alertname=HostDown", "alertname!=HostDown", &["host"])];
        let mut index = Index::default();
        let down = index.insert(&rules, &labels(&[("alertname", "HostDown"), ("host", "a")]));
        let full = |host: &str| labels(&[("alertname", "DiskFull"), ("host", host)]);
        assert_eq!(index.hides(&rules, &full("a")), Some(0));
        assert_eq!(index.hides(&rules, &full("b")), None);
        assert_eq!(
            index.hides(&rules, &labels(&[("alertname", "DiskFull")])),
            None
        );
        index.remove(&down);
        assert_eq!(index.hides(&rules, &full("a")), None);
        assert!(index.sources.is_empty());
    }

    #[test]
    fn a_missing_label_is_equal_to_an_empty_one() {
        let rules = [rule("level=critical", "level=warning", &["rack"])];
        let mut index = Index::default();
        index.insert(&rules, &labels(&[("level", "critical")]));
        let empty = labels(&[("level", "warning"), ("rack", "")]);
        assert_eq!(index.hides(&rules, &empty), Some(0));
        assert_eq!(
            index.hides(&rules, &labels(&[("level", "warning")])),
            Some(0)
        );
    }

    #[test]
    fn alerts_on_both_sides_do_not_hide_each_other() {
        let rules = [rule("job=~.+", "job=~.+", &[])];
        let mut index = Index::default();
        let (web, api) = (labels(&[("job", "web")]), labels(&[("job", "api")]));
        index.insert(&rules, &web);
        index.insert(&rules, &api);
        assert_eq!(index.hides(&rules, &web), None);
        let rules = [rule("job=~.+", "team=~.+", &[])];
        let mut index = Index::default();
        let both = labels(&[("job", "web"), ("team", "ops")]);
        index.insert(&rules, &both);
        assert_eq!(index.hides(&rules, &both), None);
        assert_eq!(index.hides(&rules, &labels(&[("team", "ops")])), Some(0));
        index.insert(&rules, &api);
        assert_eq!(index.hides(&rules, &both), Some(0), "by a plain source");
    }
}
