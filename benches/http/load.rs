//! The load: 64 keep-alive connections on one thread, closed loop. Requests are bytes made
//! beforehand, answers are counted by `Content-Length`; two system calls a request and no
//! allocation, so that the server is what is measured.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Connections at a time.
pub(crate) const CONNECTIONS: usize = 64;
/// Digits of the number that makes ids distinct.
pub(crate) const DIGITS: usize = 16;

/// Loads so far: each numbers its ids in a range of its own, so that ids never meet.
static LOADS: AtomicU64 = AtomicU64::new(1);

/// One request, ready to be sent.
#[derive(Clone)]
pub(crate) struct Prepared {
    bytes: Vec<u8>,
    /// Where numbers stand that must differ each time.
    slots: Vec<usize>,
}

impl Prepared {
    /// `text` with each run of [`DIGITS`] `#` taken for a number.
    pub(crate) fn new(text: &str) -> Self {
        let mark = "#".repeat(DIGITS);
        let slots = text.match_indices(&mark);
        Self {
            slots: slots.map(|(at, _)| at).collect(),
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn number(&mut self, next: &mut u64) {
        for at in &self.slots {
            let mut rest = *next;
            for byte in self.bytes[*at..*at + DIGITS].iter_mut().rev() {
                *byte = b"0123456789abcdef"[(rest % 16) as usize];
                rest /= 16;
            }
            *next += 1;
        }
    }
}

/// What a round found.
pub(crate) struct Round {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Median time to the answer.
    pub(crate) p50: Duration,
    /// 99th percentile of it.
    pub(crate) p99: Duration,
    /// Answers that were not 200.
    pub(crate) refused: u64,
    /// Answers in all.
    pub(crate) answers: u64,
}

struct Connection {
    stream: TcpStream,
    requests: Vec<Prepared>,
    turn: usize,
    sent: Instant,
    unsent: usize,
    buffer: Vec<u8>,
    filled: usize,
}

/// Times in microseconds, counted.
struct Times(Vec<u32>);

impl Times {
    fn note(&mut self, took: Duration) {
        let place = (took.as_micros() as usize).min(self.0.len() - 1);
        self.0[place] += 1;
    }

    fn percentile(&self, share: f64) -> Duration {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * share) as u64;
        let mut seen = 0;
        let found = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen > wanted
        });
        Duration::from_micros(found.unwrap_or(0) as u64)
    }
}

/// Connections to one server.
pub(crate) struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    next: u64,
}

impl Load {
    /// Connects; `requests` gives what connection N sends in turn.
    pub(crate) fn connect(address: &str, requests: impl Fn(usize) -> Vec<Prepared>) -> Self {
        let poll = Poll::new().unwrap();
        let connections = (0..CONNECTIONS).map(|number| {
            let mut stream = TcpStream::connect(address.parse().unwrap()).unwrap();
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(number), both)
                .unwrap();
            Connection {
                stream,
                requests: requests(number),
                turn: 0,
                sent: Instant::now(),
                unsent: 0,
                buffer: vec![0; 64 * 1024],
                filled: 0,
            }
        });
        let connections = connections.collect();
        let load = Self {
            poll,
            connections,
            next: LOADS.fetch_add(1, Ordering::Relaxed) << 40,
        };
        // Time for the connections to stand.
        std::thread::sleep(Duration::from_millis(50));
        load
    }

    /// Asks for `span` and waits for the last answers.
    pub(crate) fn run(&mut self, span: Duration) -> Round {
        let mut times = Times(vec![0; 1_000_000]);
        let (mut answers, mut refused) = (0, 0);
        let began = Instant::now();
        for connection in &mut self.connections {
            connection.stream.set_nodelay(true).unwrap();
            connection.send(&mut self.next);
        }
        let mut open = CONNECTIONS;
        let mut events = Events::with_capacity(CONNECTIONS);
        while open > 0 {
            self.poll.poll(&mut events, None).unwrap();
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                connection.push();
                let Some(status) = connection.pull() else {
                    continue;
                };
                let now = Instant::now();
                times.note(now - connection.sent);
                answers += 1;
                refused += u64::from(status != *b"200");
                if now - began < span {
                    connection.send(&mut self.next);
                } else {
                    open -= 1;
                }
            }
        }
        Round {
            rate: answers as f64 / began.elapsed().as_secs_f64(),
            p50: times.percentile(0.50),
            p99: times.percentile(0.99),
            refused,
            answers,
        }
    }
}

impl Connection {
    fn send(&mut self, next: &mut u64) {
        self.turn = (self.turn + 1) % self.requests.len();
        self.requests[self.turn].number(next);
        self.unsent = self.requests[self.turn].bytes.len();
        self.sent = Instant::now();
        self.push();
    }

    /// Sends what is left of the request.
    fn push(&mut self) {
        while self.unsent > 0 {
            let bytes = &self.requests[self.turn].bytes;
            match self.stream.write(&bytes[bytes.len() - self.unsent..]) {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server took no more: {error}"),
            }
        }
    }

    /// Reads what there is; the three digits of the status once the answer is whole.
    fn pull(&mut self) -> Option<[u8; 3]> {
        loop {
            let space = self.buffer.len() - self.filled;
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(count) => {
                    self.filled += count;
                    // A read that was not filled has emptied the socket: the next bytes wake us.
                    if count < space {
                        break;
                    }
                    self.buffer.resize(self.buffer.len() * 2, 0);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the server gave no answer: {error}"),
            }
        }
        let whole = whole_answer(&self.buffer[..self.filled])?;
        assert!(whole == self.filled, "more was answered than was asked for");
        self.filled = 0;
        self.buffer[9..12].try_into().ok()
    }
}

/// Bytes of the answer at the start of `bytes`, if it is all there.
fn whole_answer(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut length = 0;
    for line in bytes[..head].split(|byte| *byte == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            let digits = line[15..].trim_ascii();
            length = digits
                .iter()
                .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        }
    }
    (bytes.len() >= head + length).then_some(head + length)
}
