//! The connection to the mail server as the protocol's reader sees it: every byte is counted and
//! looked at before anything is kept of it. What announces too much is refused at the announcement.
//!
//! The reader behind it keeps a whole literal in memory, and follows brackets by recursion: so
//! literals, lines and brackets are bounded here, before it sees them.

use std::fmt::{self, Display};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::seams::outbound::Wire;

/// Bytes of one literal at most: 1 MiB, rule H13 of the reliability notes. We ask for 64 KiB of a
/// mail; a server that ignores the bound may send a mail of that size whole.
const MOST_LITERAL: u64 = 1 << 20;
/// Bytes of a line at most, literals not counted: the numbers of 20,000 mails take 220 KB (our own
/// choice).
const MOST_LINE: u64 = 256 << 10;
/// Brackets within brackets at most: what we ask for has two (our own choice).
const MOST_DEPTH: u32 = 32;

/// What was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// A literal of so many bytes is announced.
    Literal(u64),
    /// A line does not end.
    Line,
    /// Brackets within brackets.
    Depth,
    /// More than the command may bring, in bytes.
    Command(u64),
    /// More than the whole session may bring, in bytes.
    Session(u64),
}

impl Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(bytes) => write!(
                f,
                "announced {bytes} bytes in one piece, at most {MOST_LITERAL} are taken"
            ),
            Self::Line => write!(f, "sent a line of more than {MOST_LINE} bytes"),
            Self::Depth => write!(f, "nested more than {MOST_DEPTH} brackets"),
            Self::Command(most) => write!(
                f,
                "sent more than the {most} bytes that the answer may have"
            ),
            Self::Session(most) => write!(f, "sent more than the {most} bytes of a whole visit"),
        }
    }
}

impl std::error::Error for Overrun {}

/// Where in the protocol's text the bytes are.
#[derive(Debug, Default)]
struct Framing {
    /// Bytes of a literal that are still to come.
    literal: u64,
    /// Bytes of the line so far.
    line: u64,
    depth: u32,
    quoted: bool,
    escaped: bool,
    announced: Announced,
}

/// How much of `{123}` CR LF has been seen.
#[derive(Debug, Default, Clone, Copy)]
enum Announced {
    #[default]
    Nothing,
    Digits(u64),
    Closed(u64),
}

impl Framing {
    fn pass(&mut self, bytes: &[u8]) -> Result<(), Overrun> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.literal > 0 {
                let within = usize::try_from(self.literal).unwrap_or(usize::MAX);
                let (inside, after) = rest.split_at(within.min(rest.len()));
                self.literal -= inside.len() as u64;
                rest = after;
                continue;
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            self.line += line.len() as u64;
            if self.line > MOST_LINE {
                return Err(Overrun::Line);
            }
            line.iter().try_for_each(|byte| self.step(*byte))?;
            rest = after;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Overrun> {
        self.announced = match (self.announced, byte) {
            (_, b'{') => Announced::Digits(0),
            (Announced::Digits(sum), b'0'..=b'9') => {
                let sum = sum
                    .saturating_mul(10)
                    .saturating_add(u64::from(byte - b'0'));
                Announced::Digits(sum)
            }
            (Announced::Digits(sum), b'}') | (Announced::Closed(sum), b'\r') => {
                Announced::Closed(sum)
            }
            (Announced::Closed(sum), b'\n') => {
                if sum > MOST_LITERAL {
                    return Err(Overrun::Literal(sum));
                }
                // The line goes on behind the literal, with the brackets that are open.
                (self.literal, self.quoted, self.escaped) = (sum, false, false);
                self.announced = Announced::Nothing;
                return Ok(());
            }
            _ => Announced::Nothing,
        };
        match byte {
            b'\n' => (self.line, self.depth, self.quoted, self.escaped) = (0, 0, false, false),
            _ if self.escaped => self.escaped = false,
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            b'(' if !self.quoted => {
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return Err(Overrun::Depth);
                }
            }
            b')' if !self.quoted => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

/// A counted connection.
#[derive(Debug)]
pub struct Metered {
    wire: Box<dyn Wire>,
    framing: Framing,
    session: u64,
    session_most: u64,
    command: u64,
    command_most: u64,
    overrun: Option<Overrun>,
}

impl Metered {
    /// `wire`, from which at most `most` bytes are taken in all.
    pub fn new(wire: Box<dyn Wire>, most: u64) -> Self {
        Self {
            wire,
            framing: Framing::default(),
            session: 0,
            session_most: most,
            command: 0,
            command_most: 0,
            overrun: None,
        }
    }

    /// The next command may bring `most` bytes.
    pub fn allow(&mut self, most: u64) {
        (self.command, self.command_most) = (0, most);
    }

    /// Bytes that the session may still bring.
    pub fn left(&self) -> u64 {
        self.session_most.saturating_sub(self.session)
    }

    /// What was too much, where something was.
    pub fn overrun(&self) -> Option<Overrun> {
        self.overrun
    }

    /// The connection itself.
    pub fn into_wire(self) -> Box<dyn Wire> {
        self.wire
    }

    fn check(&mut self, fresh: &[u8]) -> Result<(), Overrun> {
        self.session += fresh.len() as u64;
        self.command += fresh.len() as u64;
        self.framing.pass(fresh)?;
        if self.command > self.command_most {
            return Err(Overrun::Command(self.command_most));
        }
        if self.session > self.session_most {
            return Err(Overrun::Session(self.session_most));
        }
        Ok(())
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(overrun) = this.overrun {
            return Poll::Ready(Err(io::Error::other(overrun)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.wire).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Err(overrun) = this.check(fresh) {
            this.overrun = Some(overrun);
            buf.set_filled(before);
            return Poll::Ready(Err(io::Error::other(overrun)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `parts`, read one after the other.
    fn passed(parts: &[&[u8]]) -> Result<(), Overrun> {
        let mut framing = Framing::default();
        parts.iter().try_for_each(|part| framing.pass(part))
    }

    #[test]
    fn announcements_are_refused_wherever_the_bytes_are_split() {
        let text = b"* 1 FETCH (BODY[] {2147483648}\r\n";
        for at in 0..text.len() {
            let (one, two) = text.split_at(at);
            assert_eq!(passed(&[one, two]), Err(Overrun::Literal(1 << 31)), "{at}");
        }
        let huge = b"{99999999999999999999999999}\r\n";
        assert_eq!(passed(&[huge]), Err(Overrun::Literal(u64::MAX)));
        let whole = b"* 1 FETCH (BODY[] {5}\r\n((({9 FLAGS ())\r\n* OK {x}\r\n";
        assert_eq!(passed(&[whole]), Ok(()));
    }

    #[test]
    fn lines_and_brackets_have_ends() {
        let dots = vec![b'.'; 100 << 10];
        assert_eq!(passed(&[dots.as_slice(); 6]), Err(Overrun::Line));
        assert_eq!(passed(&[[b'('; 33].as_slice()]), Err(Overrun::Depth));
        assert_eq!(
            passed(&[b"\"", &[b'('; 99], b"\\\"((\"\r\n", &[b'('; 32]]),
            Ok(())
        );
    }
}
