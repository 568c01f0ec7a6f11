//! A plain client of server-sent events, as far as these tests need one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::daemon::{DASH, PATIENCE};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: Option<u64>,
    pub data: String,
}

/// A connection that follows.
pub struct Follower {
    stream: BufReader<TcpStream>,
    pub status: u16,
    pub head: String,
    text: Vec<u8>,
    /// The last id, as a browser keeps it.
    pub last_id: Option<u64>,
}

impl Follower {
    /// Asks for `path`, going on after `last_id`.
    pub fn connect(address: &str, path: &str, last_id: Option<u64>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        let resume = last_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n{resume}\r\n");
        stream.get_mut().write_all(head.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Self {
            stream,
            status: status.unwrap_or(0),
            head: head.to_lowercase(),
            text: Vec::new(),
            last_id,
        })
    }

    /// The next event with data; `None` when the server has ended it in order.
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = self.take(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(event));
                }
            }
            if !self.chunk()? {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut data) = (None, None::<String>);
        for line in block.lines() {
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.parse().unwrap());
                self.last_id = id;
            } else if let Some(value) = line.strip_prefix("data: ") {
                let all = data.get_or_insert_default();
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(value);
            }
        }
        data.map(|data| Event { id, data })
    }

    /// One piece of a chunked body; `false` at its end.
    fn chunk(&mut self) -> io::Result<bool> {
        let mut size = String::new();
        if self.stream.read_line(&mut size)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut piece = vec![0; size + 2];
        self.stream.read_exact(&mut piece)?;
        piece.truncate(size);
        self.text.extend_from_slice(&piece);
        Ok(size > 0)
    }
}
