//! The rules of incidents, by what goes in and comes out.
