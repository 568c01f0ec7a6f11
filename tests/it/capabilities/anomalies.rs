//! Anomalies: the detector on series with known faults, beside the detectors it must beat.

mod corpus;
mod made;
mod nab;
mod replay;
mod rivals;
