//! Auto-tune: targets from what is measured now. Pure.

/// Share of the present P95 that is aimed at (no unit).
const P95_SHARE: f64 = 0.8;
/// Smallest P95 target in milliseconds.
const P95_LEAST: f64 = 20.0;
/// Largest P95 target in milliseconds.
const P95_MOST: f64 = 2000.0;
/// Multiple of the present queue that it may grow to (no unit).
const QUEUE_ROOM: f64 = 2.0;
/// Smallest bound of a queue, in jobs.
const QUEUE_LEAST: f64 = 10.0;
/// Largest measure that is taken, in its own unit: 2 × it is still exact.
pub const MOST_MEASURED: f64 = 1e9;

/// Targets that fit what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// P95 to aim at, in milliseconds.
    pub p95_target_ms: u64,
    /// Jobs that may wait.
    pub queue_max_depth: u64,
}

/// target = clamp(round(0.8 · p95), 20, 2000), depth = max(10, ceil(2 · queue)). `None` for what
/// cannot be measured.
pub fn suggest(current_p95: f64, current_queue: f64) -> Option<Targets> {
    let measured = |value: f64| (0.0..=MOST_MEASURED).contains(&value);
    if !measured(current_p95) || !measured(current_queue) {
        return None;
    }
    let target = (P95_SHARE * current_p95).round().clamp(P95_LEAST, P95_MOST);
    let depth = (QUEUE_ROOM * current_queue).ceil().max(QUEUE_LEAST);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and far below the largest"
    )]
    let whole = |value: f64| value as u64;
    Some(Targets {
        p95_target_ms: whole(target),
        queue_max_depth: whole(depth),
    })
}
