//! The list of experiments with their counts.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::{Experiment, Status};
use super::query;
use super::service::Experiments;
use super::view::{ExperimentsView, Group};
use crate::platform::http::{Answer, HotCall, HttpError, json, json_bytes};

/// All experiments.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListReply {
    /// True.
    pub ok: bool,
    /// How many.
    pub count: usize,
    /// Those in the file, in its order.
    pub experiments: Vec<ExperimentReply>,
}

/// One experiment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExperimentReply {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Whether it runs.
    pub status: Status,
    /// Users who were exposed to more than one of its variants.
    pub exposed_to_several: u64,
    /// Its variants. Those that are not in the file any more come last, if they were ever counted.
    pub variants: Vec<VariantReply>,
}

/// One variant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VariantReply {
    /// Its name.
    pub name: String,
    /// Users exposed to it.
    pub exposures: u64,
    /// What was logged in it.
    pub events: Vec<EventReply>,
}

/// One event in one variant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventReply {
    /// Its name.
    pub event: String,
    /// Lines.
    pub n: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Different users.
    pub users: u64,
}

impl Experiments {
    /// Experiments with their counts.
    pub fn list(&self) -> ListReply {
        let seen = self.live.get();
        let view = self.kept.lock();
        let experiments: Vec<_> = seen.rules.iter().map(|exp| reply(exp, &view)).collect();
        ListReply {
            ok: true,
            count: experiments.len(),
            experiments,
        }
    }

    pub(super) fn answer_list(&self, hot: &HotCall<'_>) -> Result<Answer, HttpError> {
        let [] = query::parse(hot.parts.uri.query().unwrap_or_default(), [])?;
        Ok(json(json_bytes(&self.list())))
    }
}

fn reply(exp: &Experiment, view: &ExperimentsView) -> ExperimentReply {
    let own = |group: &&Group| *group.exp == *exp.name;
    let mut names = exp.variant_names();
    let mut former: Vec<&str> = view
        .groups()
        .filter(own)
        .map(|group| &*group.variant)
        .collect();
    former.sort_unstable();
    former.dedup();
    former.retain(|name| !names.contains(name));
    names.extend(former);
    let variant = |name: &str| {
        let groups = || {
            view.groups()
                .filter(own)
                .filter(|group| *group.variant == *name)
        };
        let exposures = groups().find(|group| group.event.is_none());
        let mut events: Vec<EventReply> = groups().filter_map(event).collect();
        events.sort_by(|left, right| left.event.cmp(&right.event));
        let exposures = exposures.map_or(0, |group| group.users.count());
        VariantReply {
            name: name.to_owned(),
            exposures,
            events,
        }
    };
    ExperimentReply {
        name: exp.name.to_string(),
        description: exp.description.to_string(),
        status: exp.status,
        exposed_to_several: view.exposed_to_several(&exp.name),
        variants: names.into_iter().map(variant).collect(),
    }
}

fn event(group: &Group) -> Option<EventReply> {
    let event = group.event.as_deref()?.to_owned();
    Some(EventReply {
        event,
        n: group.count,
        sum: group.sum,
        users: group.users.count(),
    })
}
