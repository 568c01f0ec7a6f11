//! Floor 1: the doors outward. Each is a trait with its real and its fake form side by side.

pub mod clock;
pub mod files;
pub mod host;
pub mod ids;
pub mod outbound;
