//! Backups: made every night and kept as configured, restored every week as a proof, copied
//! elsewhere every two hours.

mod buckets;
mod histories;
mod lab;
mod nights;
mod points;
mod replicas;
