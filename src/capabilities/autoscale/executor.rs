//! Carries a step out: fills its words into the command, or tells it in a signed call.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::config::AutoscaleRules;
use super::event::Step;
use crate::base::time::stamp;
pub(super) use crate::platform::executor::Carried;
use crate::platform::executor::{self, Call, Executor};
use crate::platform::secrets::AUTOSCALE_WEBHOOK;
use crate::platform::wiring::Wiring;

/// What is needed to carry steps out.
#[derive(Debug, Clone)]
pub(super) struct Carrier(executor::Carrier);

impl Carrier {
    /// A carrier by the doors of `wiring`; without a secret calls stay plans.
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self(executor::Carrier::new(wiring))
    }

    /// The executor, if a step may be carried out; else why it stays a plan.
    pub(super) fn ready<'a>(&self, rules: &'a AutoscaleRules) -> Result<&'a Executor, String> {
        let executor = rules.executor.as_ref();
        let executor = executor.ok_or("no `executor` in `configs/autoscale.json`")?;
        if rules.dry_run {
            return Err("`dry_run` is true in `configs/autoscale.json`".to_owned());
        }
        if matches!(executor, Executor::Webhook { .. }) {
            self.0.secret(AUTOSCALE_WEBHOOK)?;
        }
        Ok(executor)
    }

    /// Carries `step` out.
    pub(super) async fn carry_out(
        &self,
        executor: &Executor,
        step: &Step,
        now: DateTime<Utc>,
    ) -> Carried {
        match executor {
            Executor::Command { argv, timeout } => {
                let filled = |word: &String| {
                    word.replace("{workers}", &step.to.to_string())
                        .replace("{from}", &step.from.to_string())
                        .replace("{action}", step.action.word())
                };
                let words: Vec<String> = argv.iter().map(filled).collect();
                self.0.run(&words, *timeout).await
            }
            Executor::Webhook { url, timeout } => {
                let call = Call {
                    url,
                    timeout: *timeout,
                    secret: AUTOSCALE_WEBHOOK,
                    id: &step.step,
                    body: told(step, now),
                };
                self.0.call(call, now).await
            }
        }
    }
}

fn told(step: &Step, now: DateTime<Utc>) -> String {
    let body = json!({
        "type": "autoscale.step",
        "timestamp": stamp(now),
        "data": {
            "step": step.step,
            "action": step.action.word(),
            "from": step.from,
            "to": step.to,
            "reason": step.reason,
        },
    });
    body.to_string()
}
