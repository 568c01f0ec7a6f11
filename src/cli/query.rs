//! Paths and queries of API calls, percent-encoded.

use std::fmt::Write as _;

/// `path?name=value&…`, without the parameters that have no value.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut whole = path.to_owned();
    let mut mark = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            whole.push(mark);
            whole.push_str(name);
            whole.push('=');
            encode(&mut whole, value);
            mark = '&';
        }
    }
    whole
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut encoded = String::new();
    encode(&mut encoded, text);
    encoded
}

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
}

#[test]
fn what_could_be_mistaken_for_syntax_is_encoded() {
    let path = with_query(
        "/a",
        &[("user", Some("x&y=z @é")), ("n", None), ("m", Some("1"))],
    );
    assert_eq!(path, "/a?user=x%26y%3Dz%20%40%C3%A9&m=1");
    assert_eq!(segment("../x"), "..%2Fx");
}
