//! One request as a line of an access log tells it. Borrowed from the line: nothing is copied.

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line<'a> {
    /// When it was logged, in seconds since 1970; `None` where the line does not tell.
    pub at: Option<i64>,
    /// Method as it stands there; empty where the request was no HTTP.
    pub method: &'a [u8],
    /// Path and query as they stand there; empty where the request was no HTTP.
    pub path: &'a [u8],
    /// Agent as it stands there; empty where the line does not tell.
    pub agent: &'a [u8],
    /// Status code, 0..=999.
    pub status: u16,
    /// How long it took, in nanoseconds; `None` where the line does not tell.
    pub took_ns: Option<u64>,
}

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A request.
    Request(Line<'a>),
    /// Well-formed, but no request: applications write other things into the same file.
    Other,
    /// Not of the form that the configuration names.
    Broken,
}

/// Method and path of `GET /path HTTP/1.1`; both empty when it is something else, as what port
/// scanners send.
pub(super) fn request(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(gap) = memchr::memchr(b' ', text) else {
        return (b"", b"");
    };
    let (method, rest) = text.split_at(gap);
    let rest = rest.get(1..).unwrap_or_default();
    let path = memchr::memrchr(b' ', rest).map_or(rest, |end| rest.get(..end).unwrap_or_default());
    if !method.iter().all(u8::is_ascii_uppercase) {
        return (b"", b"");
    }
    (method, origin_form(path))
}

/// The path of `http://host/path`, as requests through a proxy are written.
pub(super) fn origin_form(path: &[u8]) -> &[u8] {
    if path.first().is_none_or(|first| *first == b'/') {
        return path;
    }
    let Some(after) = memchr::memmem::find(path, b"://").map(|at| at + 3) else {
        return path;
    };
    let authority = path.get(after..).unwrap_or_default();
    memchr::memchr(b'/', authority).map_or(b"/", |at| authority.get(at..).unwrap_or_default())
}
