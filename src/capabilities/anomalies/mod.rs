//! Anomalies: is a value unlike the last ones of its series.
//!
//! score = min(|z| / 5.5, distance outside the quartiles / (2.75 · IQR)) − 1 over the last 500
//! samples, an anomaly when above 0; see [`logic`].

pub mod logic;
pub mod replay;

#[cfg(test)]
mod tests;
