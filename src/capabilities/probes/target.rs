//! What a probe calls and what is good of the answer, from what is written.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::{Regex, RegexBuilder};

use super::model::{CertDays, Check, DnsCheck, HttpCheck, JsonRule};
use super::raw::{RawDns, RawHttp, RawJson, RawTcp, RawTls};
use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::seams::outbound::{
    Host, Question, Rcode, RecordKind, Request, Target, Url, UrlFault, special,
};

/// Bytes of a pattern at most (rule H17 of the reliability notes).
const MOST_PATTERN: usize = 1_024;
/// Characters of a pattern that a refusal repeats.
const SHOWN: usize = 60;
/// Bytes that a compiled pattern may take (rule H17).
const MOST_COMPILED: usize = 1 << 20;
/// Port of name servers.
const DNS_PORT: u16 = 53;

/// Headers that the connection needs for itself.
const OWN_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Tells what is wrong with an address.
pub(super) fn refuse(
    problems: &mut Problems,
    place: Path,
    found: &str,
    allowed: &str,
    fault: &UrlFault,
) {
    // A URL may carry a secret, and the fault names what matters.
    let found = if allowed.contains("URL") {
        fault.refused()
    } else {
        format!("\"{found}\"")
    };
    problems.not_allowed(place, found, allowed, fault.hint.clone());
}

fn pattern(text: &str, place: Path, problems: &mut Problems) -> Option<Regex> {
    let built = RegexBuilder::new(text).size_limit(MOST_COMPILED).build();
    let hint = match built {
        Ok(pattern) if text.len() <= MOST_PATTERN => return Some(pattern),
        Ok(_) => "a shorter one, or several".to_owned(),
        Err(regex::Error::CompiledTooBig(_)) => "it needs too much memory: count less".to_owned(),
        Err(error) => {
            let told = error.to_string();
            let why = told.lines().last().unwrap_or_default();
            let why = why.trim_start_matches("error: ").to_owned();
            format!("{why}; a backslash stands twice in JSON")
        }
    };
    let start: String = text.chars().take(SHOWN).collect();
    let found = format!("`{start}`");
    let allowed = format!("a regular expression of at most {MOST_PATTERN} bytes");
    problems.not_allowed(place, found, allowed, hint);
    None
}

fn millis(most: Option<u32>) -> Option<Duration> {
    most.map(|most| Duration::from_millis(u64::from(most)))
}

fn cert_days(
    (warn, critical): (u32, u32),
    (place, key): (&Path, &str),
    problems: &mut Problems,
) -> CertDays {
    if critical > warn {
        let allowed = format!("at most the days of the warning, which are {warn}");
        problems.out_of_range(place.key(key), critical, allowed, "the warning comes first");
    }
    CertDays { warn, critical }
}

/// An HTTP probe.
pub(super) fn http(raw: &RawHttp, place: &Path, problems: &mut Problems) -> Option<Check> {
    let before = problems.count();
    let url = Url::parse(&raw.url).map_err(|fault| {
        refuse(
            problems,
            place.key("url"),
            "",
            "an http or https URL",
            &fault,
        );
    });
    let method = Method::from_bytes(raw.method.as_bytes());
    let known = method
        .as_ref()
        .is_ok_and(|method| *method != Method::CONNECT);
    if !known || raw.method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let found = format!("{:?}", raw.method);
        problems.not_allowed(place.key("method"), found, "a method such as `GET`", "");
    }
    let headers = headers(raw, place, problems);
    let status = statuses(raw, place, problems);
    let mut answer_headers = Vec::new();
    for (name, text) in &raw.answer_headers {
        let place = place.key("answer_headers").key(name);
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let found = format!("the key `{name}`");
            problems.not_allowed(place, found, "the name of a header", "");
        } else if let Some(pattern) = pattern(text, place, problems) {
            answer_headers.push((name.to_ascii_lowercase(), pattern));
        }
    }
    let body_pattern = raw
        .body_pattern
        .as_ref()
        .and_then(|text| pattern(text, place.key("body_pattern"), problems));
    let json = raw.body_json.iter().enumerate();
    let json = json
        .filter_map(|(index, one)| json_rule(one, &place.key("body_json").index(index), problems))
        .collect();
    let days = (raw.cert_warn_days, raw.cert_critical_days);
    let days = cert_days(days, (place, "cert_critical_days"), problems);
    if problems.count() > before {
        return None;
    }
    let mut request = Request::new(method.ok()?, url.ok()?);
    request.headers = headers;
    request.body = raw.body.clone().into();
    Some(Check::Http(Box::new(HttpCheck {
        request,
        status,
        headers: answer_headers,
        contains: raw.body_contains.clone(),
        pattern: body_pattern,
        json,
        most: millis(raw.max_ms),
        days,
    })))
}

fn headers(raw: &RawHttp, place: &Path, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let place = place.key("headers").key(name);
        let read = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        );
        match read {
            (Ok(name), Ok(mut value)) if !OWN_HEADERS.contains(&name.as_str()) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            // The value may be a secret.
            _ => problems.not_allowed(
                place,
                "such a header",
                "a name and a value of printable ASCII, none that the connection needs itself",
                format!("not to be set are {}", OWN_HEADERS.join(", ")),
            ),
        }
    }
    headers
}

fn statuses(raw: &RawHttp, place: &Path, problems: &mut Problems) -> Vec<RangeInclusive<u16>> {
    let mut ranges = Vec::new();
    for (index, text) in raw.status.iter().enumerate() {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let known = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let code: u16 = text.parse().ok().filter(|_| digits)?;
            (100..=599).contains(&code).then_some(code)
        };
        match (known(first), known(last)) {
            (Some(first), Some(last)) if first <= last => ranges.push(first..=last),
            _ => {
                let place = place.key("status").index(index);
                let allowed = "a status from 100 to 599 or a range, such as `200` or `200-299`";
                problems.not_allowed(place, format!("{text:?}"), allowed, "");
            }
        }
    }
    if raw.status.is_empty() {
        let hint = "leave it away for 200-299; `100-599` takes every answer";
        problems.not_allowed(
            place.key("status"),
            "an empty list",
            "at least one status",
            hint,
        );
    }
    ranges
}

fn json_rule(raw: &RawJson, place: &Path, problems: &mut Problems) -> Option<JsonRule> {
    let text = raw.path.strip_prefix('$').unwrap_or(&raw.path);
    let path = Path::from(text);
    if path.is_root() && !text.is_empty() || raw.path.is_empty() {
        let allowed = "the way to a value, such as `status` or `checks[0].name`";
        problems.not_allowed(place.key("path"), format!("{:?}", raw.path), allowed, "");
    }
    let found = raw
        .pattern
        .as_ref()
        .map(|text| pattern(text, place.key("pattern"), problems));
    let pattern = match found {
        Some(found) => Some(found?),
        None => None,
    };
    Some(JsonRule {
        path,
        equals: raw.equals.clone(),
        pattern,
        at_least: raw.at_least,
        at_most: raw.at_most,
    })
}

fn address(text: &str, place: &Path, problems: &mut Problems) -> Option<Target> {
    match Target::parse(text) {
        Ok(target) => Some(target),
        Err(fault) => {
            let allowed = "a host with a port, such as `db.example.com:5432`";
            refuse(problems, place.key("address"), text, allowed, &fault);
            None
        }
    }
}

/// A TCP probe.
pub(super) fn tcp(raw: &RawTcp, place: &Path, problems: &mut Problems) -> Option<Check> {
    Some(Check::Tcp {
        target: address(&raw.address, place, problems)?,
        most: millis(raw.max_ms),
    })
}

/// A TLS probe.
pub(super) fn tls(raw: &RawTls, place: &Path, problems: &mut Problems) -> Option<Check> {
    let target = address(&raw.address, place, problems);
    let name = raw.server_name.as_ref().map(|text| {
        Host::parse(text).map_err(|fault| {
            refuse(
                problems,
                place.key("server_name"),
                text,
                "a host name",
                &fault,
            );
        })
    });
    let days = (raw.warn_days, raw.critical_days);
    let days = cert_days(days, (place, "critical_days"), problems);
    Some(Check::Tls {
        target: target?,
        name: name.transpose().ok()?,
        days,
    })
}

/// A DNS probe.
pub(super) fn dns(raw: &RawDns, place: &Path, problems: &mut Problems) -> Option<Check> {
    let before = problems.count();
    let name = raw.name.trim_end_matches('.');
    if !matches!(Host::parse(name), Ok(Host::Name(_))) {
        let found = format!("{:?}", raw.name);
        problems.not_allowed(place.key("name"), found, "a name such as `example.com`", "");
    }
    let kind = raw.kind.parse::<RecordKind>();
    if kind.is_err() {
        problems.unknown_word(place.key("kind"), &raw.kind, RecordKind::words(), "");
    }
    let rcode = raw.rcode.parse::<Rcode>();
    if rcode.is_err() {
        let known = [
            "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP",
        ];
        problems.unknown_word(place.key("rcode"), &raw.rcode, known, "");
    }
    let server = raw.server.as_ref().map(|text| {
        let with_port = text.parse().ok();
        with_port.or_else(|| Some(std::net::SocketAddr::new(text.parse().ok()?, DNS_PORT)))
    });
    if server == Some(None) {
        let found = format!("{:?}", raw.server.as_deref().unwrap_or_default());
        let allowed = "an address, with or without a port, such as `1.1.1.1` or `[::1]:5353`";
        problems.not_allowed(
            place.key("server"),
            found,
            allowed,
            "names are not looked up here",
        );
    }
    if problems.count() > before {
        return None;
    }
    Some(Check::Dns(Box::new(DnsCheck {
        question: Question {
            name: name.to_ascii_lowercase(),
            kind: kind.ok()?,
            server: server.flatten(),
        },
        rcode: rcode.ok()?,
        answers: raw.answers.clone(),
        most: millis(raw.max_ms),
    })))
}

/// Whether a call leaves this machine and its neighbours, as far as can be told before it is made.
pub(super) fn is_remote(check: &Check) -> bool {
    let host = match check {
        Check::Http(check) => &check.request.url.target().host,
        Check::Tcp { target, .. } | Check::Tls { target, .. } => &target.host,
        Check::Dns(check) => {
            let server = check.question.server;
            return server.is_none_or(|server| special(server.ip()).is_none());
        }
    };
    match host {
        Host::Name(name) => name != "localhost" && !name.ends_with(".localhost"),
        Host::Address(address) => special(*address).is_none(),
    }
}
