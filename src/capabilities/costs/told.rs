//! What is told of costs by alert events: budgets, forecasts above them, steps in daily use; and
//! the line that each day leaves of each item.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde_json::json;

use super::event::{BudgetReached, COST, CostLine, CostRecorded, REACHED, REVISED};
use super::logic::{between, quantity};
use super::model::{Budget, CostsRules, Item, Month, Usage, Usages, midnight};
use super::outlook::outlook;
use super::service::{Costs, decimal};
use super::watch::{self, BudgetState, Step};
use crate::base::money::{Money, Ratio, TooLarge};
use crate::platform::alerts::{Finding, Severity};
use crate::platform::changes::{Change, ChangeKind};
use crate::platform::scheduler::{Summary, TaskError};
use crate::storage::lines::Lines;

/// What alert events of ours are said to come from.
const SOURCE: &str = "costs";
/// What keys of budgets begin with.
const BUDGET: &str = "costs:budget:";
/// What keys of forecasts begin with.
const FORECAST: &str = "costs:forecast:";
/// What keys of steps begin with.
const STEP: &str = "costs:step:";
/// Days back for which a cost that came out otherwise is revised: usage comes with invoices.
const REVISED_DAYS: u64 = 62;
/// Hours before a day in which a change may have made its step.
const CAUSE_HOURS: i64 = 24;
/// Changes that are told with a step at most.
const MOST_CAUSES: usize = 5;

impl Costs {
    /// Brings alert events of budgets in line with the month. May be repeated.
    pub(super) async fn look_at_budgets(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let accepted = self.live.get_full();
        let rules = &accepted.rules;
        let ours = |key: &str| key.starts_with(BUDGET) || key.starts_with(FORECAST);
        let mut said = self.alerts.said_by(SOURCE);
        said.retain(|one| ours(&one.finding.key));
        if rules.budgets.is_empty() && said.is_empty() {
            return Ok(());
        }
        let month = Month::of(now.date_naive());
        let (cost, usages) = self.month(rules, month, now)?;
        let outlook = outlook(rules, now.date_naive(), &usages)?;
        let mut holding = BTreeSet::new();
        for budget in &rules.budgets {
            let state = watch::judge(budget, &cost, &outlook)?;
            // The highest first: of several crossed at once it alone is told, the others are noted.
            let mut tells = true;
            for percent in state.reached.iter().rev() {
                holding.insert(format!("{BUDGET}{}:{percent}", budget.name));
                let is_new = self
                    .reach(budget, &state, (*percent, tells), month, now)
                    .await?;
                tells = tells && !is_new;
            }
            let key = format!("{FORECAST}{}", budget.name);
            let begun = said
                .iter()
                .any(|one| one.finding.key == key && !is_before(one.fired_at, month));
            let spent_it = budget.amount.is_below(state.spent.units());
            if state.over || (begun && !state.calm && !spent_it) {
                holding.insert(key.clone());
            }
            if state.over {
                self.alerts
                    .raise(foreseen(key, budget, &state, month, now), now);
            }
        }
        for one in said {
            let key = &one.finding.key;
            if is_before(one.fired_at, month) {
                let how = format!("the month {month} began");
                self.alerts.resolve(key, now, how);
            } else if !holding.contains(key) {
                self.alerts.resolve(key, now, "it does not hold any more");
            }
        }
        Ok(())
    }

    /// Notes once in a month that a threshold is reached, and tells it where it should; gives
    /// whether it is new.
    async fn reach(
        &self,
        budget: &Budget,
        state: &BudgetState,
        (percent, tells): (u32, bool),
        month: Month,
        now: DateTime<Utc>,
    ) -> anyhow::Result<bool> {
        let bound = Money::rounded(budget.amount, budget.currency)?;
        let told = BudgetReached {
            budget: budget.name.clone(),
            month: month.to_string(),
            threshold_percent: percent,
            spent: state.spent.amount(),
            amount: bound.amount(),
            currency: budget.currency.to_string(),
        };
        let (name, text) = (told.budget.clone(), told.month.clone());
        let known = (name, text, percent, told.amount.clone());
        if self.kept.lock().state.reached.contains(&known) {
            return Ok(false);
        }
        let key = format!("{BUDGET}{}:{percent}", budget.name);
        // What is left of last month ends first, or this would be taken for the same.
        if let Some(old) = self.alerts.find(&key)
            && is_before(old.fired_at, month)
        {
            self.alerts
                .resolve(&key, now, format!("the month {month} began"));
        }
        let severity = match percent {
            100.. => Severity::Error,
            80.. => Severity::Warning,
            _ => Severity::Info,
        };
        let summary = format!(
            "budget `{}`: {} of {bound} spent in {month}, {percent} % reached",
            budget.name, state.spent
        );
        let finding = finding(key, severity, summary, ("budget", &budget.name), now);
        if tells {
            self.alerts.raise(finding, now);
        }
        // The line after the event: a crash between both tells it again under the same key.
        self.note(REACHED, &told, CostLine::Reached(told.clone()), now)
            .await?;
        Ok(true)
    }

    /// Puts yesterday on record, with what was missed and what came out otherwise, and tells steps.
    pub(super) async fn collect(&self, now: DateTime<Utc>) -> Result<Summary, TaskError> {
        let rules = self.live.get_full();
        let rules = &rules.rules;
        let today = now.date_naive();
        let yesterday = today - Days::new(1);
        let from = today - Days::new(REVISED_DAYS);
        let usages = self.usages(rules, Month::of(from).first(), yesterday);
        let none = Usage::default();
        let (mut lines, mut said) = (Lines::new(), Vec::new());
        let (mut recorded, mut revised) = (0, 0);
        for item in rules.items.values() {
            let usage = usages.get(&item.name).unwrap_or(&none);
            let costs = self.days_to_tell(item, usage, from, yesterday);
            for cost in costs.map_err(anyhow::Error::new)? {
                let kind = if cost.before.is_some() {
                    revised += 1;
                    REVISED
                } else {
                    recorded += 1;
                    COST
                };
                lines.push_members(kind, now, &cost);
                said.push(CostLine::Cost(cost));
            }
            // Many items of many days never hold up the requests.
            tokio::task::yield_now().await;
        }
        if !lines.is_empty() {
            self.append(lines, said, None).await?;
        }
        let steps = self.tell_steps(rules, yesterday, &usages, now);
        let steps = steps.map_err(anyhow::Error::new)?;
        Ok(Summary::ok(json!({
            "day": yesterday.to_string(),
            "recorded": recorded,
            "revised": revised,
            "steps": steps,
        })))
    }

    /// The days of an item whose cost is not on record, or otherwise than it is now.
    fn days_to_tell(
        &self,
        item: &Item,
        usage: &Usage,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<CostRecorded>, TooLarge> {
        let (known, collected) = {
            let view = self.kept.lock();
            let known = view.state.recorded.get(&item.name).cloned();
            (known.unwrap_or_default(), view.state.collected)
        };
        // The first time only yesterday is told; later, whatever was missed.
        let first = collected.map_or(to, |last| (last + Days::new(1)).min(to));
        let mut told = Vec::new();
        for day in from.iter_days().take_while(|day| *day <= to) {
            let before = known.get(&day).cloned();
            if before.is_none() && (day < first || !item.is_active(day)) {
                continue;
            }
            let amount = decimal(between(item, day, day, usage)?);
            if before.as_ref() == Some(&amount) {
                continue;
            }
            told.push(CostRecorded {
                item: item.name.clone(),
                day,
                quantity: used_on(item, day, usage)?.map(decimal),
                amount,
                currency: item.currency.to_string(),
                before,
            });
        }
        Ok(told)
    }

    /// Begins and ends alert events of steps in the use of `day`.
    fn tell_steps(
        &self,
        rules: &CostsRules,
        day: NaiveDate,
        usages: &Usages,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, TooLarge> {
        let mut steps = Vec::new();
        let mut holding = BTreeSet::new();
        for item in rules.items.values() {
            let Some(usage) = usages.get(&item.name) else {
                continue;
            };
            let Some(step) = watch::step(item, day, usage, rules.step)? else {
                continue;
            };
            let key = format!("{STEP}{}", item.name);
            let finding = self.stepped(key.clone(), item, &step, day);
            self.alerts.raise(finding, now);
            holding.insert(key);
            steps.push(item.name.clone());
        }
        for said in self.alerts.said_by(SOURCE) {
            let key = &said.finding.key;
            if key.starts_with(STEP) && !holding.contains(key) {
                let how = format!("the use of {day} is like that of the days before");
                self.alerts.resolve(key, now, how);
            }
        }
        Ok(steps)
    }

    fn stepped(&self, key: String, item: &Item, step: &Step, day: NaiveDate) -> Finding {
        let begin = midnight(day);
        let from = begin - TimeDelta::hours(CAUSE_HOURS);
        let mut causes = self.changes.between(from, begin + TimeDelta::days(1));
        causes.retain(|change| change.kind != ChangeKind::TaskFailure);
        // Releases before the rest, the latest first.
        causes.sort_by_key(|change| (change.kind != ChangeKind::Deploy, -change.at.timestamp()));
        causes.truncate(MOST_CAUSES);
        let told = |change: &Change| {
            let at = change.at.format("%Y-%m-%d %H:%M");
            format!("{} at {at} UTC", change.summary)
        };
        let causes: Vec<String> = causes.iter().map(told).collect();
        let times = step.value / step.median;
        let mut summary = format!(
            "`{}` on {day}: {times:.1} times the median of the 14 days before",
            item.name
        );
        if let Some(first) = causes.first() {
            summary = format!("{summary}; just before: {first}");
        }
        let mut finding = finding(key, Severity::Warning, summary, ("item", &item.name), begin);
        if !causes.is_empty() {
            let causes = causes.join("; ");
            finding.annotations.insert("changes".to_owned(), causes);
        }
        finding
    }
}

/// Whether `at` lies before `month`.
fn is_before(at: DateTime<Utc>, month: Month) -> bool {
    at < midnight(month.first())
}

/// Units of a metered item that were used on `day`.
fn used_on(item: &Item, day: NaiveDate, usage: &Usage) -> Result<Option<Ratio>, TooLarge> {
    if item.source().is_none() {
        return Ok(None);
    }
    let mut one = Usage::default();
    let known = usage.quantities.get(&day);
    one.quantities
        .extend(known.map(|quantity| (day, *quantity)));
    quantity(item, Month::of(day), day, &one).map(Some)
}

fn foreseen(
    key: String,
    budget: &Budget,
    state: &BudgetState,
    month: Month,
    now: DateTime<Utc>,
) -> Finding {
    let shown = |units: Ratio| {
        Money::rounded(units, budget.currency)
            .map_or_else(|large| large.to_string(), |m| m.to_string())
    };
    let expected = state.forecast.as_ref().map(|range| {
        let (low, high) = (shown(range.low), shown(range.high));
        format!("{} expected ({low} to {high})", shown(range.amount))
    });
    let summary = format!(
        "budget `{}`: {} in {month}, {} allowed, {} spent",
        budget.name,
        expected.unwrap_or_default(),
        shown(budget.amount),
        state.spent
    );
    finding(
        key,
        Severity::Warning,
        summary,
        ("budget", &budget.name),
        now,
    )
}

fn finding(
    key: String,
    severity: Severity,
    summary: String,
    label: (&str, &str),
    started_at: DateTime<Utc>,
) -> Finding {
    Finding {
        key,
        source: SOURCE.to_owned(),
        severity,
        summary,
        started_at,
        labels: BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]).into(),
        ..Finding::default()
    }
}
