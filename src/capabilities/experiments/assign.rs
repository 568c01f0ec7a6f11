//! Assigning: the variant is computed, and the first time for a user it is recorded.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{self, EXPOSURE};
use super::fingerprint::Fingerprint;
use super::logic;
use super::model::{Experiment, ExperimentsRules, Variant};
use super::refusal::Refusal;
use super::service::Experiments;
use super::view::{Delta, ExperimentsView, GroupName};
use crate::platform::config::Accepted;
use crate::storage::engine::{Appending, StorageError};
use crate::storage::lines::Lines;

/// An assignment.
#[derive(Debug)]
pub struct Assigned<'r> {
    /// The variant.
    pub variant: &'r Variant,
    /// The recording of the exposure, where it is not on record yet.
    pub recording: Option<Recording>,
}

/// An exposure on its way to the journal.
pub struct Recording {
    experiments: Arc<Experiments>,
    appending: Appending,
    group: u32,
    user: Fingerprint,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// Ends when the exposure is on record, or will not be.
    pub async fn ended(self) -> Result<(), StorageError> {
        self.appending.await?;
        if self.experiments.kept.lock().contains(self.group, self.user) {
            Ok(())
        } else {
            // It was another request's exposure, and storage refused it.
            Err(StorageError::Full {
                stream: event::STREAM.to_owned(),
            })
        }
    }
}

impl Experiments {
    /// The variant of `user` in `exp`, under the rules `seen`.
    pub fn assign<'r>(
        self: &Arc<Self>,
        seen: &'r Accepted<ExperimentsRules>,
        now: DateTime<Utc>,
        user: &str,
        exp: &str,
    ) -> Result<Assigned<'r>, Refusal> {
        logic::check_user(user)?;
        let exp = logic::running(&seen.rules, exp)?;
        let Some(variant) = exp.assign(user) else {
            return Err(Refusal::UnknownExperiment {
                exp: exp.name.to_string(),
                nearest: None,
            });
        };
        let mark = self.key.of(user.as_bytes());
        {
            let view = self.kept.lock();
            let group = view.find_group(&variant.exposure_prefix);
            if group.is_some_and(|group| view.contains(group, mark)) {
                return Ok(Assigned {
                    variant,
                    recording: None,
                });
            }
        }
        let recording = self.expose(exp, variant, user, mark, now, seen.revision.as_str());
        Ok(Assigned { variant, recording })
    }

    fn expose(
        self: &Arc<Self>,
        exp: &Experiment,
        variant: &Variant,
        user: &str,
        mark: Fingerprint,
        now: DateTime<Utc>,
        revision: &str,
    ) -> Option<Recording> {
        let _submitting = self.submit();
        let (group, first) = {
            let mut view = self.kept.lock();
            let group = exposure_group(&mut view, exp, variant);
            if view.contains(group, mark) {
                return None;
            }
            (group, view.expect_exposure(group, mark))
        };
        let journal = self.kept.journal();
        let durability = Some(self.exposure_durability());
        let appending = if first {
            let mut lines = Lines::with_capacity(1, 160);
            lines.push(EXPOSURE, now, |out| {
                out.extend_from_slice(&variant.exposure_prefix);
                event::push_exposure(out, user, revision);
            });
            let (own, bytes) = (Arc::clone(self), lines.bytes());
            let on_commit = move |outcome: &Result<_, _>| {
                own.committed(outcome, bytes, |view, first| {
                    view.exposure_ended(group, mark);
                    if first.is_some() {
                        view.count(Delta {
                            group,
                            user: mark,
                            value: None,
                        });
                    }
                });
            };
            journal.append(lines, durability, Some(Box::new(on_commit)))
        } else {
            // The line is another request's; what is behind it is acknowledged after it.
            journal.barrier(durability)
        };
        Some(Recording {
            experiments: Arc::clone(self),
            appending,
            group,
            user: mark,
        })
    }
}

fn exposure_group(view: &mut ExperimentsView, exp: &Experiment, variant: &Variant) -> u32 {
    view.group(&variant.exposure_prefix, || GroupName {
        exp: exp.name.clone(),
        variant: variant.name.clone(),
        event: None,
    })
}
