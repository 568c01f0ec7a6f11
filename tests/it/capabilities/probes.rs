//! Probes, on a stepped clock and a door that answers as it is told.

mod judged;
mod kept;
mod paced;
mod parents;
mod state;
mod world;
