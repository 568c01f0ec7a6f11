//! Anomalies: the detector on series with known faults, beside the detectors it must beat.

mod calls;
mod corpus;
mod feed;
mod kept;
mod made;
mod nab;
mod replay;
mod rivals;
