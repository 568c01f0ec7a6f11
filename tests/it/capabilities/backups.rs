//! Backups: made every night and kept as configured, restored every week as a proof, copied
//! elsewhere every two hours.

mod lab;
mod nights;
mod replicas;
