//! Instants as logs write them, as seconds since 1970. Lines of one second carry one and the same
//! text, so the last one read is remembered.

use super::decimal::scaled;

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `21/Nov/2026:09:15:02 +0000`, what nginx calls `$time_local`.
    Local,
    /// RFC 3339, `2026-11-21T09:15:02.123Z`, and its common variants.
    Rfc3339,
    /// Seconds since 1970, with or without a fraction.
    UnixSecs,
    /// Milliseconds since 1970.
    UnixMillis,
}

/// Bytes of a text that are remembered; longer ones are read anew.
const REMEMBERED: usize = 40;

/// Reads instants of one form.
#[derive(Debug, Clone)]
pub struct Instants {
    form: Form,
    text: [u8; REMEMBERED],
    len: usize,
    at: i64,
}

impl Instants {
    /// Nothing read yet.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            text: [0; REMEMBERED],
            len: 0,
            at: 0,
        }
    }

    /// Seconds since 1970, rounded down.
    pub fn read(&mut self, text: &[u8]) -> Option<i64> {
        let at = match self.form {
            Form::UnixSecs => return i64::try_from(scaled(text, 0)?).ok(),
            Form::UnixMillis => return i64::try_from(scaled(text, 0)? / 1000).ok(),
            Form::Local | Form::Rfc3339 if self.text.get(..self.len) == Some(text) => {
                return Some(self.at);
            }
            Form::Local => local(text)?,
            Form::Rfc3339 => rfc3339(text)?,
        };
        if let Some(kept) = self.text.get_mut(..text.len()) {
            kept.copy_from_slice(text);
            self.len = text.len();
            self.at = at;
        }
        Some(at)
    }
}

/// `21/Nov/2026:09:15:02 +0000`.
fn local(text: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let &[
        d1,
        d2,
        b'/',
        m1,
        m2,
        m3,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        ref rest @ ..,
    ] = text
    else {
        return None;
    };
    let name = [m1, m2, m3].map(|byte| byte.to_ascii_lowercase());
    let (months, _) = MONTHS.as_chunks::<3>();
    let month = months.iter().position(|known| *known == name)? + 1;
    let (clock, rest) = rest.split_at_checked(8)?;
    let zone = rest.strip_prefix(b" ")?;
    let days = days(
        number(&[y1, y2, y3, y4])?,
        i64::try_from(month).ok()?,
        number(&[d1, d2])?,
    )?;
    Some(days * 86_400 + of_day(clock)? - offset(zone)?)
}

/// `2026-11-21T09:15:02.123+01:00`; also with a blank for the `T`, a comma before the fraction, and
/// no colon in the zone. Without a zone it is UTC.
fn rfc3339(text: &[u8]) -> Option<i64> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        ref rest @ ..,
    ] = text
    else {
        return None;
    };
    let (clock, rest) = rest.split_at_checked(8)?;
    let rest = match rest {
        [b'.' | b',', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
            let count = digits.count();
            if count == 0 {
                return None;
            }
            fraction.get(count..)?
        }
        rest => rest,
    };
    let days = days(
        number(&[y1, y2, y3, y4])?,
        number(&[m1, m2])?,
        number(&[d1, d2])?,
    )?;
    Some(days * 86_400 + of_day(clock)? - offset(rest)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

/// Seconds of the day of `09:15:02`; a leap second is the first of the next minute.
fn of_day(clock: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = clock else {
        return None;
    };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    (hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds east of UTC of `Z`, `+0100`, `+01:00` or `+01`.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        b"" | b"Z" | b"z" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match *digits {
        [h1, h2] => (number(&[h1, h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[h1, h2])?, number(&[m1, m2])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 in the Gregorian calendar: whole 400-year cycles are counted from 1 March,
/// so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    Some(cycle * 146_097 + day_of_cycle - 719_468)
}
