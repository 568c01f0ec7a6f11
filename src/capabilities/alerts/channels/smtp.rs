//! Mail by a mail server, spoken by lettre over a connection of ours: TLS from the first byte, or
//! STARTTLS before anything is told. In the clear only to a server on this machine.

use std::io::Cursor;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    ReadBuf,
};

use super::mail::{AUTOMATIC, Letter, domain};
use super::outcome::Outcome;
use super::rules::{Kind, Mail, Safety};
use super::{Keys, Sender, Step, unreached};
use crate::base::secret::Secret;
use crate::capabilities::alerts::model::Notice;
use crate::platform::lifecycle::within;
use crate::seams::outbound::{Host, Limits, Opened, Target, Wire};

/// How long a whole delivery may take: servers that look at mail closely take their time.
const DELIVERY: Duration = Duration::from_secs(30);
/// Bytes of the server's talk before TLS at most.
const MOST_TALK: u64 = 16 * 1024;

/// A connection as lettre takes it.
#[derive(Debug)]
struct Stream {
    wire: Box<dyn Wire>,
    /// What is read before the wire is.
    first: Cursor<Vec<u8>>,
    address: SocketAddr,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        let first = Pin::new(&mut self.first).poll_read(cx, into);
        if first.is_ready() && into.filled().len() > before {
            return first;
        }
        Pin::new(&mut self.wire).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// What is sent where.
struct Delivery {
    target: Target,
    /// Whether a secret names the server.
    is_named: bool,
    safety: Safety,
    user: Option<Credentials>,
    envelope: Envelope,
    letter: Vec<u8>,
    from_domain: String,
}

impl Sender {
    /// Mails by a mail server.
    pub(super) async fn smtp(
        &self,
        kind: &Kind,
        notice: &Notice,
        keys: &mut Keys<'_>,
    ) -> Step<Outcome> {
        let Kind::Smtp {
            host,
            host_secret,
            port,
            safety,
            user_secret,
            password_secret,
            mail,
        } = kind
        else {
            return Ok(Outcome::refused("not a mail server", ""));
        };
        let is_named = host.is_none();
        let host = if let Some(host) = host {
            host.clone()
        } else {
            let named = keys.need(host_secret)?;
            Host::parse(named.reveal().trim())
                .map_err(|_fault| Outcome::ours(format!("{host_secret} is no host"), ""))?
        };
        let user = keys.may(user_secret)?;
        let password = keys.may(password_secret)?;
        let (envelope, letter, id) = composed(mail, notice, &mail.recipients(keys)?)?;
        let delivery = Delivery {
            target: Target { host, port: *port },
            is_named,
            safety: *safety,
            user: user.zip(password).map(|(user, password)| {
                let text = |secret: &Secret| secret.reveal().trim().to_owned();
                Credentials::new(text(&user), text(&password))
            }),
            envelope,
            letter,
            from_domain: domain(&mail.from).to_owned(),
        };
        let delivered = within(&*self.clock, DELIVERY, self.deliver(delivery)).await;
        let late = || {
            let text = format!("the mail server took longer than {} s", DELIVERY.as_secs());
            Err(Outcome::again(text))
        };
        delivered.unwrap_or_else(late)?;
        Ok(Outcome::Sent { reference: id })
    }

    async fn deliver(&self, delivery: Delivery) -> Step<()> {
        let Delivery { target, safety, .. } = &delivery;
        let mut allow = std::sync::Arc::clone(&self.daemon.get().rules.outbound);
        if delivery.is_named {
            allow = std::sync::Arc::new(allow.and(target));
        }
        let limits = Limits::DEFAULT;
        let is_implicit = *safety == Safety::Implicit;
        let opened = self.outbound.open(&allow, target, is_implicit, limits);
        let mut opened = opened.await.map_err(|error| unreached(&error))?;
        let mut first = Vec::new();
        match safety {
            Safety::Implicit => {}
            Safety::Starttls => {
                opened = self.starttls(opened, &delivery).await?;
                // lettre waits for a greeting, which came before TLS.
                first = b"220 ready\r\n".to_vec();
            }
            Safety::None if opened.contact.address.ip().to_canonical().is_loopback() => {}
            Safety::None => {
                let text = format!("`{target}` is not on this machine, and `tls` is `none`");
                let hint = "use `starttls` or `implicit`: mail tells what is wrong here";
                return Err(Outcome::ours(text, hint));
            }
        }
        let stream = Stream {
            address: opened.contact.address,
            wire: opened.wire,
            first: Cursor::new(first),
        };
        let hello = ClientId::Domain(delivery.from_domain.clone());
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
        let mut server = connected.await.map_err(|error| judged(&error))?;
        if let Some(user) = &delivery.user {
            let signed_in = server.auth(DEFAULT_MECHANISMS, user).await;
            signed_in.map_err(|error| judged(&error))?;
        }
        let sent = server.send(&delivery.envelope, &delivery.letter).await;
        sent.map_err(|error| judged(&error))?;
        // The server has it; how it says goodbye does not matter.
        drop(server.quit().await);
        Ok(())
    }

    /// Agrees on TLS over a connection in the clear. Nothing of the notice is told before.
    async fn starttls(&self, opened: Opened, delivery: &Delivery) -> Step<Opened> {
        let Opened {
            wire,
            is_secure,
            contact,
        } = opened;
        let mut talk = BufReader::new(wire);
        expected(&mut talk, "220").await?;
        let hello = format!("EHLO {}\r\n", delivery.from_domain);
        said(&mut talk, &hello).await?;
        let offers = expected(&mut talk, "250").await?;
        if !offers.to_ascii_uppercase().contains("STARTTLS") {
            let text = "the mail server offers no STARTTLS";
            let hint = "use port 465 with `\"tls\": \"implicit\"`";
            return Err(Outcome::ours(text, hint));
        }
        said(&mut talk, "STARTTLS\r\n").await?;
        expected(&mut talk, "220").await?;
        // Bytes that came before TLS could be anyone's: they may not be read as the server's.
        if !talk.buffer().is_empty() {
            let text = "the mail server went on talking before TLS was agreed on";
            return Err(Outcome::again(text));
        }
        let opened = Opened {
            wire: talk.into_inner(),
            is_secure,
            contact,
        };
        let secured = self
            .outbound
            .secure(opened, &delivery.target, Limits::DEFAULT);
        secured.await.map_err(|error| unreached(&error))
    }
}

async fn said(talk: &mut BufReader<Box<dyn Wire>>, line: &str) -> Step<()> {
    let written = talk.get_mut().write_all(line.as_bytes()).await;
    written.map_err(|error| Outcome::again(format!("the mail server was lost: {error}")))
}

/// Reads an answer, all its lines, which must have this code.
async fn expected(talk: &mut BufReader<Box<dyn Wire>>, code: &str) -> Step<String> {
    let mut all = String::new();
    loop {
        let mut line = Vec::new();
        let read = talk.take(MOST_TALK).read_until(b'\n', &mut line).await;
        read.map_err(|error| Outcome::again(format!("the mail server was lost: {error}")))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_whole = line.ends_with('\n');
        all.push_str(&line);
        if !is_whole || all.len() as u64 > MOST_TALK || !line.starts_with(code) {
            let text = format!("the mail server said `{}`", super::text::calm(&all));
            return Err(if line.starts_with('5') {
                Outcome::refused(text, "")
            } else {
                Outcome::again(text)
            });
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(all);
        }
    }
}

/// What an error of the server or of the connection means: 5xx stays, all else may pass.
fn judged(error: &lettre::transport::smtp::Error) -> Outcome {
    let mut text = format!("mail was not taken: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    let text = super::text::calm(&text);
    if error.is_permanent() {
        let hint = "see whether user, password and addresses are right";
        return Outcome::refused(text, hint);
    }
    if error.is_client() {
        return Outcome::ours(text, "see whether the server offers a way to sign in");
    }
    Outcome::again(text)
}

/// The mail as it goes over the wire, who it goes from and to, and its Message-ID.
fn composed(mail: &Mail, notice: &Notice, to: &[String]) -> Step<(Envelope, Vec<u8>, String)> {
    let letter = Letter::of(notice, domain(&mail.from));
    let unfit = |what: &str| {
        let text = format!("{what} holds no mail address");
        Outcome::ours(text, "write it as `alerts@example.com`")
    };
    let from: Mailbox = mail.from.parse().map_err(|_fault| unfit("`from`"))?;
    let (thread, id) = (format!("<{}>", letter.thread), format!("<{}>", letter.id));
    let mut builder = lettre::Message::builder()
        .from(from)
        .date(std::time::SystemTime::from(notice.at))
        .message_id(Some(id.clone()))
        .in_reply_to(thread.clone())
        .references(thread)
        .subject(&letter.subject);
    for one in to {
        let one: Mailbox = one.parse().map_err(|_fault| unfit(&mail.to_secret))?;
        builder = builder.to(one);
    }
    for (name, value) in AUTOMATIC {
        let name = HeaderName::new_from_ascii_str(name);
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    let parts = MultiPart::alternative_plain_html(letter.text, letter.html);
    let message = builder
        .multipart(parts)
        .map_err(|error| Outcome::ours(format!("no mail can be made: {error}"), ""))?;
    let envelope = message.envelope().clone();
    Ok((envelope, message.formatted(), id))
}
