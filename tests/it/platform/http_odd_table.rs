//! The odd requests and their answers: status and machine word. `-` stands for an answer without
//! a machine word: a success, or a refusal that the HTTP library gives before there is a request.

use super::http_odd_bodies::EVENT;
use crate::daemon::{ADMIN, DASH};

/// What is sent.
#[derive(Clone, Copy)]
pub enum Sent {
    /// These bytes; `KEY` stands for the dash key.
    Raw(&'static [u8]),
    /// This first line, with a good host and nothing else.
    Line(&'static str),
    /// GET of this target with the key.
    Target(&'static str),
    /// GET of a known route with the key and these header lines.
    With(&'static str),
    /// POST to a known route with the key, these header lines, and after the head these bytes.
    Post(&'static str, &'static [u8]),
    /// The same with the content type of JSON.
    Json(&'static str, &'static [u8]),
    /// GET of a target without a key, with these header lines; `KEY` and `ADMIN` stand for keys.
    Keyed(&'static str, &'static str),
    /// A head with so many headers, each with a value of so many bytes.
    Headers(usize, usize),
    /// A target of so many bytes.
    Long(usize),
    /// A POST whose body has so many bytes.
    Body(usize),
}

/// Name, request, answer.
pub type Odd = (&'static str, Sent, &'static str);

use Sent::{Body, Headers, Json, Keyed, Line, Long, Post, Raw, Target, With};

impl Sent {
    /// What goes over the wire.
    pub fn bytes(self) -> Vec<u8> {
        let known =
            format!("GET /api/flags/get HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n");
        match self {
            Raw(bytes) => match bytes.windows(3).position(|three| three == b"KEY") {
                Some(at) => [&bytes[..at], DASH.as_bytes(), &bytes[at + 3..]].concat(),
                None => bytes.to_vec(),
            },
            Target(target) => known
                .replacen("/api/flags/get", target, 1)
                .into_bytes()
                .end(),
            With(lines) => format!("{known}{lines}").into_bytes().end(),
            Line(line) => format!("{line}\r\nHost: localhost\r\n").into_bytes().end(),
            Json(lines, body) => {
                let typed = format!("Content-Type: application/json\r\n{lines}");
                posted(&known, &typed, body)
            }
            Post(lines, body) => posted(&known, lines, body),
            Keyed(target, lines) => {
                let lines = lines
                    .replace("LONG", &"a".repeat(600))
                    .replace("ADMIN", ADMIN)
                    .replace("KEY", DASH);
                let target = target.replace("KEY", DASH);
                format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}")
                    .into_bytes()
                    .end()
            }
            Headers(count, length) => {
                let value = "a".repeat(length);
                let lines: Vec<_> = (0..count).map(|n| format!("X-H{n}: {value}\r\n")).collect();
                format!("{known}{}", lines.concat()).into_bytes().end()
            }
            Long(length) => Target("/TARGET").bytes_with("TARGET", &"a".repeat(length)),
            Body(length) => {
                let lines = "Content-Length: NUMBER\r\n";
                let mut bytes = Json(lines, b"").bytes_with("NUMBER", &length.to_string());
                bytes.resize(bytes.len() + length, b' ');
                bytes
            }
        }
    }

    fn bytes_with(self, mark: &str, text: &str) -> Vec<u8> {
        let bytes = String::from_utf8(self.bytes()).unwrap();
        bytes.replacen(mark, text, 1).into_bytes()
    }
}

/// The POST to a known route; `LENGTH` stands for the line that tells the length of [`EVENT`].
fn posted(known: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = known.replacen("GET /api/flags/get", "POST /api/exp/log", 1);
    let lines = lines.replace("LENGTH", &format!("Content-Length: {}", EVENT.len()));
    let mut bytes = format!("{head}{lines}").into_bytes().end();
    bytes.extend_from_slice(body);
    bytes
}

trait Head {
    /// Adds the empty line.
    fn end(self) -> Self;
}

impl Head for Vec<u8> {
    fn end(mut self) -> Self {
        self.extend_from_slice(b"\r\n");
        self
    }
}

/// First lines, methods, versions, and what is not HTTP at all.
pub const LINES: &[Odd] = &[
    (
        "TRACE",
        Line("TRACE /api/flags/get HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "TRACE of nothing",
        Line("TRACE /nothing HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "CONNECT",
        Line("CONNECT localhost:80 HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "OPTIONS *",
        Line("OPTIONS * HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "OPTIONS of a route",
        Line("OPTIONS /api/flags/get HTTP/1.1"),
        "405 method_not_allowed",
    ),
    ("GET *", Line("GET * HTTP/1.1"), "400 bad_target"),
    (
        "GET of a host",
        Line("GET localhost:80 HTTP/1.1"),
        "400 bad_target",
    ),
    (
        "unknown method",
        Line("BREW /api/flags/get HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "method in small letters",
        Line("get /api/flags/get HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "PROPFIND",
        Line("PROPFIND / HTTP/1.1"),
        "405 method_not_allowed",
    ),
    (
        "DELETE of a route for GET",
        Raw(b"DELETE /api/flags/get HTTP/1.1\r\nHost: localhost\r\n\
 X-Dash-Key: KEY\r\n\r\n"),
        "405 method_not_allowed",
    ),
    (
        "HEAD",
        Raw(b"HEAD /api/flags/get HTTP/1.1\r\nHost: localhost\r\n\
 X-Dash-Key: KEY\r\n\r\n"),
        "200 -",
    ),
    ("no target", Line("GET HTTP/1.1"), "400 -"),
    ("HTTP/0.9", Raw(b"GET /\r\n"), "400 -"),
    ("HTTP/1.0 with a host", Line("GET /livez HTTP/1.0"), "200 -"),
    (
        "HTTP/1.0 without a host",
        Raw(b"GET /livez HTTP/1.0\r\n\r\n"),
        "400 host_missing",
    ),
    ("HTTP/2.0 in words", Line("GET / HTTP/2.0"), "400 -"),
    ("HTTP/1.2", Line("GET / HTTP/1.2"), "400 -"),
    ("two spaces", Line("GET  / HTTP/1.1"), "400 -"),
    (
        "NUL in the method",
        Raw(b"G\0T / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "400 -",
    ),
    (
        "h2 preface",
        Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "closed",
    ),
    (
        "TLS hello",
        Raw(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x8f\x0a\r\n\r\n"),
        "400 -",
    ),
    ("binary", Raw(b"\xff\xfe\xfd\xfc\xfb\r\n\r\n"), "400 -"),
    ("nothing", Raw(b""), "closed"),
    (
        "empty lines before",
        Raw(b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "200 -",
    ),
    (
        "bare LF",
        Raw(b"GET /livez HTTP/1.1\nHost: localhost\n\n"),
        "200 -",
    ),
    (
        "pipelined",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n\
 GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n\
 GET /api HTTP/1.1\r\nHost: evil\r\n\r\n"),
        "200 -, 200 -, 421 host_not_allowed",
    ),
];

/// Targets.
pub const TARGETS: &[Odd] = &[
    (
        "absolute form",
        Target("http://localhost/api/flags/get"),
        "400 absolute_target",
    ),
    (
        "absolute form of a foreign host",
        Target("http://evil.example/"),
        "400 absolute_target",
    ),
    (
        "percent NUL",
        Target("/api/flags%00/get"),
        "400 nul_in_target",
    ),
    (
        "percent NUL in the query",
        Target("/api/flags/get?a=%00"),
        "400 nul_in_target",
    ),
    (
        "dot dot",
        Target("/api/../api/flags/get"),
        "400 dot_segment",
    ),
    ("dot", Target("/api/./flags/get"), "400 dot_segment"),
    (
        "encoded dot dot",
        Target("/api/%2e%2e/flags/get"),
        "400 dot_segment",
    ),
    (
        "encoded twice",
        Target("/%252e%252e/etc/passwd"),
        "400 dot_segment",
    ),
    (
        "encoded slash",
        Target("/api%2fflags%2fget"),
        "404 route_not_found",
    ),
    ("backslash", Target("/api\\..\\flags"), "400 dot_segment"),
    (
        "two slashes",
        Target("//api/flags/get"),
        "404 route_not_found",
    ),
    (
        "slash at the end",
        Target("/api/flags/get/"),
        "404 route_not_found",
    ),
    (
        "other case",
        Target("/API/FLAGS/GET"),
        "404 route_not_found",
    ),
    ("fragment", Target("/api/flags/get#here"), "200 -"),
    ("half an escape", Target("/api/%2"), "404 route_not_found"),
    (
        "not UTF-8, raw",
        Raw(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "400 -",
    ),
    (
        "UTF-8, raw",
        Raw("GET /fl\u{e4}gs HTTP/1.1\r\nHost: localhost\r\n\r\n".as_bytes()),
        "400 target_not_ascii",
    ),
    ("8 KiB", Long(8 * 1024 - 1), "404 route_not_found"),
    ("8 KiB and one", Long(8 * 1024), "414 target_too_long"),
    ("20 KB", Long(20_000), "414 target_too_long"),
    // Over the 32 KiB that a head may have, so that it is never held as a whole.
    ("70 KB", Long(70_000), "431 -"),
];

/// Header lines.
pub const HEADS: &[Odd] = &[
    (
        "no Host",
        Raw(b"GET /livez HTTP/1.1\r\n\r\n"),
        "400 host_missing",
    ),
    (
        "two Hosts",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"),
        "400 host_repeated",
    ),
    (
        "foreign Host",
        Raw(b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        "421 host_not_allowed",
    ),
    (
        "our name at the end of another",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n"),
        "421 host_not_allowed",
    ),
    (
        "empty Host",
        Raw(b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n"),
        "421 host_not_allowed",
    ),
    (
        "Host with a port",
        Raw(b"GET /livez HTTP/1.1\r\nHost: LOCALHOST:5000\r\n\r\n"),
        "200 -",
    ),
    ("obs-fold", With("X-A: b\r\n c\r\n"), "400 -"),
    (
        "NUL in a value",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\0c\r\n\r\n"),
        "400 -",
    ),
    (
        "CR in a value",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b\rc\r\n\r\n"),
        "400 -",
    ),
    ("space before the colon", With("X-A : b\r\n"), "400 -"),
    ("no name", With(": b\r\n"), "400 -"),
    ("no colon", With("X-A\r\n"), "400 -"),
    ("64 headers", Headers(62, 1), "200 -"),
    ("101 headers", Headers(101, 1), "431 -"),
    ("500 KB", Headers(1, 500_000), "431 -"),
    ("500 KB in many", Headers(60, 9_000), "431 -"),
    (
        "Content-Encoding",
        With("Content-Encoding: gzip\r\n"),
        "415 content_encoding_refused",
    ),
    (
        "Content-Encoding identity",
        With("Content-Encoding: identity\r\n"),
        "200 -",
    ),
    (
        "upgrade",
        With(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
 HTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
        "200 -",
    ),
    (
        "websocket",
        With("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        "200 -",
    ),
    (
        "override",
        With("X-HTTP-Method-Override: DELETE\r\n"),
        "200 -",
    ),
];
