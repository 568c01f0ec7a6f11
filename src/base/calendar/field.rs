//! One field of a schedule: lists, ranges, steps and names, read into a set of numbers.

use super::error::quoted;
use crate::base::names;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    /// As it is called in messages.
    pub(super) name: &'static str,
    /// Smallest number.
    pub(super) least: u8,
    /// Largest number.
    pub(super) most: u8,
    /// Names of the numbers from `least` on; empty when numbers have none.
    pub(super) names: &'static [&'static str],
}

/// Minutes of an hour.
pub(super) const MINUTE: Field = Field {
    name: "minute",
    least: 0,
    most: 59,
    names: &[],
};

/// Hours of a day.
pub(super) const HOUR: Field = Field {
    name: "hour",
    least: 0,
    most: 23,
    names: &[],
};

/// Days of a month.
pub(super) const DAY: Field = Field {
    name: "day of month",
    least: 1,
    most: 31,
    names: &[],
};

/// Months of a year.
pub(super) const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};

/// Days of a week; 0 and 7 are both Sunday.
pub(super) const WEEKDAY: Field = Field {
    name: "day of week",
    least: 0,
    most: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

/// Why a field is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The part of the field that is wrong, in backticks.
    pub(super) found: String,
    /// What is allowed.
    pub(super) allowed: String,
    /// The cure.
    pub(super) hint: String,
}

impl Field {
    /// The numbers that `text` names, as bits. Day 7 of the week becomes day 0.
    pub(super) fn parse(&self, text: &str) -> Result<u64, Fault> {
        let mut set = 0;
        for part in text.split(',') {
            set |= self.part(part)?;
        }
        if self.most == WEEKDAY.most && set & (1 << 7) != 0 {
            set = (set | 1) & !(1 << 7);
        }
        Ok(set)
    }

    /// One part of a list: `*`, `5`, `1-5`, each but the single number with `/step`.
    fn part(&self, part: &str) -> Result<u64, Fault> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(self.step(part, step)?)),
        };
        let (first, last) = if range == "*" {
            // The second Sunday would make `*/7` two days of which one is meant.
            (self.least, self.most - u8::from(self.most == WEEKDAY.most))
        } else if let Some((first, last)) = range.split_once('-') {
            (self.number(first, part)?, self.last(last, part)?)
        } else if step.is_some() {
            let start = self.number(range, part)?;
            let hint = format!(
                "write `{start}-{}/…` for every … from {start} on",
                self.most
            );
            return Err(fault(part, "a range or `*` before the `/`", hint));
        } else {
            let only = self.number(range, part)?;
            (only, only)
        };
        if first > last {
            return Err(self.wraps(part, first, last));
        }
        Ok((first..=last)
            .step_by(step.unwrap_or(1))
            .fold(0, |set, number| set | 1 << number))
    }

    fn step(&self, part: &str, step: &str) -> Result<usize, Fault> {
        let days_of_week = self.most == WEEKDAY.most;
        let most = usize::from(self.most - self.least - u8::from(days_of_week));
        step.parse()
            .ok()
            .filter(|number| (1..=most).contains(number) && is_digits(step))
            .ok_or_else(|| {
                let hint = format!(
                    "a step counts within one field and starts anew with it; {}",
                    match self.name {
                        "minute" | "hour" => "an interval such as `90m` has no such bound",
                        _ => "`*/2` is every second one",
                    }
                );
                fault(part, format!("a step of 1..={most} after the `/`"), hint)
            })
    }

    /// The end of a range, where Sunday by its name is the last day rather than the first.
    fn last(&self, text: &str, part: &str) -> Result<u8, Fault> {
        let sunday = self.most == WEEKDAY.most && text.eq_ignore_ascii_case("SUN");
        if sunday {
            Ok(self.most)
        } else {
            self.number(text, part)
        }
    }

    fn number(&self, text: &str, part: &str) -> Result<u8, Fault> {
        let named = |name: &str| name.eq_ignore_ascii_case(text);
        if let Some(at) = self.names.iter().position(|name| named(name)) {
            return Ok(self.least + u8::try_from(at).unwrap_or_default());
        }
        if is_digits(text)
            && let Ok(number) = text.parse()
            && (self.least..=self.most).contains(&number)
        {
            return Ok(number);
        }
        Err(fault(part, self.allowed(), self.cure(text)))
    }

    fn allowed(&self) -> String {
        let numbers = format!("{}..={}", self.least, self.most);
        match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!("{numbers} or {first}..={last}"),
            _ => numbers,
        }
    }

    /// What `text`, which is no number of this field, was probably meant to be.
    fn cure(&self, text: &str) -> String {
        let full = |name: &&&str| {
            let start = text.get(..3).unwrap_or_default();
            text.len() > 3 && name.eq_ignore_ascii_case(start)
        };
        if let Some(name) = self.names.iter().find(full) {
            return format!("did you mean `{name}`?");
        }
        if text.contains(['L', 'W', '#', '?']) && self.names.iter().all(|name| *name != text) {
            return "`L`, `W`, `#` and `?` are not known; `*` is every one".to_owned();
        }
        match names::nearest(text, self.names.iter().copied()) {
            Some(name) if !is_digits(text) => format!("did you mean `{name}`?"),
            _ => "such as `*`, `5`, `1,2,5`, `1-5`, `*/2`, `1-5/2`".to_owned(),
        }
    }

    /// A range whose end is before its start, and the two ranges that say the same.
    fn wraps(&self, part: &str, first: u8, last: u8) -> Fault {
        let range = |from: u8, to: u8| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        };
        let upper = range(first, self.most);
        let lower_start = self.least + u8::from(self.most == WEEKDAY.most);
        let both = if last < lower_start {
            upper
        } else {
            format!("{upper},{}", range(lower_start, last))
        };
        let hint = format!("a range does not wrap around; write `{both}`");
        fault(part, "a range from low to high", hint)
    }
}

fn fault(part: &str, allowed: impl Into<String>, hint: String) -> Fault {
    Fault {
        found: quoted(part),
        allowed: allowed.into(),
        hint,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
