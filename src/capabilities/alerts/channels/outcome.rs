//! What came of a try to send: what an answer means, and how long to wait where it says so. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use crate::seams::outbound::Response;

/// Longest wait that a channel may ask for, in seconds: a day.
const MOST_WAIT_SECS: f64 = 86_400.0;
/// Characters of an answer that are told.
const MOST_TOLD: usize = 160;

/// What was found, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// In one clause, without any secret.
    pub text: String,
    /// The cure; may be empty.
    pub hint: String,
}

impl Found {
    /// Something found.
    pub fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: hint.into(),
        }
    }
}

/// What stands in the way of a notice that may be sent later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Something here, which somebody has to mend.
    Ours,
    /// The channel, whatever it is told.
    Channel,
    /// Perhaps this notice alone.
    Notice,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel has it.
    Sent {
        /// What the channel calls it; may be empty.
        reference: String,
    },
    /// Nothing was sent, because a secret was not given.
    DryRun {
        /// The secret.
        missing: String,
    },
    /// It may work later.
    Again {
        /// Why it did not now.
        found: Found,
        /// How long to wait, where the channel says so.
        after: Option<Duration>,
        /// What stands in the way.
        fault: Fault,
    },
    /// It will never work.
    Final {
        /// Why.
        found: Found,
        /// Whether the channel wants nothing more until it is configured otherwise.
        disables: bool,
    },
}

impl Outcome {
    /// It may work later.
    pub fn again(text: impl Into<String>) -> Self {
        Self::Again {
            found: Found::new(text, ""),
            after: None,
            fault: Fault::Channel,
        }
    }

    /// It works once somebody has mended something here.
    pub fn ours(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Again {
            found: Found::new(text, hint),
            after: None,
            fault: Fault::Ours,
        }
    }

    /// It will never work.
    pub fn refused(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Final {
            found: Found::new(text, hint),
            disables: false,
        }
    }
}

/// What an answer over HTTP means that is no success; `told` is what its body says of it.
pub(super) fn of_answer(answer: &Response, told: &str, now: DateTime<Utc>) -> Outcome {
    let status = answer.status;
    let told = match told {
        "" => String::new(),
        told => format!(": {told}"),
    };
    let text = format!("answered {status}{told}");
    match status {
        300..=399 => Outcome::refused(
            format!("{text}, a redirect, which is never followed"),
            "name the address that it leads to",
        ),
        408 | 425 | 429 | 500.. => Outcome::Again {
            found: Found::new(text, ""),
            after: wait(answer, now),
            fault: match status {
                408 | 425 | 429 | 502..=504 => Fault::Channel,
                _ => Fault::Notice,
            },
        },
        401 | 403 => Outcome::refused(text, "see whether its secret is still the right one"),
        404 | 410 => Outcome::refused(text, "see whether it still exists there"),
        _ => Outcome::refused(text, ""),
    }
}

/// How long the answer asks to wait: `Retry-After` in seconds or as a date, `retry_after` in the
/// body as Telegram and Discord have it, or the end of the window that rate limits tell.
pub(super) fn wait(answer: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let headers = &answer.headers;
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let in_header = text(RETRY_AFTER.as_str()).and_then(|text| {
        let secs = text.parse::<f64>().ok();
        secs.or_else(|| until(text, headers, now))
    });
    let in_body = || {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let places = ["/parameters/retry_after", "/retry_after"];
        places
            .iter()
            .find_map(|place| body.pointer(place)?.as_f64())
    };
    let left = |name| text(name).and_then(|text| text.parse::<f64>().ok());
    // What the body says is the finer of the two: Discord's header is a whole second.
    let secs = in_body().or(in_header).or_else(|| {
        (answer.status == 429)
            .then(|| left("x-ratelimit-reset-after").or_else(|| left("ratelimit-reset")))
            .flatten()
    })?;
    (secs > 0.0 && secs.is_finite()).then(|| Duration::from_secs_f64(secs.min(MOST_WAIT_SECS)))
}

/// Seconds until the date `text`, by the clock of the one who wrote it where it says what it shows.
fn until(text: &str, headers: &HeaderMap, now: DateTime<Utc>) -> Option<f64> {
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let then = date(text)?.with_timezone(&Utc);
    let theirs = headers.get(DATE).and_then(|text| date(text.to_str().ok()?));
    let from = theirs.map_or(now, |theirs| theirs.with_timezone(&Utc));
    Some((then - from).as_seconds_f64())
}

/// What a body says of a failure, short: the member that most services put it in, or its beginning.
pub(super) fn told(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let places = [
        "/description",
        "/message",
        "/error/message",
        "/error",
        "/errors/0",
    ];
    let said = parsed.as_ref().and_then(|body| {
        places
            .iter()
            .find_map(|place| body.pointer(place)?.as_str())
    });
    let text = match said {
        Some(said) => said.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    // A page for people tells us nothing in one line.
    if text.trim_start().starts_with('<') {
        return String::new();
    }
    let calm = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let calm: String = calm.take(MOST_TOLD).collect();
    calm.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;
    use crate::seams::outbound::{Contact, Timings};

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Response {
            status,
            headers: map,
            body: Bytes::from(body.to_owned()),
            is_cut: false,
            contact: Contact {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
                timings: Timings::default(),
                cert: None,
            },
        }
    }

    /// Headers, body, and the seconds to wait.
    type Row<'a> = (&'a [(&'static str, &'a str)], &'a str, Option<f64>);

    #[test]
    fn a_channel_is_given_the_time_it_asks_for() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let rows: [Row<'_>; 10] = [
            (&[("retry-after", "7")], "", Some(7.0)),
            (
                &[("retry-after", "Sat, 21 Nov 2026 12:00:07 GMT")],
                "",
                Some(7.0),
            ),
            // A clock that goes wrong over there does not matter.
            (
                &[
                    ("retry-after", "Sat, 21 Nov 2026 18:30:07 GMT"),
                    ("date", "Sat, 21 Nov 2026 18:30:00 GMT"),
                ],
                "",
                Some(7.0),
            ),
            (&[], r#"{"parameters":{"retry_after":7}}"#, Some(7.0)),
            (
                &[("retry-after", "1")],
                r#"{"retry_after":0.65}"#,
                Some(0.65),
            ),
            (&[("ratelimit-reset", "3")], "", Some(3.0)),
            (&[("retry-after", "9999999")], "", Some(86_400.0)),
            (&[("retry-after", "0")], "", None),
            (&[("retry-after", "soon")], "", None),
            (&[("retry-after", "-5")], "no JSON", None),
        ];
        for (headers, body, secs) in rows {
            let found = wait(&answer(429, headers, body), now);
            assert_eq!(
                found,
                secs.map(Duration::from_secs_f64),
                "{headers:?} {body}"
            );
        }
    }

    #[test]
    fn what_can_work_later_is_told_from_what_never_will() {
        let now = DateTime::UNIX_EPOCH;
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let outcome = of_answer(&answer(status, &[], ""), "", now);
            assert!(matches!(outcome, Outcome::Again { .. }), "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 409, 410, 413, 422] {
            let outcome = of_answer(&answer(status, &[], ""), "", now);
            assert!(matches!(outcome, Outcome::Final { .. }), "{status}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_one_calm_line() {
        assert_eq!(
            told(br#"{"ok":false,"description":"chat not found"}"#),
            "chat not found"
        );
        assert_eq!(told(b"no_service\n"), "no_service");
        assert_eq!(told(b"<html>502</html>"), "");
        assert_eq!(told(b"a\x1b[31mb"), "a [31mb");
    }
}
