//! The odd requests whose oddness is in their length, body or key.

use super::http_odd_table::Odd;
use super::http_odd_table::Sent::{Body, Json, Keyed, Post, Raw};

/// What an event looks like.
pub const EVENT: &[u8] = br#"{"event":"e","user":"u","exp":"pricing_v2","variant":"A"}"#;

/// The same in one chunk.
const CHUNKED: &[u8] =
    b"39\r\n{\"event\":\"e\",\"user\":\"u\",\"exp\":\"pricing_v2\",\"variant\":\"A\"}\r\n0\r\n\r\n";

/// The same in one chunk with an extension.
const EXTENDED: &[u8] = b"39;a=b\r\n\
{\"event\":\"e\",\"user\":\"u\",\"exp\":\"pricing_v2\",\"variant\":\"A\"}\r\n0\r\n\r\n";

/// Lengths and bodies.
pub const BODIES: &[Odd] = &[
    ("plain", Json("LENGTH\r\n", EVENT), "200 -"),
    (
        "Expect",
        Json("LENGTH\r\nExpect: 100-continue\r\n", EVENT),
        "100 -, 200 -",
    ),
    (
        "length and chunks",
        Json("LENGTH\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        "400 ambiguous_length",
    ),
    (
        "chunks and length",
        Json(
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"0\r\n\r\n",
        ),
        "400 ambiguous_length",
    ),
    (
        "two lengths that differ",
        Json("LENGTH\r\nContent-Length: 5\r\n", EVENT),
        "400 -",
    ),
    (
        "two equal lengths",
        Json("LENGTH\r\nLENGTH\r\n", EVENT),
        "200 -",
    ),
    (
        "signed length",
        Json("Content-Length: +57\r\n", EVENT),
        "400 -",
    ),
    (
        "negative length",
        Json("Content-Length: -1\r\n", EVENT),
        "400 -",
    ),
    (
        "length in hex",
        Json("Content-Length: 0x39\r\n", EVENT),
        "400 -",
    ),
    (
        "length of 30 digits",
        Json("Content-Length: 999999999999999999999999999999\r\n", EVENT),
        "400 -",
    ),
    (
        "unknown coding",
        Json("Transfer-Encoding: gzip\r\n", EVENT),
        "400 -",
    ),
    (
        "coding after chunked",
        Json("Transfer-Encoding: chunked, gzip\r\n", EVENT),
        "400 -",
    ),
    (
        "chunked",
        Json("Transfer-Encoding: chunked\r\n", CHUNKED),
        "200 -",
    ),
    (
        "bad chunk size",
        Json("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        "400 body_broken",
    ),
    (
        "huge chunk size",
        Json(
            "Transfer-Encoding: chunked\r\n",
            b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        ),
        "400 body_broken",
    ),
    (
        "short chunk extension",
        Json("Transfer-Encoding: chunked\r\n", EXTENDED),
        "200 -",
    ),
    (
        "chunk without its end",
        Json("Transfer-Encoding: chunked\r\n", b"39\r\n{"),
        "400 body_broken",
    ),
    ("empty", Json("Content-Length: 0\r\n", b""), "400 bad_body"),
    ("no length", Json("", b""), "400 bad_body"),
    (
        "no type",
        Post("LENGTH\r\n", EVENT),
        "415 unsupported_media_type",
    ),
    (
        "form",
        Post(
            "Content-Type: application/x-www-form-urlencoded\r\nLENGTH\r\n",
            EVENT,
        ),
        "415 unsupported_media_type",
    ),
    (
        "text",
        Post("Content-Type: text/plain\r\nLENGTH\r\n", EVENT),
        "415 unsupported_media_type",
    ),
    (
        "type with a charset",
        Post(
            "Content-Type: application/json; charset=utf-8\r\nLENGTH\r\n",
            EVENT,
        ),
        "200 -",
    ),
    (
        "compressed",
        Json(
            "Content-Encoding: gzip\r\nContent-Length: 2\r\n",
            b"\x1f\x8b",
        ),
        "415 content_encoding_refused",
    ),
    ("2 MB of spaces", Body(2_000_000), "413 body_too_large"),
    (
        "a body with GET",
        Raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\
 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
        "200 -",
    ),
    (
        "array",
        Json("Content-Length: 2\r\n", b"[]"),
        "400 bad_body",
    ),
    (
        "not UTF-8",
        Json("Content-Length: 2\r\n", b"\xff\xff"),
        "400 bad_body",
    ),
    ("NaN", Json("Content-Length: 3\r\n", b"NaN"), "400 bad_body"),
    (
        "smuggled request",
        Json(
            "Content-Length: 2\r\n",
            b"{}GET /api/admin/keys HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        "400 missing_member, 401 key_required",
    ),
];

/// Keys, where they count and where they do not.
pub const KEYS: &[Odd] = &[
    ("none", Keyed("/api/flags/get", ""), "401 key_required"),
    (
        "X-Dash-Key",
        Keyed("/api/flags/get", "X-Dash-Key: KEY\r\n"),
        "200 -",
    ),
    (
        "X-Api-Key",
        Keyed("/api/flags/get", "X-Api-Key: KEY\r\n"),
        "200 -",
    ),
    (
        "Bearer",
        Keyed("/api/flags/get", "Authorization: Bearer KEY\r\n"),
        "200 -",
    ),
    (
        "bearer",
        Keyed("/api/flags/get", "Authorization: bearer KEY\r\n"),
        "200 -",
    ),
    (
        "Basic",
        Keyed("/api/flags/get", "Authorization: Basic KEY\r\n"),
        "401 key_required",
    ),
    (
        "no scheme",
        Keyed("/api/flags/get", "Authorization: KEY\r\n"),
        "401 key_required",
    ),
    (
        "in the query",
        Keyed("/api/flags/get?key=KEY", ""),
        "401 key_required",
    ),
    (
        "in the query, other names",
        Keyed(
            "/api/flags/get?x-dash-key=KEY&api_key=KEY&access_token=KEY",
            "",
        ),
        "401 key_required",
    ),
    (
        "in a cookie",
        Keyed("/api/flags/get", "Cookie: key=KEY; X-Dash-Key=KEY\r\n"),
        "401 key_required",
    ),
    (
        "in the path",
        Keyed("/api/flags/get/KEY", ""),
        "404 route_not_found",
    ),
    (
        "as user of the host",
        Keyed("http://KEY@localhost/api/flags/get", ""),
        "400 absolute_target",
    ),
    (
        "the same twice",
        Keyed("/api/flags/get", "X-Dash-Key: KEY\r\nX-Api-Key: KEY\r\n"),
        "200 -",
    ),
    (
        "two that differ",
        Keyed(
            "/api/flags/get",
            "X-Dash-Key: KEY\r\nAuthorization: Bearer ADMIN\r\n",
        ),
        "400 several_keys",
    ),
    (
        "empty",
        Keyed("/api/flags/get", "X-Dash-Key:\r\n"),
        "401 key_required",
    ),
    (
        "very long",
        Keyed("/api/flags/get", "X-Dash-Key: KEYLONG\r\n"),
        "401 key_required",
    ),
    (
        "not ASCII",
        Raw(b"GET /api/flags/get HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: \xff\xfe\r\n\r\n"),
        "401 key_required",
    ),
    (
        "dash where admin is needed",
        Keyed("/api/admin/keys", "X-Dash-Key: KEY\r\n"),
        "403 role_not_allowed",
    ),
    (
        "admin in the header of dash",
        Keyed("/api/admin/keys", "X-Dash-Key: ADMIN\r\n"),
        "200 -",
    ),
    (
        "wrong key, public route",
        Keyed("/livez", "X-Dash-Key: wrong\r\n"),
        "401 key_required",
    ),
];
