//! Good and bad requests by what a flag was to them, of the last hour: whether those that saw the
//! new variant fail more than those that did not. In memory only and bounded; a restart forgets it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::rows::minute_of;

/// Flags that are kept apart at most (our own choice).
const MOST_FLAGS: usize = 64;
/// Variants of one flag that are kept apart at most (our own choice).
const MOST_VARIANTS: usize = 8;
/// Minutes that are kept: the hour that incidents look back, and what their detection takes.
const KEPT_MINUTES: u32 = 75;

/// Requests that saw one variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantCount {
    /// The variant.
    pub variant: String,
    /// Good requests.
    pub good: u64,
    /// Bad requests.
    pub bad: u64,
}

/// Good and bad requests of each minute.
type Minutes = BTreeMap<u32, (u64, u64)>;
/// By flag, then by variant.
type Flags = BTreeMap<String, BTreeMap<String, Minutes>>;

/// The counts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Splits {
    flags: Arc<Mutex<Flags>>,
}

impl Splits {
    /// Counts requests that saw `variant` of `flag`. What would be one flag or variant too many is
    /// not counted, nor is what is too old at `now`.
    pub fn record(
        &self,
        flag: &str,
        variant: &str,
        (good, bad): (u64, u64),
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) {
        let (minute, oldest) = (minute_of(at), minute_of(now).saturating_sub(KEPT_MINUTES));
        if minute < oldest {
            return;
        }
        let mut flags = self.flags();
        if !flags.contains_key(flag) && flags.len() >= MOST_FLAGS {
            forget(&mut flags, oldest);
            if flags.len() >= MOST_FLAGS {
                return;
            }
        }
        let variants = flags.entry(flag.to_owned()).or_default();
        if !variants.contains_key(variant) && variants.len() >= MOST_VARIANTS {
            return;
        }
        let minutes = variants.entry(variant.to_owned()).or_default();
        if minutes
            .first_key_value()
            .is_some_and(|(first, _)| *first < oldest)
        {
            *minutes = minutes.split_off(&oldest);
        }
        let counts = minutes.entry(minute).or_default();
        *counts = (counts.0.saturating_add(good), counts.1.saturating_add(bad));
    }

    /// Requests by variant of `flag` in the minutes of `from` to `to`; variants without any are
    /// left out.
    pub fn of(&self, flag: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<VariantCount> {
        let span = minute_of(from)..=minute_of(to).max(minute_of(from));
        let flags = self.flags();
        let variants = flags.get(flag).into_iter().flatten();
        let count = |(variant, minutes): (&String, &Minutes)| {
            let counts = minutes.range(span.clone()).map(|(_, counts)| *counts);
            let (good, bad) = counts.fold((0_u64, 0_u64), |(good, bad), more| {
                (good.saturating_add(more.0), bad.saturating_add(more.1))
            });
            (good + bad > 0).then(|| VariantCount {
                variant: variant.clone(),
                good,
                bad,
            })
        };
        variants.filter_map(count).collect()
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what nobody has counted in since `oldest`.
fn forget(flags: &mut Flags, oldest: u32) {
    flags.retain(|_, variants| {
        variants.retain(|_, minutes| {
            minutes
                .last_key_value()
                .is_some_and(|(last, _)| *last >= oldest)
        });
        !variants.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more_flags_and_variants_than_that() {
        let splits = Splits::default();
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        for minute in 0..200 {
            splits.record("a", "on", (3, 1), at(minute), at(minute));
        }
        splits.record("a", "off", (5, 0), at(199), at(199));
        splits.record("a", "off", (5, 0), at(1), at(199));
        let all = splits.of("a", at(0), at(300));
        let found: Vec<_> = all
            .iter()
            .map(|one| (&*one.variant, one.good, one.bad))
            .collect();
        assert_eq!(found, [("off", 5, 0), ("on", 3 * 76, 76)]);
        assert_eq!(splits.of("a", at(190), at(191))[0].bad, 2);
        for number in 0..100 {
            splits.record(&format!("b{number}"), "x", (1, 0), at(199), at(199));
            splits.record("a", &number.to_string(), (1, 0), at(199), at(199));
        }
        let kept = |number| {
            !splits
                .of(&format!("b{number}"), at(199), at(199))
                .is_empty()
        };
        assert!(kept(62) && !kept(63));
        assert_eq!(splits.of("a", at(199), at(199)).len(), MOST_VARIANTS);
        // What nobody sees any more makes room.
        splits.record("new", "x", (1, 0), at(400), at(400));
        assert_eq!(splits.of("new", at(400), at(400)).len(), 1);
    }
}
