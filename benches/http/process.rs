//! Servers as processes of their own, each on one core, and what the system knows about them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Key of role dash that the daemons are given.
pub(crate) const KEY: &str = "dash-key-of-the-bench-0123456789";

/// A server that ends with its value.
pub(crate) struct Process {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `program`, on core 0 if `pinned` and the machine can.
fn command(program: &Path, pinned: bool) -> Command {
    if !pinned {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

/// Moves this process to core 1. Tells whether that could be done.
pub(crate) fn step_aside() -> bool {
    let moved = Command::new("taskset")
        .args(["-c", "-p", "1"])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .status();
    moved.is_ok_and(|status| status.success())
}

impl Process {
    /// The daemon in `home`.
    pub(crate) fn daemon(home: &Path, pinned: bool) -> Self {
        let file = home.join(".echopilot/daemon.json");
        drop(fs::remove_file(&file));
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_echopilot")), pinned);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--home"])
            .arg(home)
            .env("DASHBOARD_KEY", KEY)
            .env_remove("ADMIN_TOKEN")
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove("NOTIFY_SOCKET");
        Self::start(command, &home.join("said"), || {
            let text = fs::read_to_string(&file).ok()?;
            let found: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(found["address"].as_str()?.to_owned())
        })
    }

    /// Hyper alone, answering with the bodies in `folder`.
    pub(crate) fn bare(folder: &Path, pinned: bool) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = command(&this, pinned);
        command.arg("bare-server").arg(folder);
        Self::start(command, &folder.join("said"), || {
            fs::read_to_string(folder.join("address")).ok()
        })
    }

    fn start(mut command: Command, said: &Path, ask: impl Fn() -> Option<String>) -> Self {
        let talk = fs::File::create(said).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(talk);
        let child = command.spawn().unwrap();
        let mut process = Self {
            child,
            address: String::new(),
        };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if let Some(address) = ask() {
                process.address = address;
                return process;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        panic!(
            "it does not start: {}",
            fs::read_to_string(said).unwrap_or_default()
        );
    }

    /// Resident memory in MB.
    pub(crate) fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Time that its threads have spent on a core.
    pub(crate) fn spent(&self) -> Duration {
        let threads = fs::read_dir(self.proc("task")).unwrap();
        let spent = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(name)
    }

    /// Body of the answer to `request`, which must be 200.
    pub(crate) fn ask(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = memchr::memmem::find(&answer, b"\r\n\r\n").unwrap_or(0);
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        answer.split_off(head + 4)
    }
}
