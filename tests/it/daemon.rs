//! The whole program in a home folder of its own, and a plain client for it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Key of role dash that every test daemon is given.
pub const DASH: &str = "dash-key-of-the-tests-0123456789";
/// Key of role admin that every test daemon is given.
pub const ADMIN: &str = "admin-token-of-the-tests-0123456789";
/// Nothing that a test waits for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `echopilot serve`.
pub struct Daemon {
    child: Child,
    home: PathBuf,
    /// `127.0.0.1:PORT`.
    pub address: String,
    heard: String,
    /// What it says after its address, line by line.
    pub talk: mpsc::Receiver<String>,
}

impl Daemon {
    /// Starts one in `home` on a free port, with both keys given.
    pub fn start(home: &Path) -> Self {
        Self::start_with(home, |_| {})
    }

    /// Starts one after `change` had its way with the command.
    pub fn start_with(home: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_echopilot"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--home"])
            .arg(home)
            .env("DASHBOARD_KEY", DASH)
            .env("ADMIN_TOKEN", ADMIN)
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("the program starts");
        let (say, talk) = mpsc::channel();
        let stderr = child.stderr.take().expect("stderr is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let mut heard = Vec::new();
        let address = loop {
            let line = talk.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("the daemon did not start; it said:\n{}", heard.join("\n"))
            });
            let found = line.split("http://").nth(1).map(|rest| {
                rest.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
            heard.push(line);
            if let Some(address) = found {
                break address;
            }
        };
        Self {
            child,
            home: home.to_owned(),
            address,
            heard: heard.join("\n"),
            talk,
        }
    }

    /// What it said up to and with its address.
    pub fn heard(&self) -> &str {
        &self.heard
    }

    /// Its home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection with the dash key.
    pub fn client(&self) -> Client {
        Client::connect(&self.address, Some(DASH)).expect("the daemon accepts connections")
    }

    /// GET with the dash key on a new connection.
    pub fn get(&self, path: &str) -> Answer {
        self.client()
            .call("GET", path, &[], b"")
            .expect("an answer")
    }

    /// POST of JSON with the dash key on a new connection.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.client()
            .call("POST", path, &[], body.as_bytes())
            .expect("an answer")
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and waits for the end. Gives the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().expect("it ends").code()
    }

    /// Waits for the end that was asked for. Gives the exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// SIGTERM, and goes on.
    pub fn terminate(&self) {
        Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .expect("kill runs");
    }

    /// SIGTERM, and waits for the end. Gives the exit code and what was said since the start.
    pub fn stop_and_hear(mut self) -> (Option<i32>, Vec<String>) {
        Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .expect("kill runs");
        let code = self.child.wait().expect("it ends").code();
        (code, self.talk.iter().collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One keep-alive connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The head, as received.
    pub head: String,
    /// The body, as received.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Asserts the status, showing the body where it differs.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

impl Client {
    /// Connects; `key` goes out as `X-Dash-Key` with every call.
    pub fn connect(address: &str, key: Option<&str>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            key: key.map(str::to_owned),
        })
    }

    /// One call. JSON is the content type of bodies unless `headers` has another.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if let Some(key) = &self.key {
            write!(head, "X-Dash-Key: {key}\r\n").expect("a string takes it");
        }
        let typed = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !body.is_empty() && !typed {
            head.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes it");
        }
        if !body.is_empty() || method == "POST" {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("a string takes it");
        }
        head.push_str("\r\n");
        let mut whole = head.into_bytes();
        whole.extend_from_slice(body);
        self.stream.get_mut().write_all(&whole)?;
        self.answer(method == "HEAD")
    }

    fn answer(&mut self, headless: bool) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        if !headless && status != 304 && status != 204 {
            answer.body = vec![0; length.unwrap_or(0)];
            self.stream.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }
}
