//! Mail servers that do what no mail server should: each visit ends soon with a clear fault, costs
//! little memory, and leaves everything else as it was.

use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::{Papers, Script, Talk, daemon, resident, scripted};

/// What memory may grow by, in bytes: 20 MiB, a line of the issue.
const MOST_GROWTH: u64 = 20 << 20;

/// What a server does, and words that the fault must have.
const CASES: [(&str, Script, &str); 15] = [
    (
        "no greeting",
        |talk| talk.wait_for_end(),
        "took longer than 1 s",
    ),
    (
        "another protocol",
        |talk| {
            talk.say("HTTP/1.1 400 Bad Request\r\n\r\n");
        },
        "not IMAP",
    ),
    (
        "signed in already",
        |talk| {
            talk.say("* PREAUTH hello\r\n");
        },
        "signed in already",
    ),
    (
        "away",
        |talk| {
            talk.say("* BYE too many\r\n");
        },
        "saying \"too many\"",
    ),
    ("odd capabilities", odd_capabilities, "not IMAP"),
    (
        "alerts without end",
        alerts,
        "sent more than the 65536 bytes",
    ),
    (
        "a line without end",
        endless_line,
        "sent a line of more than",
    ),
    ("brackets", brackets, "nested more than 32 brackets"),
    (
        "2 GB in one piece",
        two_gigabytes,
        "announced 2147483648 bytes in one piece",
    ),
    (
        "4 MB where 64 KB were asked for",
        more_than_asked,
        "announced 4194304 bytes",
    ),
    ("more mails than asked for", flood, "sent more than the"),
    ("farewell amid a mail", farewell, "saying \"shutting down\""),
    (
        "gone amid a mail",
        gone,
        "ended the connection: fetching mails",
    ),
    ("drip", drip, "took longer than 1 s: fetching mails"),
    ("stall", stall, "looking"),
];

fn odd_capabilities(talk: &mut Talk) {
    talk.say("* OK ready\r\n");
    if let Some((tag, _)) = talk.hear() {
        talk.say(format!("* CAPABILITY ((( \"\\ {{}}\r\n{tag} OK\r\n"));
    }
}

fn alerts(talk: &mut Talk) {
    if talk.oblige_until("EXAMINE").is_some() {
        while talk.say("* OK [ALERT] \u{1b}[2J your mailbox is nearly full\r\n".repeat(100)) {}
    }
}

fn endless_line(talk: &mut Talk) {
    if talk.oblige_until("UID SEARCH").is_some() {
        talk.say("* OK ");
        while talk.say(" 1234567".repeat(2000)) {}
    }
}

fn brackets(talk: &mut Talk) {
    if talk.oblige_until("UID FETCH").is_some() {
        talk.say("* 1 FETCH (BODYSTRUCTURE ");
        while talk.say("(".repeat(10_000)) {}
    }
}

fn fetch_answer(talk: &mut Talk, announced: u64) -> bool {
    let fetching = talk.oblige_until("UID FETCH 1 (UID BODY.PEEK");
    fetching.is_some() && talk.say(format!("* 1 FETCH (UID 1 BODY[]<0> {{{announced}}}\r\n"))
}

fn two_gigabytes(talk: &mut Talk) {
    if fetch_answer(talk, 1 << 31) {
        while talk.say("x".repeat(60_000)) {}
    }
}

fn more_than_asked(talk: &mut Talk) {
    if fetch_answer(talk, 4 << 20) {
        while talk.say("x".repeat(60_000)) {}
    }
}

fn flood(talk: &mut Talk) {
    if talk.oblige_until("UID FETCH 1 (UID BODY.PEEK").is_some() {
        let mail = format!(
            "* 1 FETCH (UID 1 BODY[]<0> {{60000}}\r\n{})\r\n",
            "x".repeat(60_000)
        );
        while talk.say(&mail) {}
    }
}

fn farewell(talk: &mut Talk) {
    if talk.oblige_until("UID FETCH 1 (UID BODY.PEEK").is_some() {
        talk.say("* BYE shutting down\r\n");
    }
}

fn gone(talk: &mut Talk) {
    if fetch_answer(talk, 41) {
        talk.say("From: somebody");
    }
}

fn stall(talk: &mut Talk) {
    if talk.oblige_until("UID SEARCH").is_some() {
        talk.wait_for_end();
    }
}

fn drip(talk: &mut Talk) {
    if fetch_answer(talk, 60_000) {
        while talk.say("x") {
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_visit_to_a_hostile_server_ends_soon_and_harms_nothing() {
    let papers = Papers::new();
    let obliging: Script = |talk| drop(talk.oblige_until("nothing odd"));
    let mut scripts = vec![obliging];
    scripts.extend(CASES.iter().map(|(_, script, _)| *script));
    scripts.push(obliging);
    let port = scripted(&papers, scripts);
    let home = tempfile::tempdir().unwrap();
    let config = json!({ "connection": { "timeout_secs": 1 } });
    let daemon = daemon(home.path(), &papers, port, &config);
    let mut client = daemon.client();
    let mut digest = || {
        let asked = client.call("POST", "/api/support/digest", &[], b"{}");
        asked.expect("an answer")
    };
    let before = digest().expect(200).json();
    assert_eq!(
        (&before["count"], &before["mailboxes"][0]["read"]),
        (&json!(1), &json!(1))
    );
    let held = resident(daemon.pid());
    for (name, _, words) in CASES {
        let begun = Instant::now();
        let answer = std::thread::scope(|scope| {
            let visit = scope.spawn(&mut digest);
            // Others are answered while the server keeps us waiting.
            while !visit.is_finished() {
                daemon.get("/livez").expect(200);
                std::thread::park_timeout(Duration::from_millis(20));
            }
            visit.join().unwrap()
        });
        assert!(begun.elapsed() < Duration::from_mins(1), "{name}");
        let told = answer.expect(502).json();
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{name}: {detail}");
        assert!(
            detail.contains(&format!("`127.0.0.1:{port}`")),
            "{name}: {detail}"
        );
        assert_ne!(
            told["hint"].as_str().unwrap_or_default(),
            "",
            "{name}: {detail}"
        );
        let grown = resident(daemon.pid()).saturating_sub(held);
        assert!(grown <= MOST_GROWTH, "{name}: {grown} bytes more");
    }
    let alerts = daemon.get("/api/alerts").json();
    let found = alerts["alerts"].as_array().unwrap().iter();
    let keys: Vec<_> = found.map(|alert| alert["key"].clone()).collect();
    assert!(keys.contains(&json!("support:unreachable")), "{alerts}");
    // None of it is held against the server once it is well.
    let after = digest().expect(200).json();
    assert_eq!(
        (&after["count"], &after["mailboxes"][0]["read"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(daemon.get("/api/support/mails").json()["total"], 1);
    let alerts = daemon.get("/api/alerts").json().to_string();
    assert!(!alerts.contains("support:"), "{alerts}");
}
