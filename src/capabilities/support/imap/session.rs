//! One visit to the mail server: connect, agree on TLS, sign in, look, leave. Every command has a
//! bound in time and bytes, and nothing that changes a mailbox is ever sent: mailboxes are opened
//! by EXAMINE and read by BODY.PEEK, mails are named by UID.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_imap::Client;
use async_imap::imap_proto::{Capability, Response, ResponseCode, Status};
use tokio::io::AsyncWriteExt as _;

use super::config::Security;
use super::fault::{MailFault, said};
use super::sasl::SignIn;
use super::wire::Metered;
use crate::platform::lifecycle::within;
use crate::seams::clock::Clock;
use crate::seams::outbound::{Allow, Limits, Opened, Outbound, Target};

/// Bytes that a whole visit may bring: 64 MiB, a thousand mails of 64 KiB (our own choice).
const MOST_VISIT: u64 = 64 << 20;
/// Bytes that the answer to a small command may have: 64 KiB (our own choice).
pub(super) const MOST_WORDS: u64 = 64 << 10;
/// How long the server may take for its farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// Urgent words of the server that are kept; the rest is passed over (our own choice).
const MOST_ALERTS: usize = 4;

/// Where to, by which door, and until when.
#[derive(Debug)]
pub struct Door {
    /// Other machines.
    pub outbound: Arc<dyn Outbound>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What may be reached.
    pub allow: Allow,
    /// The server.
    pub target: Target,
    /// How TLS is agreed on.
    pub security: Security,
    /// How long one answer may take.
    pub each: Duration,
    /// When the visit must be over, by the clock's uptime.
    pub ends: Duration,
}

impl Door {
    fn host(&self) -> String {
        self.target.to_string()
    }

    /// How long is left of the visit.
    pub fn left(&self) -> Duration {
        self.ends.saturating_sub(self.clock.uptime())
    }

    /// Runs `work` within the bound of one answer and of the visit.
    async fn bounded<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, MailFault>>,
    ) -> Result<T, MailFault> {
        let left = self.left();
        let outcome = within(&*self.clock, left.min(self.each), work).await;
        outcome.unwrap_or_else(|| {
            let host = self.host();
            Err(if left < self.each {
                MailFault::TimeIsUp { host, doing }
            } else {
                let after = self.each;
                MailFault::Late { host, doing, after }
            })
        })
    }

    fn limits(&self) -> Limits {
        Limits::of(self.left().min(self.each))
    }
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    /// What it does, for people.
    pub(super) doing: &'static str,
    /// Its text, without tag and line end.
    pub(super) text: &'a str,
    /// Bytes that its answer may have.
    pub(super) most: u64,
}

/// What is done with the untagged parts of an answer.
pub(super) type Each<'a> = &'a mut (dyn FnMut(&Response<'_>) + Send);
/// What is sent when the server asks for more; `None` breaks the command off.
pub(super) type More<'a> = &'a mut (dyn FnMut(&str) -> Option<String> + Send);

/// How a command ended: with the server's own words.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) is_ok: bool,
    pub(super) said: String,
}

/// A server that has been reached and, after [`Session::enter`], has let us in.
#[derive(Debug)]
pub struct Session {
    client: Client<Metered>,
    door: Door,
    tag: u32,
    capabilities: BTreeSet<String>,
    /// Urgent words of the server.
    alerts: Vec<String>,
    /// Whether the connection is of no use any more.
    is_broken: bool,
}

impl Session {
    /// Reaches the server, agrees on TLS and signs in.
    pub async fn enter(door: Door, sign_in: &SignIn) -> Result<Self, MailFault> {
        let opening = door.outbound.open(
            &door.allow,
            &door.target,
            door.security == Security::Tls,
            door.limits(),
        );
        let opened = opening.await.map_err(MailFault::Unreached)?;
        let contact = opened.contact.clone();
        let mut session = Self::over(opened, door);
        session.greeting().await?;
        if session.door.security == Security::Starttls {
            session.ask_capabilities().await?;
            if !session.can("STARTTLS") {
                let host = session.host();
                return Err(MailFault::Plaintext { host });
            }
            session.ask("agreeing on STARTTLS", "STARTTLS").await?;
            let Self { client, door, .. } = session;
            // Whatever came in plaintext behind the answer is dropped with the reader: it could be
            // anybody's.
            let wire = client.into_inner().into_wire();
            let plain = Opened {
                wire,
                is_secure: false,
                contact,
            };
            let limits = door.limits();
            let secured = door.outbound.secure(plain, &door.target, limits);
            let secured = secured.await.map_err(MailFault::Unreached)?;
            session = Self::over(secured, door);
        }
        session.ask_capabilities().await?;
        let entered = sign_in.with(&mut session).await;
        if let Err(fault) = entered {
            session.leave().await;
            return Err(fault);
        }
        session.ask_capabilities().await?;
        Ok(session)
    }

    fn over(opened: Opened, door: Door) -> Self {
        Self {
            client: Client::new(Metered::new(opened.wire, MOST_VISIT)),
            door,
            tag: 0,
            capabilities: BTreeSet::new(),
            alerts: Vec::new(),
            is_broken: false,
        }
    }

    /// Host and port, as they were asked for.
    pub fn host(&self) -> String {
        self.door.host()
    }

    /// How long is left of the visit.
    pub fn left(&self) -> Duration {
        self.door.left()
    }

    /// Bytes that the visit may still bring.
    pub fn bytes_left(&self) -> u64 {
        self.client.get_ref().left()
    }

    /// Urgent words of the server.
    pub fn alerts(&self) -> &[String] {
        &self.alerts
    }

    /// Whether the server can `what`.
    pub(super) fn can(&self, what: &str) -> bool {
        self.capabilities.contains(what)
    }

    async fn greeting(&mut self) -> Result<(), MailFault> {
        let doing = "waiting for its greeting";
        self.client.get_mut().allow(MOST_WORDS);
        let host = self.host();
        let client = &mut self.client;
        let work = async {
            match client.read_response().await {
                Ok(Some(response)) => Ok(match response.parsed() {
                    Response::Data { status, outcome } => {
                        let words = outcome.information.as_deref().unwrap_or_default();
                        (Some(status_of(status)), said(words))
                    }
                    _ => (None, String::new()),
                }),
                Ok(None) => Err(ended(&host, doing, "")),
                Err(error) => Err(broken(client, &host, doing, &error)),
            }
        };
        let (status, words) = self.door.bounded(doing, work).await?;
        match status {
            Some(Greeted::Well) => Ok(()),
            Some(Greeted::Away) => Err(ended(&host, doing, &words)),
            Some(Greeted::Known) => {
                let found = "as if we were signed in already".to_owned();
                Err(MailFault::Strange { host, doing, found })
            }
            None => {
                let found = "with something that is no greeting".to_owned();
                Err(MailFault::Strange { host, doing, found })
            }
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), MailFault> {
        let mut found = BTreeSet::new();
        let mut each = |response: &Response<'_>| match response {
            Response::Capabilities(list) => take_capabilities(list, &mut found),
            Response::Data { outcome, .. } => {
                if let Some(ResponseCode::Capabilities(list)) = &outcome.code {
                    take_capabilities(list, &mut found);
                }
            }
            _ => {}
        };
        let command = Command {
            doing: "asking what it can",
            text: "CAPABILITY",
            most: MOST_WORDS,
        };
        self.run(command, &mut each).await?;
        self.capabilities = found;
        Ok(())
    }

    /// A small command whose answer says nothing else.
    async fn ask(&mut self, doing: &'static str, text: &str) -> Result<(), MailFault> {
        let most = MOST_WORDS;
        self.run(Command { doing, text, most }, &mut |_| {}).await
    }

    /// Sends `command` and hands the untagged parts of the answer to `each`.
    pub(super) async fn run(
        &mut self,
        command: Command<'_>,
        each: Each<'_>,
    ) -> Result<(), MailFault> {
        let ending = self.talk(command, each, &mut |_| None).await?;
        if ending.is_ok {
            return Ok(());
        }
        Err(MailFault::Refused {
            host: self.host(),
            doing: command.doing,
            said: ending.said,
        })
    }

    /// The same, and answers the server with `more` where it asks; a no is no fault.
    pub(super) async fn talk(
        &mut self,
        command: Command<'_>,
        each: Each<'_>,
        more: More<'_>,
    ) -> Result<Ending, MailFault> {
        self.tag += 1;
        let tag = format!("e{}", self.tag);
        self.client.get_mut().allow(command.most);
        let host = self.host();
        let Self { client, alerts, .. } = self;
        let work = exchange(client, alerts, &host, &tag, command, each, more);
        let outcome = self.door.bounded(command.doing, work).await;
        // After anything but an answer the connection is out of step.
        self.is_broken |= outcome.is_err();
        outcome
    }

    /// Says goodbye; waits for the answer only where the connection is still of use.
    pub async fn leave(mut self) {
        let clock = Arc::clone(&self.door.clock);
        if self.is_broken {
            let words = self.client.get_mut().write_all(b"e0 LOGOUT\r\n");
            let _gone_anyway = within(&*clock, FAREWELL, words).await;
            return;
        }
        self.door.ends = clock.uptime() + FAREWELL;
        let _gone_anyway = self.ask("saying goodbye", "LOGOUT").await;
    }
}

enum Greeted {
    Well,
    Known,
    Away,
}

fn status_of(status: &Status) -> Greeted {
    match status {
        Status::PreAuth => Greeted::Known,
        Status::Ok => Greeted::Well,
        _ => Greeted::Away,
    }
}

fn take_capabilities(list: &[Capability<'_>], found: &mut BTreeSet<String>) {
    found.extend(list.iter().map(|one| match one {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(method) => format!("AUTH={}", method.to_ascii_uppercase()),
        Capability::Atom(word) => word.to_ascii_uppercase(),
    }));
}

async fn exchange(
    client: &mut Client<Metered>,
    alerts: &mut Vec<String>,
    host: &str,
    tag: &str,
    command: Command<'_>,
    each: Each<'_>,
    more: More<'_>,
) -> Result<Ending, MailFault> {
    let doing = command.doing;
    send(client, host, doing, &[tag, " ", command.text, "\r\n"]).await?;
    let mut farewell = String::new();
    loop {
        let response = match client.read_response().await {
            Ok(Some(response)) => response,
            Ok(None) => return Err(ended(host, doing, &farewell)),
            Err(error) => {
                return Err(match broken(client, host, doing, &error) {
                    MailFault::Ended { .. } => ended(host, doing, &farewell),
                    other => other,
                });
            }
        };
        let reply = match response.parsed() {
            Response::Done {
                tag: of,
                status,
                outcome,
            } if of.0 == tag => {
                return Ok(Ending {
                    is_ok: *status == Status::Ok,
                    said: said(outcome.information.as_deref().unwrap_or_default()),
                });
            }
            Response::Continue(outcome) => {
                let asked = outcome.information.as_deref().unwrap_or_default();
                Some(more(asked).unwrap_or_else(|| "*".to_owned()))
            }
            Response::Data { status, outcome } => {
                let words = outcome.information.as_deref().unwrap_or_default();
                if *status == Status::Bye {
                    farewell = said(words);
                }
                if outcome.code == Some(ResponseCode::Alert) && alerts.len() < MOST_ALERTS {
                    alerts.push(said(words));
                }
                each(response.parsed());
                None
            }
            other => {
                each(other);
                None
            }
        };
        if let Some(reply) = reply {
            send(client, host, doing, &[&reply, "\r\n"]).await?;
        }
        // Without it, answers that are there at once would keep this thread from all others.
        tokio::task::coop::consume_budget().await;
    }
}

async fn send(
    client: &mut Client<Metered>,
    host: &str,
    doing: &'static str,
    parts: &[&str],
) -> Result<(), MailFault> {
    let text = zeroize::Zeroizing::new(parts.concat());
    let wire = client.get_mut();
    let sent = async {
        wire.write_all(text.as_bytes()).await?;
        wire.flush().await
    };
    let sent = sent.await;
    sent.map_err(|error| broken(client, host, doing, &error))
}

fn ended(host: &str, doing: &'static str, farewell: &str) -> MailFault {
    MailFault::Ended {
        host: host.to_owned(),
        doing,
        said: farewell.to_owned(),
    }
}

/// What a failed read or write means. The reader's own texts hold what it read: none is told.
fn broken(
    client: &Client<Metered>,
    host: &str,
    doing: &'static str,
    error: &io::Error,
) -> MailFault {
    let host = host.to_owned();
    if let Some(overrun) = client.get_ref().overrun() {
        return MailFault::TooMuch {
            host,
            doing,
            overrun,
        };
    }
    if error.to_string().contains(" during parsing of ") {
        let found = "with something that is not IMAP".to_owned();
        return MailFault::Strange { host, doing, found };
    }
    ended(&host, doing, "")
}
