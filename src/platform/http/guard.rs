//! What every request must satisfy before anything is looked up for it (rules H2 and H4): one pass
//! over its headers, one over its target.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Uri};

use super::{HttpError, HttpRules};
use crate::platform::auth::Credentials;

/// Longest target taken, in bytes (rule H2).
const MAX_TARGET: usize = 8 * 1024;

const X_DASH_KEY: HeaderName = HeaderName::from_static("x-dash-key");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What one pass over the headers found.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    chunked: bool,
    length: bool,
    encoded: bool,
    /// The caller's key, wherever it stands.
    pub(super) credentials: Credentials<'a>,
    /// The last `X-Forwarded-For`.
    pub(super) forwarded: Option<&'a HeaderValue>,
    /// What the body is.
    pub(super) content_type: Option<&'a HeaderValue>,
}

impl<'a> Seen<'a> {
    /// Looks at all headers once.
    pub(super) fn of(parts: &'a Parts) -> Self {
        let mut seen = Self::default();
        for (name, value) in &parts.headers {
            match *name {
                header::HOST => {
                    seen.host = Some(value);
                    seen.hosts += 1;
                }
                header::TRANSFER_ENCODING => seen.chunked = true,
                header::CONTENT_LENGTH => seen.length = true,
                header::CONTENT_ENCODING => seen.encoded = value != "identity",
                header::CONTENT_TYPE => seen.content_type = Some(value),
                header::AUTHORIZATION => seen.credentials.authorization(value),
                _ if *name == X_DASH_KEY || *name == X_API_KEY => seen.credentials.key(value),
                _ if *name == X_FORWARDED_FOR => seen.forwarded = Some(value),
                _ => {}
            }
        }
        seen
    }

    /// Whether its body comes in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Refuses what no honest client sends.
    pub(super) fn check(
        &self,
        uri: &Uri,
        rules: &HttpRules,
        local: Option<IpAddr>,
    ) -> Result<(), HttpError> {
        check_target(uri)?;
        let host = match (self.hosts, self.host) {
            (1, Some(host)) => host,
            (0, _) => return Err(bad("host_missing", "the request has no `Host` header")),
            _ => {
                return Err(bad(
                    "host_repeated",
                    "the request has several `Host` headers",
                ));
            }
        };
        if !is_allowed_host(host.as_bytes(), rules, local) {
            let text = "the `Host` of this request is not one of the server's names";
            return Err(
                HttpError::new(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", text)
                    .hint("add the name to `allowed_hosts` in `configs/echopilot.json`"),
            );
        }
        if self.chunked && self.length {
            return Err(ambiguous_length());
        }
        if self.encoded {
            let text = "the request has a `Content-Encoding`, none is taken";
            return Err(HttpError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_encoding_refused",
                text,
            )
            .hint("send the body as it is, without compression"));
        }
        Ok(())
    }
}

/// The error for a body whose end is told in two ways.
pub(super) fn ambiguous_length() -> HttpError {
    bad(
        "ambiguous_length",
        "the request has both `Content-Length` and `Transfer-Encoding`, at most one is allowed",
    )
}

fn bad(code: &'static str, detail: &'static str) -> HttpError {
    HttpError::bad_request(code, detail)
}

fn check_target(uri: &Uri) -> Result<(), HttpError> {
    // A host without a scheme is how CONNECT asks: the table answers it, as every other method.
    if uri.scheme().is_some() {
        return Err(bad(
            "absolute_target",
            "the request target names a host, only a path is allowed",
        )
        .hint("this server is not a proxy: ask for `/path?query`"));
    }
    let (path, query) = (
        uri.path().as_bytes(),
        uri.query().unwrap_or_default().as_bytes(),
    );
    let found = path.len() + query.len();
    if found > MAX_TARGET {
        let text =
            format!("the request target has {found} bytes, at most {MAX_TARGET} are allowed");
        return Err(HttpError::new(
            StatusCode::URI_TOO_LONG,
            "target_too_long",
            text,
        ));
    }
    if !path.is_ascii() || !query.is_ascii() {
        return Err(bad(
            "target_not_ascii",
            "the request target holds bytes beyond ASCII, which must be percent-encoded",
        ));
    }
    let suspicious = |text: &[u8]| memchr::memchr2(b'%', b'\\', text).is_some();
    if memchr::memmem::find(path, b"/.").is_none() && !suspicious(path) && !suspicious(query) {
        return Ok(());
    }
    if memchr::memmem::find(path, b"%00").is_some() || memchr::memmem::find(query, b"%00").is_some()
    {
        return Err(bad(
            "nul_in_target",
            "the request target holds `%00`, which is not allowed",
        ));
    }
    // Decoded twice: a proxy before us may have decoded once more than we do, or once less.
    let once = decoded(path);
    let twice = decoded(&once);
    if [path, &once, &twice].into_iter().any(has_dot_segment) {
        return Err(bad(
            "dot_segment",
            "the path holds `.` or `..` segments, which are not allowed",
        ));
    }
    Ok(())
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|part| part == b"." || part == b"..")
}

/// `text` with its `%XX` replaced; what is not a digit pair stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if let (b'%', [high, low, after @ ..]) = (*first, more)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    out
}

/// Whether `host` names this server: a configured name, or the address the client connected to.
/// A page on another name cannot make a browser pass (DNS rebinding).
fn is_allowed_host(host: &[u8], rules: &HttpRules, local: Option<IpAddr>) -> bool {
    let name = without_port(host);
    let listed = |known: &String| known == "*" || known.as_bytes().eq_ignore_ascii_case(name);
    if rules.allowed_hosts.iter().any(listed) {
        return true;
    }
    let address = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse::<IpAddr>().ok());
    address.is_some_and(|address| local.is_some_and(|local| local.to_canonical() == address))
}

/// `host` without its port and without the brackets of an IPv6 address.
fn without_port(host: &[u8]) -> &[u8] {
    if let Some(inner) = host.strip_prefix(b"[") {
        let end = memchr::memchr(b']', inner).unwrap_or(inner.len());
        return inner.get(..end).unwrap_or(inner);
    }
    let end = memchr::memrchr(b':', host).unwrap_or(host.len());
    host.get(..end).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h04_dot_segments_are_seen_before_and_after_decoding() {
        let target = |text: &str| {
            check_target(&text.parse().unwrap())
                .err()
                .map(|error| error.code)
        };
        for fine in [
            "/",
            "/a/b?c=d",
            "/a%20b",
            "/.well-known/x",
            "/a/...",
            "/a?b=%2e%2e/",
        ] {
            assert_eq!(target(fine), None, "{fine}");
        }
        for bad in [
            "/..",
            "/a/../b",
            "/a/.",
            "/%2e%2e/b",
            "/.%2E/",
            "/a%2f..%2fb",
            "/%252e%252e/",
            "/a%5c..",
            "/a\\..\\b",
        ] {
            assert_eq!(target(bad), Some("dot_segment"), "{bad}");
        }
        assert_eq!(target("/a%00"), Some("nul_in_target"));
        assert_eq!(target("/a?b=%00"), Some("nul_in_target"));
        assert_eq!(target("http://localhost/"), Some("absolute_target"));
        assert_eq!(target("/fl\u{e4}gs"), Some("target_not_ascii"));
        let long = format!("/{}", "x".repeat(MAX_TARGET));
        assert_eq!(target(&long), Some("target_too_long"));
    }

    #[test]
    fn h04_only_our_own_names_are_hosts() {
        let rules = HttpRules::default();
        let local = Some("192.0.2.7".parse().unwrap());
        let ok = |host: &str| is_allowed_host(host.as_bytes(), &rules, local);
        assert!(ok("localhost") && ok("LOCALHOST:5000") && ok("127.0.0.1:80") && ok("[::1]:5000"));
        assert!(ok("192.0.2.7:5000"), "the address connected to");
        assert!(
            !ok("evil.example") && !ok("localhost.evil.example") && !ok("") && !ok("192.0.2.8")
        );
    }
}
