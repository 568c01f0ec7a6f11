//! Lines of all formats, whole and broken, and which of them count.

use serde_json::{Value, json};

use super::decimal::{Unit, scaled, span};
use super::format::{COMBINED, Format, FormatFault};
use super::instant::{Form, Instants};
use super::line::{Line, Parsed};
use super::ndjson::{Fields, Ndjson};
use super::select::{Exclude, Pick, Selector, Statuses, Verdict};

/// 2026-11-21T09:15:02Z, by `date -u -d … +%s`.
const AT: i64 = 1_795_252_502;

fn timed() -> String {
    format!("{COMBINED} $request_time")
}

fn read<'a>(format: &Format, line: &'a str) -> Option<Line<'a>> {
    format.read(line.as_bytes(), &mut Instants::new(format.form()))
}

#[test]
fn combined_with_request_time_is_read_whole() {
    let format = Format::compile(&timed()).unwrap();
    let line = r#"192.0.2.7 - eve [21/Nov/2026:10:15:02 +0100] "GET /api/pay?x=1 HTTP/1.1" 502 157 "-" "Mozilla/5.0 (X11; \x22odd\x22)" 0.123"#;
    let expected = Line {
        at: Some(AT),
        method: b"GET",
        path: b"/api/pay?x=1",
        agent: br"Mozilla/5.0 (X11; \x22odd\x22)",
        status: 502,
        took_ns: Some(123_000_000),
    };
    assert_eq!(read(&format, line), Some(expected));
    assert!(format.timed() && !Format::compile(COMBINED).unwrap().timed());
}

#[test]
fn odd_lines_of_nginx_are_read_or_refused() {
    let format = Format::compile(&timed()).unwrap();
    let line = |user: &str, request: &str, agent: &str, tail: &str| {
        format!(
            r#"::1 - {user} [21/Nov/2026:09:15:02 +0000] "{request}" 400 0 "-" "{agent}" {tail}"#
        )
    };
    let whole = line("a b", r"\x16\x03\x01", r#"say \"hi\" "#, "-");
    let found = read(&format, &whole).unwrap();
    assert_eq!((found.method, found.path), (&b""[..], &b""[..]));
    assert_eq!((found.agent, found.took_ns), (&br#"say \"hi\" "#[..], None));
    let proxied = line("-", "GET http://x.org/a HTTP/1.1", "-", "0.000");
    let found = read(&format, &proxied).unwrap();
    assert_eq!((found.path, found.took_ns), (&b"/a"[..], Some(0)));
    for broken in [
        line("-", "GET / HTTP/1.1", "-", ""),
        line("-", "GET / HTTP/1.1", "-", "0.1x"),
        line("-", "GET / HTTP/1.1", "-", "0.1 0.2"),
        line("-", "GET / HTTP/1.1", "-", "-0.1"),
        line("-", "GET / HTTP/1.1", "-", "0.1").replace("Nov", "Nvo"),
        line("-", "GET / HTTP/1.1", "-", "0.1").replace(" 400 ", " 4x0 "),
        String::new(),
        "\0\0\0".into(),
    ] {
        assert_eq!(read(&format, &broken), None, "{broken}");
        // And what is cut off anywhere is refused or a shorter number, never a crash.
        for end in 0..broken.len() {
            let _either = format.read(&broken.as_bytes()[..end], &mut Instants::new(Form::Local));
        }
    }
}

#[test]
fn times_of_upstreams_are_added_up_wherever_they_stand() {
    let text = "$msec $upstream_response_time $status ${request_method}:$uri";
    let format = Format::compile(text).unwrap();
    let found = read(
        &format,
        "1795252502.999 0.001, 0.002 : 0.003, - 200 PUT:/a b",
    )
    .unwrap();
    assert_eq!((found.at, found.took_ns), (Some(AT), Some(6_000_000)));
    assert_eq!(
        (found.method, found.path, found.status),
        (&b"PUT"[..], &b"/a b"[..], 200)
    );
    let found = read(&format, "1795252502.999 - 504 PUT:/a").unwrap();
    assert_eq!((found.took_ns, found.status), (None, 504));
}

#[test]
fn a_format_that_cannot_be_read_is_refused() {
    let fault = |text| Format::compile(text).err();
    let touching = FormatFault::Touching("status".into(), "msec".into());
    assert_eq!(fault("$status$msec"), Some(touching));
    assert_eq!(fault("$status $ $msec"), Some(FormatFault::Nameless));
    assert!(matches!(fault("$msec"), Some(FormatFault::Missing(_))));
    assert!(matches!(fault("$status"), Some(FormatFault::Missing(_))));
    let iso = Format::compile("$time_iso8601|$status").unwrap();
    assert_eq!(
        read(&iso, "2026-11-21T09:15:02+00:00|200").unwrap().at,
        Some(AT)
    );
}

#[test]
fn instants_and_spans_are_exact() {
    let at = |form, text: &str| Instants::new(form).read(text.as_bytes());
    for (text, off) in [
        ("2026-11-21T09:15:02Z", 0),
        ("2026-11-21 09:15:02,5", 0),
        ("2026-11-21T04:45:02.123456789-04:30", 0),
        ("2026-11-21T10:15:02+01", 0),
        ("2026-11-21T09:15:60Z", 58),
        ("2028-02-29T00:00:00Z", 1_835_395_200 - AT),
        ("1970-01-01T00:00:00Z", -AT),
    ] {
        assert_eq!(at(Form::Rfc3339, text), Some(AT + off), "{text}");
    }
    for text in [
        "2026-11-21",
        "2026-13-21T09:15:02Z",
        "2026-11-21T09:15:02.Z",
        "2026-11-21T24:15:02Z",
    ] {
        assert_eq!(at(Form::Rfc3339, text), None, "{text}");
    }
    assert_eq!(at(Form::UnixMillis, "1795252502999"), Some(AT));
    assert_eq!(at(Form::UnixSecs, "1.795252502e9"), Some(AT));
    assert_eq!(scaled(b"0.1234567890123", 9), Some(123_456_789));
    assert_eq!(scaled(b"18446744073709551616", 0), None);
    for bad in ["", ".", "1.", ".5", "-1", "1e400", "1 ", "nan"] {
        assert_eq!(scaled(bad.as_bytes(), 9), None, "{bad}");
    }
    for (text, unit, ns) in [
        ("12", Unit::Millis, 12_000_000),
        ("12.5", Unit::Micros, 12_500),
        ("12ms", Unit::Secs, 12_000_000),
        ("1m2.5s", Unit::Secs, 62_500_000_000),
        ("7\u{b5}s", Unit::Secs, 7_000),
    ] {
        assert_eq!(span(text.as_bytes(), unit), Some(ns), "{text}");
    }
    assert_eq!(span(b"12 parsecs", Unit::Secs), None);
}

/// A line as Caddy 2 writes it.
fn caddy_line() -> Value {
    json!({
        "level": "info", "ts": 1_795_252_502.123_456, "logger": "http.log.access",
        "msg": "handled request",
        "request": {
            "remote_ip": "192.0.2.7", "proto": "HTTP/2.0", "method": "GET",
            "host": "x.org", "uri": "/a\\b\"c",
            "headers": { "User-Agent": ["curl/8 \"x\""], "Accept": ["*/*", "}]"] },
            "tls": { "resumed": false, "version": 772 }
        },
        "bytes_read": 0, "duration": 0.000_929_675, "size": 10_900, "status": 200,
        "resp_headers": { "Server": ["Caddy"], "status": ["not this"] }
    })
}

#[test]
fn a_line_of_caddy_is_read_whole() {
    let mut reader = Ndjson::new(&Fields::caddy());
    let line = caddy_line().to_string();
    let expected = Line {
        at: Some(AT),
        method: b"GET",
        path: b"/a\\b\"c",
        agent: b"curl/8 \"x\"",
        status: 200,
        took_ns: Some(929_675),
    };
    let mut instants = Instants::new(Form::UnixSecs);
    assert_eq!(
        reader.read(line.as_bytes(), &mut instants),
        Parsed::Request(expected)
    );
    for end in 0..line.len() {
        let cut = reader.read(&line.as_bytes()[..end], &mut instants);
        assert_eq!(cut, Parsed::Broken, "cut at {end}");
    }
    for other in [
        r#"{"level":"info","ts":1.5,"msg":"started"}"#,
        "{}",
        r#"{"ts":null,"status":200}"#,
    ] {
        assert_eq!(
            reader.read(other.as_bytes(), &mut instants),
            Parsed::Other,
            "{other}"
        );
    }
    for broken in [
        "",
        "[]",
        "{} x",
        r#"{"a":[1}}"#,
        r#"{"ts":1,"status":"abc"}"#,
        r#"{"ts":1,"status":2000}"#,
    ] {
        assert_eq!(
            reader.read(broken.as_bytes(), &mut instants),
            Parsed::Broken,
            "{broken}"
        );
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 12] = [
            "a",
            "/",
            "\\",
            "\"",
            "\n",
            "\u{1}",
            "é",
            "\u{1f600}",
            "{",
            "]",
            ",",
            "\u{2028}",
        ];
        (0..self.roll(6))
            .map(|_| PARTS[self.roll(12).to_le_bytes()[0] as usize])
            .collect()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.roll(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.roll(2) == 0),
            2 => json!(self.roll(1000)),
            3 => json!(self.roll(1_000_000) as f64 / 1e9 - 1e-5),
            4 => json!(self.text()),
            5 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let members = (0..self.roll(4)).map(|_| (self.text(), self.value(depth - 1)));
                Value::Object(members.collect())
            }
        }
    }
}

#[test]
fn any_object_is_read_as_serde_json_reads_it() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let fields = Fields {
        time: "t".into(),
        form: Form::UnixSecs,
        status: "r.status".into(),
        method: Some("r.m".into()),
        path: Some("r.u.path".into()),
        duration: Some("took".into()),
        unit: Unit::Millis,
        agent: Some("r.agents".into()),
    };
    let mut reader = Ndjson::new(&fields);
    for round in 0..20_000 {
        let (path, agent) = (dice.text(), dice.text());
        let (status, took) = (dice.roll(1000), dice.roll(100_000));
        let mut inner = serde_json::Map::new();
        let mut outer = serde_json::Map::new();
        for _ in 0..dice.roll(4) {
            inner.insert(dice.text(), dice.value(3));
            outer.insert(dice.text(), dice.value(3));
        }
        inner.insert("status".into(), json!(status));
        inner.insert("m".into(), json!("PUT"));
        inner.insert("u".into(), json!({ "x": dice.value(2), "path": path }));
        inner.insert("agents".into(), json!([agent, dice.value(2)]));
        outer.insert("t".into(), json!(AT));
        outer.insert("took".into(), json!(took));
        outer.insert("r".into(), Value::Object(inner));
        let object = Value::Object(outer);
        let line = if dice.roll(2) == 0 {
            object.to_string()
        } else {
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            pretty
                .replace('\n', " ")
                .replace('/', "\\/")
                .replace('a', "\\u0061")
        };
        // Escaping every letter breaks the words that are no texts.
        let line = line.replace("f\\u0061lse", "false");
        let expected = Line {
            at: Some(AT),
            method: b"PUT",
            path: super::line::origin_form(path.as_bytes()),
            agent: agent.as_bytes(),
            status: u16::try_from(status).unwrap(),
            took_ns: Some(took * 1_000_000),
        };
        let mut instants = Instants::new(Form::UnixSecs);
        let found = reader.read(line.as_bytes(), &mut instants);
        assert_eq!(found, Parsed::Request(expected), "round {round}: {line}");
    }
}

#[test]
fn a_key_with_dots_and_a_repeated_key_are_found() {
    let fields = Fields {
        time: "@timestamp".into(),
        form: Form::Rfc3339,
        status: "http.response.status_code".into(),
        duration: Some("event.duration".into()),
        unit: Unit::Nanos,
        method: None,
        path: None,
        agent: None,
    };
    let mut reader = Ndjson::new(&fields);
    let line = br#"{"@timestamp":"2026-11-21T09:15:02.5Z","http.response":{"status_code":"201"},"event":{"duration":1},"event.duration":77}"#;
    let mut instants = Instants::new(Form::Rfc3339);
    let Parsed::Request(found) = reader.read(line, &mut instants) else {
        panic!("no request");
    };
    assert_eq!(
        (found.at, found.status, found.took_ns),
        (Some(AT), 201, Some(77))
    );
}

#[test]
fn exclusions_series_and_bad_statuses_decide() {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let exclude = Exclude::new(
        texts(&["/health"]),
        &texts(&["bot", "kube-probe/"]),
        texts(&["options"]),
        Statuses::of(["499"]).unwrap(),
    );
    let pick = |series: &str, prefixes: &[&str], methods: &[&str]| Pick {
        series: series.into(),
        path_prefixes: texts(prefixes),
        methods: texts(methods),
    };
    let picks = vec![
        pick("all", &[], &[]),
        pick("pay", &["/pay/", "/p2/"], &["POST"]),
    ];
    let bad = Statuses::of(["5xx", "429"]).unwrap();
    let rules = Selector::new(exclude, picks, bad).unwrap();
    let judge = |method: &str, path: &str, agent: &str, status| {
        rules.judge(&Line {
            method: method.as_bytes(),
            path: path.as_bytes(),
            agent: agent.as_bytes(),
            status,
            ..Line::default()
        })
    };
    let counted = |series, bad| Verdict::Counted { series, bad };
    assert_eq!(judge("GET", "/", "", 200), counted(1, false));
    assert_eq!(judge("POST", "/p2/x", "", 503), counted(3, true));
    assert_eq!(judge("POST", "/pay", "", 429), counted(1, true));
    assert_eq!(judge("GET", "/healthz", "", 500), Verdict::Excluded);
    assert_eq!(judge("GET", "/", "GoogleBot/2.1", 200), Verdict::Excluded);
    assert_eq!(judge("OPTIONS", "/", "", 204), Verdict::Excluded);
    assert_eq!(judge("GET", "/", "", 499), Verdict::Excluded);
    for bad in ["", "6", "xxx", "99", "599-500", "5x", "1000"] {
        assert_eq!(Statuses::of([bad]), Err(bad));
    }
}

/// What is wrong with `sources`, one line each, and how many are good.
fn checked(sources: Value) -> (Vec<String>, usize) {
    use crate::base::json::Path;
    use crate::base::problems::Problems;
    let raw = serde_json::from_value(sources).unwrap();
    let mut problems = Problems::new("slo.json");
    let good = super::rules::check(&raw, &Path::root().key("sources"), &mut problems);
    let told = problems
        .iter()
        .map(|p| format!("{}: {} ({})", p.path, p.found, p.allowed));
    (told.collect(), good.len())
}

#[test]
fn sources_are_read_and_everything_wrong_is_told() {
    let (told, good) = checked(json!({
        "nginx": { "access_log": { "path": "/var/log/nginx/access.log" } },
        "caddy": { "access_log": { "path": "/a", "format": "caddy", "series": { "web": {} } } },
        "app": { "scrape": { "url": "http://127.0.0.1:9100/metrics", "series": {
            "pay": { "total": "http_requests_total{path=~\"/pay.*\"}", "duration": "took" } } } },
        "jobs": { "pushed": { "series": ["billing"] } },
        "echopilot": { "own": {} },
    }));
    assert_eq!((told, good), (vec![], 5));
    let (told, good) = checked(json!({
        "Bad": { "own": {}, "pushed": { "series": ["x"] } },
        "log": { "access_log": { "path": "access.log", "log_format": "$status",
            "fields": { "time": "t", "status": "s" }, "bad_statuses": ["5x"] } },
        "one": { "pushed": { "series": ["same", "No Name"] } },
        "two": { "own": { "series": "same" } },
        "page": { "scrape": { "url": "nowhere", "series": { "p": { "bad": "a{" } } } },
    }));
    assert_eq!(good, 2);
    for part in [
        "sources.Bad: the name `Bad`",
        "sources.Bad: none or several",
        "sources.log.access_log.path: \"access.log\"",
        "sources.log.access_log.log_format: a format that cannot be read",
        "sources.log.access_log.fields: `fields`",
        "sources.log.access_log.bad_statuses: \"5x\"",
        "sources.one: the series `No Name`",
        "sources.two: the series `same` again, after source `one`",
        "sources.page.scrape.url",
        "sources.page.scrape.series.p: neither",
        "sources.page.scrape.series.p.bad: refused, as its `{` is never closed",
    ] {
        assert!(
            told.iter().any(|line| line.starts_with(part)),
            "{part} in {told:#?}"
        );
    }
    assert_eq!(told.len(), 11, "{told:#?}");
}
