//! Without a mailbox, without TLS, without a good password: what is told, and what is never sent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::json;

use super::lab::{Dovecot, Papers, daemon, scripted};
use crate::daemon::Daemon;

#[test]
fn without_a_mailbox_a_run_is_dry_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let report = daemon.post("/api/support/digest", "{}").expect(200).json();
    assert_eq!(
        (&report["ok"], &report["dry_run"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&report["count"], &report["reason"]),
        (&json!(1), &json!("no IMAP_HOST"))
    );
    let item = &report["items"][0];
    assert_eq!(item["sample"], true);
    for member in ["from", "subject", "date", "message_id"] {
        assert!(item[member].is_string(), "{item}");
    }
    let file = std::fs::read(home.path().join("logs/support_digest.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["items"], report["items"]);
    // Nothing of it is remembered.
    assert_eq!(daemon.get("/api/support/mails").json()["total"], 0);
    let ran = daemon
        .post("/api/tasks/support-inbox/run?wait=30s", "")
        .json();
    let record = ran.get("record").unwrap_or(&ran);
    assert_eq!(record["outcome"], "dry_run", "{ran}");
    assert_eq!(record["reason"], "no IMAP_HOST", "{ran}");
}

#[test]
fn a_password_is_never_sent_in_plaintext() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let greeting = b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n";
        stream.get_mut().write_all(greeting).unwrap();
        let mut line = String::new();
        while matches!(stream.read_line(&mut line), Ok(1..)) {
            let tag = line.split(' ').next().unwrap_or_default();
            let answer = format!("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK\r\n");
            let _gone = stream.get_mut().write_all(answer.as_bytes());
            say.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let (papers, home) = (Papers::new(), tempfile::tempdir().unwrap());
    let config = json!({ "connection": { "security": "starttls" } });
    let daemon = daemon(home.path(), &papers, port, &config);
    let told = daemon.post("/api/support/digest", "{}").expect(502).json();
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("offers no TLS"), "{told}");
    assert_eq!(told["fault"], "plaintext");
    let all: Vec<String> = heard.iter().collect();
    assert!(
        all.iter()
            .all(|line| !line.contains("LOGIN") && !line.contains("AUTH")),
        "{all:?}"
    );
}

#[test]
fn a_certificate_that_does_not_hold_and_a_port_without_tls_are_told() {
    let (papers, others) = (Papers::new(), Papers::new());
    let port = scripted(&others, vec![|talk| talk.wait_for_end()]);
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path(), &papers, port, &json!({}));
    let told = daemon.post("/api/support/digest", "{}").expect(502).json();
    assert_eq!(told["fault"], "cert_self_signed", "{told}");
    assert!(
        told["hint"].as_str().unwrap().contains("SSL_CERT_FILE"),
        "{told}"
    );
    drop(daemon);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _gone = stream.write_all(b"* OK plain words\r\n");
    });
    let home = tempfile::tempdir().unwrap();
    let daemon = super::lab::daemon(home.path(), &papers, port, &json!({}));
    let told = daemon.post("/api/support/digest", "{}").expect(502).json();
    assert_eq!(told["fault"], "tls_protocol", "{told}");
}

#[test]
fn a_refused_password_is_told_once_and_tried_less_often() {
    let papers = Papers::new();
    let dovecot = Dovecot::start(&papers, "http://127.0.0.1:1/");
    let home = tempfile::tempdir().unwrap();
    let daemon =
        super::lab::daemon_with(home.path(), &papers, dovecot.tls, &json!({}), |command| {
            command.env("IMAP_PASS", "wrong");
        });
    for _ in 0..2 {
        let told = daemon.post("/api/support/digest", "{}").expect(502).json();
        assert_eq!(told["fault"], "sign_in", "{told}");
    }
    // An alert holds from when its line is on the medium; the digest does not wait for that.
    let alerts = super::lab::wait_for("the alert", || {
        let alerts = daemon.get("/api/alerts").json();
        (!alerts["alerts"].as_array()?.is_empty()).then_some(alerts)
    });
    let ours: Vec<_> = alerts["alerts"].as_array().unwrap().iter().collect();
    let ours = ours.iter().filter(|alert| alert["key"] == "support:auth");
    let ours: Vec<_> = ours.collect();
    assert_eq!(ours.len(), 1, "{alerts}");
    assert_eq!(ours[0]["severity"], "error");
    drop(daemon);
    // With the right one all is well again.
    let daemon = super::lab::daemon(home.path(), &papers, dovecot.tls, &json!({}));
    daemon.post("/api/support/digest", "{}").expect(200);
    super::lab::wait_for("the end of the alert", || {
        let alerts = daemon.get("/api/alerts").json().to_string();
        (!alerts.contains("support:auth")).then_some(())
    });
}
