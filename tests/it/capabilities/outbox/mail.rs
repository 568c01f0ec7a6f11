//! Mail by a mail server: what is said over the wire, and that nothing is told in the clear.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use echopilot::base::secret::Secret;
use echopilot::platform::secrets::Secrets;
use echopilot::seams::outbound::{
    Allow, Call, Contact, Found, Host, Limits, Opened, Outbound, OutboundError, Question, Request,
    Response, Target, Timings,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::*;
use crate::world::noon;

/// A mail server behind every connection: what it heard, and what it says to some commands.
#[derive(Debug, Default)]
struct Server {
    heard: Mutex<Vec<String>>,
    says: Mutex<Vec<(&'static str, &'static str)>>,
    /// What it sends behind its answer to STARTTLS, in the clear.
    blurts: Mutex<&'static str>,
}

/// The door to it.
#[derive(Debug)]
struct Door {
    server: Arc<Server>,
    address: IpAddr,
}

impl Server {
    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }

    fn says(&self, rows: &[(&'static str, &'static str)]) {
        *self.says.lock().unwrap() = rows.to_vec();
    }

    /// Serves one connection; after STARTTLS the same wire goes on, as TLS would.
    async fn serve(self: Arc<Self>, far: DuplexStream) {
        let mut far = BufReader::new(far);
        far.write_all(b"220 mail.example.com ESMTP\r\n").await.ok();
        let mut in_mail = false;
        loop {
            let mut line = String::new();
            if far.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            self.heard.lock().unwrap().push(line.clone());
            if in_mail && line != "." {
                continue;
            }
            let verb = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            let said = self.says.lock().unwrap().clone();
            let told = said.iter().find(|(of, _)| *of == verb);
            let answer = match (told, verb.as_str()) {
                (Some((_, says)), _) => (*says).to_owned(),
                (None, "EHLO") => "250-mail.example.com\r\n250-STARTTLS\r\n250-8BITMIME\r\n\
                                   250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN"
                    .to_owned(),
                (None, "STARTTLS") => format!("220 go on\r\n{}", self.blurts.lock().unwrap()),
                (None, "AUTH") => "235 welcome".to_owned(),
                (None, "DATA") => "354 go on".to_owned(),
                (None, "QUIT") => "221 bye".to_owned(),
                (None, _) => "250 ok".to_owned(),
            };
            in_mail = verb == "DATA" && answer.starts_with('3');
            let answer = format!("{}\r\n", answer.trim_end());
            if far.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl Outbound for Door {
    fn open<'a>(
        &'a self,
        _allow: &'a Allow,
        to: &'a Target,
        secure: bool,
        _limits: Limits,
    ) -> Call<'a, Opened> {
        Box::pin(async move {
            let how = if secure { "(TLS)" } else { "(plain)" };
            self.server
                .heard
                .lock()
                .unwrap()
                .push(format!("{how} {to}"));
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(Arc::clone(&self.server).serve(far));
            Ok(Opened {
                wire: Box::new(near),
                is_secure: secure,
                contact: Contact {
                    address: SocketAddr::from((self.address, 25)),
                    timings: Timings::default(),
                    cert: None,
                },
            })
        })
    }

    fn secure<'a>(&'a self, opened: Opened, _to: &'a Target, _: Limits) -> Call<'a, Opened> {
        Box::pin(async move {
            self.server.heard.lock().unwrap().push("(TLS)".into());
            Ok(Opened {
                is_secure: true,
                ..opened
            })
        })
    }

    fn http<'a>(&'a self, _: &'a Allow, request: &'a Request) -> Call<'a, Response> {
        let host = request.url.target().to_string();
        Box::pin(async move { Err(nothing(host)) })
    }

    fn tcp<'a>(&'a self, _: &'a Allow, to: &'a Target, _: Limits) -> Call<'a, Contact> {
        Box::pin(async move { Err(nothing(to.to_string())) })
    }

    fn tls<'a>(
        &'a self,
        _: &'a Allow,
        to: &'a Target,
        _: Option<&'a Host>,
        _: Limits,
    ) -> Call<'a, Contact> {
        Box::pin(async move { Err(nothing(to.to_string())) })
    }

    fn dns<'a>(&'a self, _: &'a Allow, question: &'a Question, _: Limits) -> Call<'a, Found> {
        Box::pin(async move { Err(nothing(question.name.clone())) })
    }
}

fn nothing(host: String) -> OutboundError {
    OutboundError::Answer {
        host,
        found: "there is only mail here".into(),
    }
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    for (name, secret) in [
        ("SMTP_HOST", "mail.example.com"),
        ("SMTP_USER", "alerts"),
        ("SMTP_PASS", "planted-mail-password"),
        ("RECEIVING_EMAIL", "owner@example.com"),
    ] {
        secrets.give(name, Secret::new(secret.into()));
    }
    secrets
}

fn bench(smtp: &Value, address: IpAddr) -> (Bench, Arc<Server>) {
    let server = Arc::new(Server::default());
    let door = Arc::new(Door {
        server: Arc::clone(&server),
        address,
    });
    let mut smtp = smtp.clone();
    smtp["from"] = "EchoPilot <alerts@example.com>".into();
    let text = json!({ "mail": { "smtp": smtp } });
    (Bench::through(&text, secrets(), Some(door)), server)
}

const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

#[test]
fn nothing_is_told_before_tls_and_the_mail_says_that_a_machine_wrote_it() {
    let (bench, server) = bench(&json!({}), FAR);
    bench.queue(vec![firing("n1", "mail", "web", noon())]);
    assert_eq!(bench.told(), ["queued n1", "sent n1"], "{}", server.heard());
    let heard = server.heard();
    let (before, after) = heard.split_once("(TLS)").unwrap();
    assert_eq!(
        before,
        "(plain) mail.example.com:587\nEHLO example.com\nSTARTTLS\n"
    );
    for text in [
        "AUTH ",
        "MAIL FROM:<alerts@example.com>",
        "RCPT TO:<owner@example.com>",
        "Message-ID: <notice.",
        "References: <group.",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
    ] {
        assert!(after.contains(text), "{text} in {after}");
    }
    let id = |heard: &str| {
        let line = heard.lines().find(|line| line.starts_with("Message-ID"));
        line.unwrap().to_owned()
    };
    server.heard.lock().unwrap().clear();
    server.says(&[("RCPT", "451 later")]);
    bench.queue(vec![firing("n2", "mail", "web", noon())]);
    server.says(&[]);
    bench.advance(3 * SECOND);
    let second = server.heard();
    assert_ne!(id(&heard), id(&second), "another notice is another mail");
    let of = |heard: &str| {
        let line = heard.lines().find(|line| line.starts_with("References"));
        line.unwrap().to_owned()
    };
    assert_eq!(of(&heard), of(&second), "of the same thread");
}

#[test]
fn the_same_notice_has_the_same_message_id_in_every_try() {
    let (mut bench, server) = bench(&json!({ "port": 465 }), FAR);
    server.says(&[(".", "451 busy")]);
    bench.queue(vec![firing("n1", "mail", "web", noon())]);
    bench.kill();
    server.says(&[]);
    bench.advance(3 * SECOND);
    assert_eq!(bench.told(), ["queued n1", "failed n1", "sent n1"]);
    let heard = server.heard();
    assert!(heard.starts_with("(TLS) mail.example.com:465"), "{heard}");
    let mut ids: Vec<&str> = heard
        .lines()
        .filter(|line| line.starts_with("Message-ID"))
        .collect();
    assert_eq!(ids.len(), 2);
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[test]
fn a_five_is_final_and_a_four_is_not() {
    for (says, is_final) in [
        (("RCPT", "550 no such user"), true),
        (("RCPT", "450 greylisted"), false),
        (("AUTH", "535 bad password planted-mail-password"), true),
        (("MAIL", "421 shutting down"), false),
        (("EHLO", "554 go away"), true),
    ] {
        let (bench, server) = bench(&json!({}), FAR);
        server.says(&[says]);
        bench.queue(vec![firing("n1", "mail", "web", noon())]);
        let kind = if is_final {
            "notice.dead"
        } else {
            "notice.failed"
        };
        let lines = bench.lines_of(kind);
        assert_eq!(lines.len(), 1, "{says:?}: {:?}", bench.lines());
        let found = lines[0]["found"].as_str().unwrap();
        assert!(!found.contains("planted-mail-password"), "{found}");
    }
}

#[test]
fn no_recipient_is_named_in_what_is_told_of_a_failure() {
    let (_, server) = bench(&json!({}), FAR);
    server.says(&[("RCPT", "550 <second@example.com> is unknown")]);
    let door = Arc::new(Door {
        server,
        address: FAR,
    });
    let mut secrets = secrets();
    let both = "owner@example.com, second@example.com";
    secrets.give("RECEIVING_EMAIL", Secret::new(both.into()));
    let text = json!({ "mail": { "smtp": { "from": "alerts@example.com" } } });
    let bench = Bench::through(&text, secrets, Some(door));
    bench.queue(vec![firing("n1", "mail", "web", noon())]);
    let found = bench.lines_of("notice.dead")[0]["found"].to_string();
    assert!(found.contains("***"), "{found}");
    assert!(!found.contains("second@"), "{found}");
}

#[test]
fn a_server_that_never_stops_talking_is_hung_up_on() {
    let (bench, server) = bench(&json!({}), FAR);
    let talk = "250-8BITMIME\r\n".repeat(100_000) + "250 end";
    server.says(&[("MAIL", Box::leak(talk.into_boxed_str()))]);
    bench.queue(vec![firing("n1", "mail", "web", noon())]);
    for _ in 0..20 {
        bench.turn();
    }
    let found = bench.lines_of("notice.failed")[0]["found"].to_string();
    assert!(found.contains("too large"), "{found}");
}

#[test]
fn in_the_clear_only_to_this_machine() {
    let plain = json!({ "tls": "none", "port": 25 });
    let (far, server) = bench(&plain, FAR);
    far.queue(vec![firing("n1", "mail", "web", noon())]);
    assert!(!server.heard().contains("EHLO"), "{}", server.heard());
    let found = far.lines_of("notice.failed")[0]["found"].clone();
    assert!(found.as_str().unwrap().contains("is not on this machine"));
    let (near, server) = bench(&plain, IpAddr::V4(Ipv4Addr::LOCALHOST));
    near.queue(vec![firing("n1", "mail", "web", noon())]);
    assert_eq!(near.told(), ["queued n1", "sent n1"], "{}", server.heard());
}

#[test]
fn a_server_without_tls_or_one_that_talks_ahead_is_told_nothing() {
    for blurts in ["", "250 injected\r\n"] {
        let (bench, server) = bench(&json!({}), FAR);
        *server.blurts.lock().unwrap() = blurts;
        if blurts.is_empty() {
            server.says(&[("EHLO", "250 mail.example.com")]);
        }
        bench.queue(vec![firing("n1", "mail", "web", noon())]);
        assert_eq!(bench.lines_of("notice.failed").len(), 1);
        let heard = server.heard();
        assert!(
            !heard.contains("MAIL") && !heard.contains("AUTH "),
            "{heard}"
        );
    }
}
