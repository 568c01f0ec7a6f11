//! How soon a saved file is served: a `flags.json` of 1 MB is saved as editors do, and one
//! connection asks until it is answered with the new revision. No answer may lack a flag.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::process::{KEY, Process};

/// Flags in the file, each of about 1 kB.
const FLAGS: usize = 1000;

/// The ways of saving.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// A new file in place of the old one.
    Rename,
    /// The same file, cut and written again.
    InPlace,
}

/// A file of 1 MB whose first flag has the number `round`.
fn file(round: usize) -> String {
    let mut text = format!("{{\n  \"bench.round\": {round}");
    for flag in 0..FLAGS {
        let filler = "x".repeat(1010);
        write!(text, ",\n  \"bench.flag_{flag:04}\": \"{filler}\"").unwrap();
    }
    text.push_str("\n}\n");
    text
}

/// Times from save to new answer, sorted, after `rounds` saves.
pub(crate) fn times(daemon: &Process, home: &Path, way: Way, rounds: usize) -> Vec<Duration> {
    let path = home.join("configs/flags.json");
    let aside = home.join("configs/flags.json.new");
    let mut poll = Polling::connect(&daemon.address);
    let mut times = Vec::new();
    for round in 0..=rounds {
        let number = round + if way == Way::Rename { 1000 } else { 2000 };
        let text = file(number);
        let began = match way {
            Way::Rename => {
                let mut file = fs::File::create(&aside).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.sync_all().unwrap();
                let began = Instant::now();
                fs::rename(&aside, &path).unwrap();
                began
            }
            Way::InPlace => {
                let began = Instant::now();
                fs::write(&path, &text).unwrap();
                began
            }
        };
        let wanted = format!("\"bench.round\":{number}");
        while !poll.turned(&wanted) {
            let late = began.elapsed() > Duration::from_secs(10);
            assert!(!late, "the save was not noticed");
        }
        // The first save is the one that makes the file large.
        if round > 0 {
            times.push(began.elapsed());
        }
    }
    times.sort_unstable();
    times
}

/// A connection that asks for flags which differ from those it has.
struct Polling {
    stream: BufReader<TcpStream>,
    tag: String,
    flags: usize,
}

impl Polling {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::with_capacity(1 << 16, stream),
            tag: "\"none\"".to_owned(),
            flags: 0,
        }
    }

    /// Asks once: is it the new file? Panics if the answer lacks a flag.
    fn turned(&mut self, wanted: &str) -> bool {
        let tag = &self.tag;
        let request = format!(
            "GET /api/flags/get HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\
             If-None-Match: {tag}\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).unwrap() > 0, "closed");
        }
        let header = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        if head.starts_with("HTTP/1.1 304") {
            return false;
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        self.tag = header("etag:").expect("a revision");
        let length = header("content-length:").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let flags = memchr::memmem::find_iter(&body, b"\"bench.flag_").count();
        assert!(
            flags == FLAGS || self.flags == 0 && flags == 0,
            "an answer with {flags} of {FLAGS} flags"
        );
        self.flags = flags;
        memchr::memmem::find(&body, wanted.as_bytes()).is_some()
    }
}
