//! Names of series.

/// The series of the route `/ops/anomaly_ai`.
pub const LATENCY: &str = "latency";

/// Bytes in a series' name at most.
pub const MAX_NAME: usize = 64;

/// Whether `name` may name a series: it begins with a letter or digit, goes on with those and
/// `_.:-`.
pub fn is_series_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_NAME
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}
