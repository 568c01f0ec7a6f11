//! The two programs that are asked about the machine: `systemctl` and `timedatectl`. No shell, a
//! bound on the time, none of this process's environment, and no answer rather than a wrong one.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::seams::clock::Clock;

/// Longest wait for one of them (our own choice: both answer within 50 ms on a well machine).
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of output that are read at most: some 300 a unit.
const MOST_OUTPUT: u64 = 256 * 1024;
/// Where the programs are looked for.
const PLACES: &str = "/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin";

/// What is asked about each unit.
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,NRestarts,\
    MemoryCurrent,MemoryMax,TasksCurrent,MainPID,ControlGroup";

/// What `systemctl` says of `units`, one block each.
pub(super) async fn units(clock: &dyn Clock, units: &[String]) -> Option<String> {
    let mut args = vec!["show", PROPERTIES, "--no-pager", "--"];
    args.extend(units.iter().map(String::as_str));
    output(clock, "systemctl", &args).await
}

/// `yes` or `no`: whether the kernel's clock is disciplined, by whatever program.
pub(super) async fn clock_synced(clock: &dyn Clock) -> Option<String> {
    let args = ["show", "--property=NTPSynchronized", "--value"];
    output(clock, "timedatectl", &args).await
}

/// What a program wrote before it ended well and in time.
async fn output(clock: &dyn Clock, program: &str, args: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        // Keys of the daemon are none of their business.
        .env_clear()
        .env("PATH", PLACES)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut pipe = child.stdout.take()?.take(MOST_OUTPUT);
    let answer = async move {
        let mut text = String::new();
        pipe.read_to_string(&mut text).await.ok()?;
        drop(pipe);
        let ended = child.wait().await.ok()?;
        ended.success().then_some(text)
    };
    tokio::select! {
        biased;
        text = answer => text,
        () = clock.sleep(PATIENCE) => None,
    }
}
