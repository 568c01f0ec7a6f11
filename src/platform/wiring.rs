//! What a capability is built from.
