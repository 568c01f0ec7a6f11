//! Calendar: when things happen. Spans (`5m`), zones (`Europe/London`), schedules (`10 1 * * *`),
//! cadences (a span or a schedule in a zone) and windows (`mon-fri` from 22:00 for 9 h). Values
//! only: `now` is always given, nothing is read, nothing waits.
//!
//! # A slot has one identity
//! A fire time is a property of the cadence alone, never of who asks when: every reader, before or
//! after a restart, finds the same slots. A span fires on the multiples of itself since
//! 1970-01-01T00:00Z, a schedule on the local minutes that match it.
//!
//! # The days on which clocks change
//! These rules are those of systemd's `OnCalendar=`, found out by asking `systemd-analyze calendar`
//! and compared with it by `tests/it/platform/calendar.rs`:
//! - A local time that is left out when clocks go forward does not happen: `30 2 * * *` in
//!   `Europe/Berlin` is silent on the last Sunday of March. It is not made up for at another time.
//! - A local time that happens twice when clocks go back counts once, the first time: `30 2 * * *`
//!   fires once on the last Sunday of October, in summer time. The repeated hour is silent even
//!   for `*/5 * * * *`.
//! - The UTC distance between two fires may therefore be shorter or longer by the change.
//!
//! What must run without such holes is given as a span or in `UTC`, which never changes.
//!
//! systemd forgets what it did: asked anew *within* a repeated hour, it fires there a second time.
//! Here it does not, for the slot had its time already.
//!
//! # Both day fields
//! As in Vixie's cron: when both the day of month and the day of week are restricted, that is,
//! neither begins with `*`, a day that matches *either* counts; else a day must match both. So
//! `0 4 13 * FRI` is every 13th and every Friday, and `0 4 */2 * FRI` the Fridays on odd days.

mod cadence;
mod cron;
mod error;
mod field;
mod span;
mod window;
mod zone;

pub use cadence::{Cadence, Fires};
pub use cron::Cron;
pub use error::CalendarError;
pub use span::{Span, instant};
pub use window::{TimeOfDay, Weekdays, Window};
pub use zone::Zone;

#[cfg(test)]
mod tests;
