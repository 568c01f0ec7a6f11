//! Who follows this home: `.echopilot/followers.json`. A follower may have taken over while this
//! home was down, so each that is in the list is asked before the home is written to again.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::seams::files::Files;
use crate::storage::files::epoch::{read_small, write_small};

/// Followers of one home at most.
pub const MOST: usize = 16;

/// A home that follows this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// Its id, drawn when it first followed.
    pub id: String,
    /// Where it can be asked.
    pub url: String,
    /// When it was last heard of.
    pub seen_at: DateTime<Utc>,
}

fn path(home: &Path) -> PathBuf {
    home.join(".echopilot/followers.json")
}

/// Whoever follows `home`.
pub fn followers(files: &dyn Files, home: &Path) -> io::Result<Vec<Follower>> {
    Ok(read_small(files, &path(home))?.unwrap_or_default())
}

/// Puts a follower into the list, or brings it up to date. `false` where there are too many.
pub fn add(files: &dyn Files, home: &Path, follower: Follower) -> io::Result<bool> {
    let mut all = followers(files, home)?;
    all.retain(|one| one.id != follower.id);
    if all.len() >= MOST {
        return Ok(false);
    }
    all.push(follower);
    write_small(files, &path(home), &all)?;
    Ok(true)
}

/// Takes a follower out of the list. `false` where it was not in it.
pub fn forget(files: &dyn Files, home: &Path, id: &str) -> io::Result<bool> {
    let mut all = followers(files, home)?;
    let before = all.len();
    all.retain(|one| one.id != id);
    if all.len() == before {
        return Ok(false);
    }
    write_small(files, &path(home), &all)?;
    Ok(true)
}

/// That a home follows another one: `.echopilot/standby.json`. While it is there, nothing but its
/// standby writes to the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The standby's id.
    pub id: String,
    /// What it follows: a folder or a URL.
    pub from: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The epoch of what it follows, as far as it is known.
    pub epoch: u64,
}

fn marker_path(home: &Path) -> PathBuf {
    home.join(".echopilot/standby.json")
}

/// The marker of a standby's home.
pub fn marker(files: &dyn Files, home: &Path) -> io::Result<Option<Marker>> {
    read_small(files, &marker_path(home))
}

/// Writes the marker.
pub fn set_marker(files: &dyn Files, home: &Path, marker: &Marker) -> io::Result<()> {
    write_small(files, &marker_path(home), marker)
}

/// Takes the marker away: the home may be written to from now on.
pub fn remove_marker(files: &dyn Files, home: &Path) -> io::Result<()> {
    files.remove(&marker_path(home))?;
    files.sync_dir(&home.join(".echopilot"))
}
