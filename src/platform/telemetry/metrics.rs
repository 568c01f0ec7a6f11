//! `GET /metrics`: the server's counts, the process as the kernel sees it, and what other parts
//! add.

use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::header::ACCEPT;

use super::{HttpMetrics, LATENCY_BOUNDS_US, Page, Refusal, Spelling};
use crate::platform::http::{HotAnswer, Route, Routes, Scope, Table, prepared};
use crate::seams::clock::Clock;
use crate::seams::files::{Files, read_whole};

/// Adds families to a page. Must be quick and must not wait.
pub type Families = Box<dyn Fn(&mut Page) + Send + Sync>;

/// Everything that is on the page.
#[derive(Clone)]
pub struct Metrics {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    served: Arc<OnceLock<(Arc<Table>, Arc<HttpMetrics>)>>,
    more: Arc<Mutex<Vec<Families>>>,
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A page with the process on it.
    pub fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        Self {
            files,
            clock,
            served: Arc::default(),
            more: Arc::default(),
        }
    }

    /// Adds families of another part.
    pub fn add(&self, families: impl Fn(&mut Page) + Send + Sync + 'static) {
        let mut more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        more.push(Box::new(families));
    }

    /// The row of the page.
    pub fn routes(&self) -> Routes {
        let own = self.clone();
        let about = "counts for machines: Prometheus text, or OpenMetrics by `Accept`";
        vec![
            Route::get("/metrics", Scope::Read, about)
                .plain()
                .hot(Arc::new(move |call| {
                    let accept = call
                        .parts
                        .headers
                        .get(ACCEPT)
                        .and_then(|value| value.to_str().ok());
                    let spelling = Spelling::wanted(accept);
                    let page = own.page(spelling);
                    HotAnswer::Now(Ok(prepared(page, spelling.media_type())))
                })),
        ]
    }

    /// Adds the server's counts, once its table is whole.
    pub fn complete(&self, table: &Arc<Table>, counts: &Arc<HttpMetrics>) {
        self.served
            .get_or_init(|| (Arc::clone(table), Arc::clone(counts)));
    }

    /// The table and the server's counts, once they are there.
    pub fn served(&self) -> Option<&(Arc<Table>, Arc<HttpMetrics>)> {
        self.served.get()
    }

    /// The whole page.
    pub fn page(&self, spelling: Spelling) -> String {
        let mut page = Page::new(spelling);
        page.gauge("echopilot_build_info", "the version that runs");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.gauge("echopilot_uptime_seconds", "time since the start");
        page.sample(&[], self.clock.uptime().as_secs_f64());
        if let Some((table, counts)) = self.served() {
            write_answers(&mut page, table, counts);
            write_server(&mut page, counts);
        }
        self.write_process(&mut page);
        for families in self
            .more
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            families(&mut page);
        }
        page.finish()
    }

    /// The process as proc(5) shows it; what cannot be read is left out.
    fn write_process(&self, page: &mut Page) {
        let stat = self.proc_text("/proc/self/stat").unwrap_or_default();
        // Fields are counted after the name, which stands in parentheses and may hold anything.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let field = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
        if let (Some(user), Some(system)) = (field(11), field(12)) {
            page.counter("process_cpu_seconds", "CPU time of the process");
            page.sample(&[], (user + system) / TICKS_PER_SEC);
        }
        let status = self.proc_text("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            resident.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        if let Some(kib) = kib {
            page.gauge(
                "process_resident_memory_bytes",
                "memory of the process in RAM",
            );
            page.sample(&[], kib * 1024.0);
        }
        if let Ok(open) = self.files.list(Path::new("/proc/self/fd")) {
            page.gauge("process_open_fds", "open file handles");
            page.sample(&[], open.len() as f64);
        }
    }

    fn proc_text(&self, path: &str) -> Option<String> {
        /// Bytes of a proc file at most: one page, which neither of ours fills.
        const MOST: u64 = 4096;
        let mut file = self.files.open_read(Path::new(path)).ok()?;
        String::from_utf8(read_whole(&mut *file, MOST).ok()?).ok()
    }
}

/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_PER_SEC: f64 = 100.0;

fn write_answers(page: &mut Page, table: &Table, counts: &HttpMetrics) {
    let name = |row: Option<usize>| {
        let row = row.and_then(|row| table.rows().get(row));
        row.map_or(("other", "unmatched"), |row| {
            (row.method.as_str(), row.path)
        })
    };
    page.counter(
        "echopilot_http_requests",
        "answers by route and class of status",
    );
    for (row, counts) in counts.rows() {
        let (method, path) = name(row);
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .iter()
            .zip(&counts.classes)
        {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("method", method), ("route", path), ("class", class)];
                page.sample(&labels, count as f64);
            }
        }
    }
    let bounds = LATENCY_BOUNDS_US.map(|bound| bound as f64 / 1e6);
    page.begin_histogram("echopilot_http_request_seconds", "time from head to answer");
    for (row, counts) in counts.rows() {
        let buckets: Vec<u64> = counts
            .latency
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        if buckets.iter().sum::<u64>() > 0 {
            let (method, path) = name(row);
            let sum = counts.latency_sum_us.load(Ordering::Relaxed) as f64 / 1e6;
            page.histogram(
                &[("method", method), ("route", path)],
                &bounds,
                &buckets,
                sum,
            );
        }
    }
}

fn write_server(page: &mut Page, counts: &HttpMetrics) {
    page.gauge("echopilot_http_connections", "open connections");
    page.sample(&[], counts.connections.load(Ordering::Relaxed) as f64);
    page.gauge("echopilot_http_in_work", "requests being worked on");
    page.sample(&[], counts.in_work.load(Ordering::Relaxed) as f64);
    page.counter("echopilot_http_accepted", "connections accepted");
    page.sample(&[], counts.accepted.load(Ordering::Relaxed) as f64);
    page.counter("echopilot_http_body_bytes_sent", "bytes of bodies sent");
    page.sample(&[], counts.body_bytes_sent.load(Ordering::Relaxed) as f64);
    page.counter("echopilot_http_panics", "handlers that panicked");
    page.sample(&[], counts.panics.load(Ordering::Relaxed) as f64);
    page.counter(
        "echopilot_http_refused",
        "connections and requests turned away",
    );
    for (name, why) in [
        ("connections", Refusal::Connections),
        ("work", Refusal::Work),
        ("rate", Refusal::Rate),
        ("auth", Refusal::Auth),
    ] {
        page.sample(&[("why", name)], counts.refused(why) as f64);
    }
}
