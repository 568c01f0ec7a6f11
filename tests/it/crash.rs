//! SIGKILL under load, the ledger kept outside: nothing acknowledged is lost, nothing is doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::daemon::{Client, DASH, Daemon};

/// Connections that log events at once.
const WRITERS: usize = 8;

/// Kills in one run; `SLOW=1` makes it the release figure.
fn kills() -> u32 {
    if std::env::var_os("SLOW").is_some() {
        1000
    } else {
        20
    }
}

/// What one writer was told, by id: the answer's body. An id without an answer may or may not be on
/// disk, once.
type Ledger = Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>;

fn write_until(stop: &AtomicBool, address: &str, ledger: &Ledger, prefix: &str) -> usize {
    let Ok(mut client) = Client::connect(address, Some(DASH)) else {
        return 0;
    };
    let mut told = 0;
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{prefix}-{number}");
        ledger.lock().unwrap().insert(id.clone(), None);
        let body = event(&id);
        match client.call("POST", "/api/exp/log", &[], body.as_bytes()) {
            Ok(answer) => {
                assert_eq!(
                    answer.status,
                    200,
                    "{}",
                    String::from_utf8_lossy(&answer.body)
                );
                ledger.lock().unwrap().insert(id, Some(answer.body));
                told += 1;
            }
            Err(_) => break,
        }
    }
    told
}

fn event(id: &str) -> String {
    // The assigned variant of each user is the daemon's business; `user123` is known to be in A.
    format!(
        r#"{{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A","value":1.5,"id":"{id}"}}"#
    )
}

fn ids_on_disk(home: &Path) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(home.join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("experiments") || !name.ends_with(".ndjson") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(id) = value.get("id").and_then(|id| id.as_str()) {
                *seen.entry(id.to_owned()).or_insert(0) += 1;
            }
        }
    }
    seen
}

#[test]
fn a_thousand_kills_lose_nothing_and_double_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ledger: Ledger = Arc::default();
    for round in 0..kills() {
        let daemon = Daemon::start(home.path());
        resend(&daemon, &ledger);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (stop, ledger) = (Arc::clone(&stop), Arc::clone(&ledger));
                let (address, prefix) = (daemon.address.clone(), format!("{round}-{writer}"));
                std::thread::spawn(move || write_until(&stop, &address, &ledger, &prefix))
            })
            .collect();
        // A different point in the work of each round, without a clock of our own.
        let goal = 5 + (round as usize * 37) % 120;
        let begun = Instant::now();
        while acknowledged(&ledger, round) < goal && begun.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        daemon.kill();
        stop.store(true, Ordering::Relaxed);
        let told: usize = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        assert!(
            told >= goal.min(5),
            "round {round} acknowledged only {told}"
        );
    }
    let daemon = Daemon::start(home.path());
    let doubled: BTreeSet<_> = ids_on_disk(home.path())
        .into_iter()
        .filter(|(_, times)| *times != 1)
        .collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let on_disk = ids_on_disk(home.path());
    let ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger
        .iter()
        .filter(|(id, told)| told.is_some() && !on_disk.contains_key(*id))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(daemon.stop(), Some(0));
}

fn acknowledged(ledger: &Ledger, round: u32) -> usize {
    let prefix = format!("{round}-");
    let ledger = ledger.lock().unwrap();
    ledger
        .range(prefix.clone()..)
        .take_while(|(id, _)| id.starts_with(&prefix))
        .fold(0, |sum, (_, told)| sum + usize::from(told.is_some()))
}

/// What a client does after a crash: the last calls again, with the same ids. Those that had been
/// answered get the same answer, byte for byte; those that had not are settled now.
fn resend(daemon: &Daemon, ledger: &Ledger) {
    let mut client = daemon.client();
    let last: Vec<_> = {
        let ledger = ledger.lock().unwrap();
        let open = ledger.iter().filter(|(_, told)| told.is_none());
        let told = ledger
            .iter()
            .rev()
            .filter(|(_, told)| told.is_some())
            .take(16);
        open.chain(told)
            .map(|(id, told)| (id.clone(), told.clone()))
            .collect()
    };
    for (id, told) in last {
        let answer = client
            .call("POST", "/api/exp/log", &[], event(&id).as_bytes())
            .unwrap();
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        if let Some(told) = told {
            assert_eq!(answer.body, told, "another answer for `{id}`");
        }
        ledger.lock().unwrap().insert(id, Some(answer.body));
    }
}
