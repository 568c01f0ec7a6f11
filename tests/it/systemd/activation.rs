//! Socket activation: the listening socket outlives the process. The test is the service manager:
//! it holds the socket, hands it over as descriptor 3, and starts the next process when one ends.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::daemon::{ADMIN, Client, DASH, Daemon, PATIENCE};
use crate::faults::{event, kept, rounds, verify, within};

/// Requests a second of all clients together. Source: the bar.
const RATE: u32 = 500;
/// Clients, half of them with a connection for each request.
const CLIENTS: u32 = 32;

/// The socket as `echopilot.socket` has it opened.
fn socket() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 4096).unwrap();
    listener
}

/// Makes `command` a start of the daemon with `given` as descriptor 3, as systemd does it.
fn hand_over(command: &mut Command, home: &Path, given: OwnedFd, words: &str) {
    let script = format!(
        "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echopilot.socket \
         exec \"$0\" serve --home \"$1\" {words}"
    );
    *command = Command::new("sh");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_echopilot")])
        .arg(home)
        .env("DASHBOARD_KEY", DASH)
        .env("ADMIN_TOKEN", ADMIN)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::from(given))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
}

fn start(home: &Path, socket: &TcpListener, words: &str) -> Daemon {
    let given = OwnedFd::from(socket.try_clone().unwrap());
    Daemon::start_with(home, |command| hand_over(command, home, given, words))
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// `seq` by id of what was acknowledged.
    acked: Mutex<BTreeMap<String, u64>>,
    /// Connections that could not be made.
    refused: AtomicU64,
    /// Requests on a connection of their own that got no answer.
    unanswered: AtomicU64,
    /// Requests on a connection that had been used before, and that closed instead of answering.
    stale: AtomicU64,
    stop: AtomicBool,
}

impl Seen {
    fn count(&self) -> usize {
        self.acked.lock().unwrap().len()
    }
}

/// One client at its share of the rate; a request that got no answer is sent again, under its id.
struct Caller {
    address: String,
    seen: Arc<Seen>,
    keeps_alive: bool,
    open: Option<Client>,
}

impl Caller {
    fn run(mut self, name: u32) {
        let begun = Instant::now();
        let pause = Duration::from_secs(1) * CLIENTS / RATE;
        for number in 0.. {
            // Who was held up catches up: the rate is kept on the whole.
            let due = begun + pause * number;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            if self.seen.stop.load(Ordering::Relaxed) {
                return;
            }
            let id = format!("{name}-{number}");
            while !self.send(&id) {}
        }
    }

    /// Whether it was answered.
    fn send(&mut self, id: &str) -> bool {
        let open = self.open.take();
        let is_new = open.is_none();
        let connected = open.map_or_else(|| Client::connect(&self.address, Some(DASH)), Ok);
        let Ok(mut client) = connected else {
            self.seen.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let sent = client.call("POST", "/api/exp/log", &[], event(id).as_bytes());
        let Ok(answer) = sent else {
            let count = if is_new {
                &self.seen.unanswered
            } else {
                &self.seen.stale
            };
            count.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let last = answer.header("connection") == Some("close");
        let answer = answer.expect(200);
        let seq = answer.json()["seq"].as_u64().unwrap();
        let mut acked = self.seen.acked.lock().unwrap();
        acked.insert(id.to_owned(), seq);
        self.open = Some(client).filter(|_| self.keeps_alive && !last);
        true
    }
}

/// Clients under way.
struct Crowd {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(address: &str) -> Self {
        let seen = Arc::new(Seen::default());
        let threads = (0..CLIENTS).map(|name| {
            let caller = Caller {
                address: address.to_owned(),
                seen: Arc::clone(&seen),
                keeps_alive: name % 2 == 0,
                open: None,
            };
            std::thread::spawn(move || caller.run(name))
        });
        let threads = threads.collect();
        Self { seen, threads }
    }

    /// Waits for `more` acknowledgements from now on.
    fn go_on(&self, more: usize) {
        let goal = self.seen.count() + more;
        let seen = &self.seen;
        within(PATIENCE, "events are acknowledged", || seen.count() >= goal);
    }

    fn end(self) -> Arc<Seen> {
        self.seen.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        self.seen
    }
}

/// Restarts under load, each by `end`; gives what clients saw.
#[expect(
    clippy::print_stderr,
    reason = "the figures are for the reader of `SLOW=1`"
)]
fn restart_under_load(count: u32, end: impl Fn(Daemon)) -> Arc<Seen> {
    let (home, socket) = (TempDir::new().unwrap(), socket());
    let mut daemon = start(home.path(), &socket, "");
    let begun = Instant::now();
    let crowd = Crowd::start(&daemon.address);
    for _ in 0..count {
        crowd.go_on(50);
        end(daemon);
        daemon = start(home.path(), &socket, "");
    }
    crowd.go_on(50);
    let seen = crowd.end();
    let rate = seen.count() as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(daemon.stop(), Some(0));
    let acked = seen.acked.lock().unwrap();
    eprintln!(
        "{count} restarts, {} events at {rate:.0}/s; {} sent again on a new connection",
        acked.len(),
        seen.stale.load(Ordering::Relaxed)
    );
    let kept = kept(home.path());
    kept.assert_holds(&acked);
    kept.assert_gapless();
    let (code, report) = verify(home.path());
    assert_eq!(code, 0, "{report:#}");
    drop(acked);
    seen
}

#[test]
fn a_restart_under_load_refuses_nobody_and_answers_everybody() {
    let seen = restart_under_load(rounds(10, 100), |daemon| {
        assert_eq!(daemon.stop(), Some(0), "it ends as it should");
    });
    assert_eq!(seen.refused.load(Ordering::Relaxed), 0, "refused");
    let unanswered = seen.unanswered.load(Ordering::Relaxed);
    assert_eq!(unanswered, 0, "who connected was not answered");
}

#[test]
fn a_kill_under_load_refuses_nobody_and_loses_nothing_acknowledged() {
    let seen = restart_under_load(rounds(10, 100), Daemon::kill);
    assert_eq!(seen.refused.load(Ordering::Relaxed), 0, "refused");
}

#[test]
fn whoever_is_connected_at_the_stop_gets_one_more_answer() {
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path());
    let (mut used, mut fresh) = (daemon.client(), daemon.client());
    let get = |client: &mut Client| client.call("GET", "/api/flags/get", &[], b"");
    let answer = get(&mut used).unwrap().expect(200);
    assert_eq!(answer.header("connection"), None);
    daemon.terminate();
    let is_stopping = |line: &String| line.contains("stopping: finishing what is in hand");
    let told = daemon.talk.iter().find(is_stopping);
    assert!(told.is_some(), "it says that it stops");
    for client in [&mut used, &mut fresh] {
        let answer = get(client).unwrap().expect(200);
        assert_eq!(answer.header("connection"), Some("close"));
        let after = get(client).map(|answer| answer.status);
        assert!(after.is_err(), "it is the last: {after:?}");
    }
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path());
    let mut idle = daemon.client();
    idle.call("GET", "/livez", &[], b"").unwrap().expect(200);
    let _silent = daemon.client();
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    let took = begun.elapsed();
    // The drain takes 20 s where a request is in work; here there is none.
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn clients_in_the_kernels_queue_are_left_to_the_next_process() {
    let (home, socket) = (TempDir::new().unwrap(), socket());
    let daemon = start(home.path(), &socket, "");
    assert_eq!(daemon.address, socket.local_addr().unwrap().to_string());
    let address = daemon.address.clone();
    assert_eq!(daemon.stop(), Some(0));
    let waiting = std::thread::spawn(move || {
        let mut client = Client::connect(&address, Some(DASH)).unwrap();
        client.call("GET", "/api/flags/get", &[], b"").unwrap()
    });
    let daemon = start(home.path(), &socket, "");
    waiting.join().unwrap().expect(200);
    drop(daemon);
}

#[test]
fn an_address_that_contradicts_the_socket_is_told() {
    let (home, socket) = (TempDir::new().unwrap(), socket());
    let at = socket.local_addr().unwrap();
    let daemon = start(home.path(), &socket, "--listen 127.0.0.1:1");
    assert!(
        daemon
            .heard()
            .contains("`--listen 127.0.0.1:1` is not heeded"),
        "{}",
        daemon.heard()
    );
    assert_eq!(daemon.address, at.to_string());
    daemon.get("/api/flags/get").expect(200);
    drop(daemon);
    let daemon = start(home.path(), &socket, "");
    assert!(
        daemon
            .heard()
            .contains("`listen` in `configs/echopilot.json`"),
        "{}",
        daemon.heard()
    );
}

/// Starts with something that cannot be served; gives what is said.
fn refusal(given: OwnedFd) -> String {
    let home = TempDir::new().unwrap();
    let mut command = Command::new("true");
    hand_over(&mut command, home.path(), given, "");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_no_tcp_listener_is_refused_with_the_cure() {
    let folder = TempDir::new().unwrap();
    let unix = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = socket();
    let connected = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    let plain = std::fs::File::open("/dev/null").unwrap();
    for given in [unix.into(), udp.into(), connected.into(), plain.into()] {
        let said = refusal(given);
        assert!(
            said.contains("`echopilot.socket`") && said.contains("no TCP listener"),
            "{said}"
        );
        assert!(
            said.contains("hint: one `ListenStream=HOST:PORT`"),
            "{said}"
        );
    }
}

#[test]
fn sockets_that_were_handed_to_another_process_are_left_alone() {
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start_with(home.path(), |command| {
        command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    });
    daemon.get("/api/flags/get").expect(200);
}

#[test]
fn systemds_own_activator_starts_it_at_the_first_client() {
    let home = TempDir::new().unwrap();
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap().to_string();
    drop(probe);
    let mut activator = Command::new("systemd-socket-activate")
        .args([
            "-l",
            &address,
            "-E",
            "DASHBOARD_KEY",
            "--fdname=echopilot.socket",
        ])
        .arg(env!("CARGO_BIN_EXE_echopilot"))
        .args(["serve", "--home"])
        .arg(home.path())
        .env("DASHBOARD_KEY", DASH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-socket-activate runs; `tests/run` installs systemd");
    let mut client = None;
    within(PATIENCE, "the activator listens", || {
        client = match Client::connect(&address, Some(DASH)) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
            connected => Some(connected.unwrap()),
        };
        client.is_some()
    });
    let answer = client.unwrap().call("GET", "/api/flags/get", &[], b"");
    // The activator has become the daemon.
    let pid = activator.id().to_string();
    Command::new("kill").arg(pid).status().unwrap();
    let ended = activator.wait().unwrap();
    answer.unwrap().expect(200);
    assert_eq!(ended.code(), Some(0));
}
