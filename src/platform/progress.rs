//! Tells the service manager that a long start, or a long end, goes on, and asks for more time: as
//! long as bytes are read or written, and no longer. A disk that does not answer moves no bytes.
//!
//! The kernel's own count of them (proc(5), `/proc/self/io`) is looked at, so that nothing that
//! recovers or saves need know of this.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lifecycle;
use crate::seams::clock::Clock;
use crate::seams::files::{Files, read_whole};

/// How often it looks (our own choice).
const LOOK: Duration = Duration::from_secs(1);
/// What is asked for each time: many looks, and less than the 90 s that systemd gives a start.
const MORE: Duration = Duration::from_secs(30);
/// Bytes between two looks that are progress (our own choice: far more than the look itself reads).
const MOVED: u64 = 64 << 10;
/// The kernel's count.
const COUNT: &str = "/proc/self/io";
/// Bytes of it at most: seven short lines.
const COUNT_BYTES: u64 = 1024;
/// Stack of the thread.
const STACK_BYTES: usize = 128 << 10;

/// A long piece of work; it is over when this is dropped.
#[derive(Debug)]
pub struct Progress {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to tell of `doing`, such as `recovering`.
    pub fn tell(
        doing: &'static str,
        files: &Arc<dyn Files>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let (files, clock) = (Arc::clone(files), Arc::clone(clock));
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watch(doing, &*files, &*clock, &stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ended = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            // It only tells; there is nothing to save.
            let _ended = thread.join();
        }
    }
}

fn watch(doing: &str, files: &dyn Files, clock: &dyn Clock, stopped: &Receiver<()>) {
    let (begun, first) = (clock.uptime(), moved(files));
    let mut last = first;
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let now = moved(files);
        if now < last + MOVED {
            continue;
        }
        last = now;
        let secs = clock.uptime().saturating_sub(begun).as_secs();
        let mib = (now - first) >> 20;
        let status = format!("{doing}: {mib} MiB read and written in {secs} s");
        lifecycle::notify_more_time(MORE, &status);
    }
}

/// Bytes that this process has read and written so far; 0 where the kernel does not tell.
fn moved(files: &dyn Files) -> u64 {
    let read = files
        .open_read(Path::new(COUNT))
        .and_then(|mut file| read_whole(&mut *file, COUNT_BYTES));
    let text = read.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.unwrap_or_default();
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    count("rchar:").unwrap_or(0) + count("wchar:").unwrap_or(0)
}

#[test]
fn bytes_that_are_read_are_counted() {
    use crate::seams::files::RealFiles;
    let before = moved(&RealFiles);
    let own = std::env::current_exe().expect("this program");
    let file = RealFiles.open_read(&own);
    let read = file.and_then(|mut file| read_whole(&mut *file, 1 << 20));
    let read = read.expect("some of it").len() as u64;
    assert!(read > 0 && moved(&RealFiles) >= before + read);
}
