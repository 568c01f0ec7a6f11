//! Rule H3 when handles run out: clients are turned away, nobody hangs, nothing breaks, and all is
//! well once handles come free.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::daemon::{DASH, Daemon, PATIENCE};

/// Starts the program with at most `handles` open handles and without bounds of its own on
/// connections.
fn daemon(home: &Path, handles: u32) -> Daemon {
    std::fs::create_dir_all(home.join("configs")).unwrap();
    let limits = r#"{"limits":{"max_connections_per_ip":4096,"loopback_per_ip_per_minute":60000,
        "keyless_total_per_minute":60000}}"#;
    std::fs::write(home.join("configs/echopilot.json"), limits).unwrap();
    Daemon::start_with(home, |command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit -n {handles}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(arguments)
            .env("DASHBOARD_KEY", DASH)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .process_group(0);
        *command = shell;
    })
}

/// Connections that were opened, each with one request on its way.
fn crowd(daemon: &Daemon, count: usize) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(&daemon.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // One that was turned away may be closed already.
        let _closed = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream
    };
    (0..count).map(open).collect()
}

/// How many of `crowd` are answered; the others must be closed, not left waiting.
fn answered(crowd: &mut [TcpStream]) -> usize {
    let mut answered = 0;
    for stream in crowd {
        let mut piece = [0; 1024];
        match stream.read(&mut piece) {
            Ok(0) => {}
            Ok(count) => {
                assert!(piece[..count].starts_with(b"HTTP/1.1 200"));
                answered += 1;
            }
            Err(error) => assert!(
                error.kind() == std::io::ErrorKind::ConnectionReset,
                "a client was left waiting: {error}"
            ),
        }
    }
    answered
}

fn serves_again(daemon: &Daemon) {
    let began = Instant::now();
    loop {
        let request = crate::daemon::Client::connect(&daemon.address, Some(DASH));
        let body = br#"{"key":"ui.new_dashboard","value":true}"#;
        let answer = request.and_then(|mut it| it.call("POST", "/api/flags/set", &[], body));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "it does not come back");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn h03_connections_leave_handles_to_storage() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path(), 300);
    let mut crowd = crowd(&daemon, 400);
    let answered = answered(&mut crowd);
    assert!((200..=236).contains(&answered), "{answered} of 400");
    let stay = &mut crowd[0];
    let body = r#"{"key":"payments.live","value":false}"#;
    let request = format!(
        "POST /api/flags/set HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stay.write_all(request.as_bytes()).unwrap();
    let mut piece = [0; 1024];
    let count = stay.read(&mut piece).unwrap();
    assert!(
        piece[..count].starts_with(b"HTTP/1.1 200"),
        "the file is replaced in the crowd"
    );
    drop(crowd);
    serves_again(&daemon);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn h03_without_a_handle_clients_are_turned_away_at_once() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path(), 72);
    let mut crowd = crowd(&daemon, 140);
    let answered = answered(&mut crowd);
    assert!((2..=68).contains(&answered), "{answered} of 140");
    let told = daemon
        .talk
        .iter()
        .find(|line| line.contains("cannot accept"));
    assert!(told.is_some(), "the lack of handles is told");
    drop(crowd);
    serves_again(&daemon);
    let more = daemon
        .talk
        .try_iter()
        .filter(|line| line.contains("cannot accept"));
    assert!(more.count() <= 2, "it is told once, not for every client");
    assert_eq!(daemon.stop(), Some(0));
}
