//! Configurations and the texts that were in force once: copied whole, by rename, with their mode.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::copy::Trouble;
use super::source::{Listing, Paper, Place, Source, SourceError, is_paper, is_snapshot};
use crate::seams::files::{Access, Files};
use crate::storage::engine::Revision;
use crate::storage::files::documents::read_settled;

/// Bytes of a configuration at most, and one more: as many as are read of one.
const MOST_BYTES: usize = (5 << 20) + 1;
/// What others may never do with a configuration, whatever the source lets them: write it.
const NOT_OTHERS: u32 = 0o775;
/// What may be done with keys: by the owner alone.
const OWNER_ONLY: u32 = 0o600;
/// The configuration whose texts are the owner's alone.
const KEYS: &str = "keys";

/// What is known of our own configurations: revision and mode.
pub(super) type Known = BTreeMap<String, (String, u32)>;

/// What is there.
pub(super) fn known(files: &dyn Files, home: &Path) -> io::Result<Known> {
    let configs = home.join("configs");
    let mut found = Known::new();
    for file in files.list(&configs)? {
        let path = configs.join(&file);
        if is_paper(&file)
            && let Ok(stat) = files.stat(&path)
            && let Ok(document) = read_settled(files, &path, &file)
        {
            found.insert(file, (document.revision.to_string(), stat.mode));
        }
    }
    Ok(found)
}

fn mode_of(paper: &Paper) -> u32 {
    if paper.file == format!("{KEYS}.json") {
        OWNER_ONLY
    } else {
        paper.mode & NOT_OTHERS | OWNER_ONLY
    }
}

/// Fetches the configurations that are not as listed. Whether there were any. One that the source
/// has no more stays.
pub(super) fn ship(
    files: &dyn Files,
    home: &Path,
    source: &mut dyn Source,
    listing: &Listing,
    known: &mut Known,
) -> Result<bool, Trouble> {
    let mut changed = false;
    for paper in listing.papers.iter().filter(|paper| is_paper(&paper.file)) {
        let mode = mode_of(paper);
        let wanted = (paper.revision.clone(), mode);
        if known.get(&paper.file) == Some(&wanted) {
            continue;
        }
        let place = Place::Paper(paper.file.clone());
        let body = source.read(&place, None, 0, MOST_BYTES)?;
        if Revision::of(&body).as_str() != paper.revision {
            // It was edited since it was listed, or came through garbled: the next look will tell.
            return Err(SourceError::Changed { file: place.path() }.into());
        }
        keep_ours(files, home, paper)?;
        put(files, &home.join("configs"), &paper.file, &body, mode)?;
        known.insert(paper.file.clone(), wanted);
        changed = true;
    }
    Ok(changed)
}

/// Keeps a text that only this copy may have, such as an edit by hand, before it is replaced.
fn keep_ours(files: &dyn Files, home: &Path, paper: &Paper) -> Result<(), Trouble> {
    let path = home.join("configs").join(&paper.file);
    let Ok(document) = read_settled(files, &path, &paper.file) else {
        return Ok(());
    };
    let name = paper.file.strip_suffix(".json").unwrap_or(&paper.file);
    let folder = home.join("backups/configs").join(name);
    let file = format!("{}.json", document.revision);
    if files.stat(&folder.join(&file)).is_err() {
        put(files, &folder, &file, &document.body, snapshot_mode(name))?;
    }
    Ok(())
}

fn snapshot_mode(name: &str) -> u32 {
    if name == KEYS { OWNER_ONLY } else { 0o644 }
}

/// Fetches the texts that were in force once and are not here.
pub(super) fn ship_snapshots(
    files: &dyn Files,
    home: &Path,
    source: &mut dyn Source,
    listing: &Listing,
) -> Result<(), Trouble> {
    let root = home.join("backups/configs");
    for file in listing.snapshots.iter().filter(|file| is_snapshot(file)) {
        if files.stat(&root.join(file)).is_ok() {
            continue;
        }
        let Some((name, text)) = file.split_once('/') else {
            continue;
        };
        let body = source.read(&Place::Snapshot(file.clone()), None, 0, MOST_BYTES)?;
        let revision = text.strip_suffix(".json").unwrap_or(text);
        if Revision::of(&body).as_str() != revision {
            tracing::warn!(
                file,
                "a kept text of the source is not what its name says: left out"
            );
            continue;
        }
        put(files, &root.join(name), text, &body, snapshot_mode(name))?;
    }
    Ok(())
}

/// Puts a whole file in place of whatever is there; on the medium when it returns.
fn put(
    files: &dyn Files,
    folder: &Path,
    file: &str,
    body: &[u8],
    mode: u32,
) -> Result<(), Trouble> {
    files.create_dir_all(folder)?;
    // The sweep of each start takes away what a crash leaves of it.
    let fresh = folder.join(format!(".{file}.shipped.tmp"));
    let _absent = files.remove(&fresh);
    let ours = files.stat(folder)?;
    let access = Access {
        mode,
        owner: Some((ours.uid, ours.gid)),
    };
    let placed = files
        .write_new(&fresh, body, access)
        .and_then(|()| files.rename(&fresh, &folder.join(file)));
    if placed.is_err() {
        let _gone_already = files.remove(&fresh);
    }
    placed?;
    files.sync_dir(folder)?;
    Ok(())
}
