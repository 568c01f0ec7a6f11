//! Rules H1, H3, H6 and H9 of the reliability notes: clients that are slow, many, or too eager.
//! The server's bounds are made small, so that no test waits for the real ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::DateTime;
use echopilot::platform::http::Network;
use echopilot::seams::clock::{ManualClock, SystemClock};
use tokio::io::AsyncWriteExt as _;

use super::http_lab::{DASH, Lab, READER};

/// The bound under test.
const SHORT: Duration = Duration::from_millis(200);
/// Within what it must have acted, on a busy machine.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn h01_a_head_that_does_not_come_is_not_waited_for() {
    let lab = Lab::start(|rules| rules.head_timeout = SHORT).await;
    for begun in ["", "G", "GET /hot HTTP/1.1\r\nHost: local"] {
        let mut client = lab.connect().await;
        client.send(begun.as_bytes()).await;
        let took = client.closed().await;
        assert!(
            took >= SHORT / 2 && took < SOON,
            "`{begun}` held for {took:?}"
        );
    }
}

#[tokio::test]
async fn h01_an_idle_connection_is_closed_after_its_answer() {
    let lab = Lab::start(|rules| rules.head_timeout = SHORT).await;
    let mut client = lab.connect().await;
    client
        .send(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(client.read().await.status, 200);
    assert!(client.closed().await < SOON);
}

fn post(length: usize) -> String {
    format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn h01_a_body_that_does_not_come_is_answered_408() {
    let lab = Lab::start(|rules| rules.body_gap = SHORT).await;
    let mut client = lab.connect().await;
    client.send(post(10).as_bytes()).await;
    let answer = client.read().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "body_too_slow")
    );
    assert!(client.closed().await < SOON);
}

#[tokio::test]
async fn h01_a_dripping_body_is_answered_408_by_its_total() {
    let lab = Lab::start(|rules| {
        rules.body_gap = Duration::from_mins(1);
        rules.body_total = SHORT;
    })
    .await;
    let mut client = lab.connect().await;
    client.send(post(60_000).as_bytes()).await;
    let (mut reading, mut writing) = client.0.into_split();
    let drip = async {
        while writing.write_all(b" ").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, drip)
        .await
        .expect("the server stops reading");
    let mut client = [0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut client);
    read.await.expect("an answer before the end");
    assert!(
        client.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&client)
    );
}

#[tokio::test]
async fn h01_a_request_that_takes_too_long_is_answered_503() {
    let lab = Lab::start(|rules| rules.request_total = SHORT).await;
    let answer = lab.get("/never", READER).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "timed_out"));
    assert_eq!(lab.metrics.in_work.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn h01_a_client_that_does_not_take_its_answer_is_closed() {
    let lab = Lab::start(|rules| rules.write_stall = SHORT).await;
    let mut client = lab.connect().await;
    let request = format!("GET /large HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {READER}\r\n\r\n");
    client.send(request.as_bytes()).await;
    let open = || lab.metrics.connections.load(Ordering::Relaxed);
    // The answer is far larger than both socket buffers; nobody reads it.
    let gone = async {
        while open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone)
        .await
        .expect("the connection is given up");
}

#[tokio::test]
async fn h03_connections_over_the_bound_are_closed() {
    let lab = Lab::start(|rules| rules.max_connections_per_ip = 2).await;
    let mut first = lab.connect().await;
    let request = b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n";
    first.send(request).await;
    assert_eq!(first.read().await.status, 200);
    let mut second = lab.connect().await;
    second.send(request).await;
    assert_eq!(second.read().await.status, 200);
    let mut third = lab.connect().await;
    assert!(third.closed().await < SOON);
    drop(first);
    let open = || lab.metrics.connections.load(Ordering::Relaxed);
    let room = async {
        while open() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, room)
        .await
        .expect("the place is given back");
    assert_eq!(lab.raw(request).await.status, 200);
}

#[tokio::test]
async fn h03_requests_over_the_bound_are_answered_503() {
    let lab = Lab::start(|rules| rules.max_in_work = 1).await;
    let mut first = lab.connect().await;
    let request = format!("GET /never HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {READER}\r\n\r\n");
    first.send(request.as_bytes()).await;
    let working = || lab.metrics.in_work.load(Ordering::Relaxed);
    let begun = async {
        while working() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, begun)
        .await
        .expect("the first is in work");
    let second = lab.get("/never", READER).await;
    assert_eq!((second.status, second.code().as_str()), (503, "busy"));
    assert_eq!(second.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn h06_stopping_ends_idle_connections_and_finishes_what_is_in_hand() {
    let lab = Lab::start(|_| {}).await;
    let mut idle = lab.connect().await;
    idle.send(b"GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(idle.read().await.status, 200);
    let mut busy = lab.connect().await;
    busy.send(post(2).as_bytes()).await;
    let working = || lab.metrics.in_work.load(Ordering::Relaxed);
    let begun = async {
        while working() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, begun)
        .await
        .expect("it is in work");
    let tasks = lab.tasks.clone();
    let clock = SystemClock::new();
    let (ended, took, answer) = tokio::join!(tasks.stop(&clock, SOON), idle.closed(), async {
        lab.tasks.soft().cancelled().await;
        busy.send(b"{}").await;
        busy.read().await
    });
    assert!(ended, "all tasks ended in time");
    assert!(took < SOON);
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert!(
        tokio::net::TcpStream::connect(lab.address).await.is_err(),
        "nobody listens"
    );
}

#[tokio::test]
async fn h09_callers_without_a_key_have_a_small_share() {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let lab = Lab::start_at(clock.clone(), |rules| {
        rules.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
        rules.keyless_per_minute = 3;
        rules.keyless_total_per_minute = 5;
    })
    .await;
    let ask = async |from: &str| {
        let text =
            format!("GET /open HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {from}\r\n\r\n");
        lab.raw(text.as_bytes()).await
    };
    for left in ["2", "1", "0"] {
        let answer = ask("192.0.2.1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"default\";q=3;w=60")
        );
        let share = answer.header("ratelimit").unwrap();
        assert!(
            share.starts_with(&format!("\"default\";r={left};t=")),
            "{share}"
        );
    }
    let over = ask("192.0.2.1").await;
    assert_eq!((over.status, over.code().as_str()), (429, "rate_limited"));
    assert_eq!(over.header("retry-after"), Some("20"));
    assert_eq!(ask("192.0.2.2").await.status, 200);
    assert_eq!(ask("192.0.2.3").await.status, 200);
    assert_eq!(
        ask("192.0.2.4").await.status,
        429,
        "all together have used five"
    );
    assert_eq!(
        lab.get("/hot", READER).await.status,
        200,
        "a key has its own share"
    );
    clock.advance(Duration::from_secs(20));
    assert_eq!(ask("192.0.2.1").await.status, 200);
}

#[tokio::test]
async fn h09_wrong_keys_have_a_tighter_share() {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let lab = Lab::start_at(clock.clone(), |_| {}).await;
    let policy = Some("\"default\";q=10;w=60");
    for left in (0..10).rev() {
        let refused = lab.get("/hot", "guess").await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("ratelimit-policy"), policy);
        let share = refused.header("ratelimit").unwrap();
        assert!(
            share.starts_with(&format!("\"default\";r={left};t=")),
            "{share}"
        );
    }
    let over = lab.get("/hot", "guess").await;
    assert_eq!(over.header("ratelimit-policy"), policy);
    assert_eq!(over.header("ratelimit"), Some("\"default\";r=0;t=60"));
    assert_eq!(
        (over.status, over.code().as_str()),
        (429, "too_many_failures")
    );
    assert_eq!(over.header("retry-after"), Some("6"));
    assert_eq!(
        lab.get("/hot", READER).await.status,
        200,
        "a right key still opens"
    );
    clock.advance(Duration::from_secs(6));
    assert_eq!(lab.get("/hot", "guess").await.status, 401);
}

#[tokio::test]
async fn new_rules_hold_from_the_next_request_on() {
    let lab = Lab::start(|_| {}).await;
    assert_eq!(lab.get("/open", "").await.status, 200);
    let mut rules = (**lab.rules.get()).clone();
    rules.allowed_hosts = vec!["flags.example".to_owned()];
    lab.rules.set(rules);
    assert_eq!(lab.get("/open", "").await.status, 421);
    let named = b"GET /open HTTP/1.1\r\nHost: flags.example:80\r\n\r\n";
    assert_eq!(lab.raw(named).await.status, 200);
}
