//! The schemas that configuration files name by `$schema`, laid out beside them at start, so that
//! an editor finds them in every home. Derived from the types and best effort: without them nothing
//! but completion is missing, so that no disk that refuses them stops or troubles a daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assemble::{App, config_kinds};
use crate::platform::config::schemas;
use crate::seams::files::{Access, Files, read_whole};

/// Bytes that must be free on the disk: what little is left belongs to journals and configurations
/// (our own choice; the schemas together have some 11,000 bytes).
const LEAST_ROOM: u64 = 1 << 20;

/// Begins to lay them out beside the requests.
pub(super) fn begin(app: &App, files: &Arc<dyn Files>) {
    let folder = app.home.join("configs").join("schema");
    let files = Arc::clone(files);
    app.tasks.spawn("schema-files", async move {
        let shown = folder.display().to_string();
        let written = tokio::task::spawn_blocking(move || write_where_other(&*files, &folder));
        match written.await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => tracing::debug!("wrote {count} schemas to `{shown}`"),
            Ok(Err(error)) => tracing::info!("editors find no schemas in `{shown}`: {error}"),
        }
    });
}

/// Writes those that are missing or not of this version; gives how many. A folder that is as it
/// should be is not touched.
fn write_where_other(files: &dyn Files, folder: &Path) -> io::Result<usize> {
    let texts = schemas(&config_kinds());
    let other: Vec<(PathBuf, &String)> = texts
        .iter()
        .map(|(name, text)| (folder.join(name), text))
        .filter(|(path, text)| !is_same(files, path, text))
        .collect();
    if other.is_empty() {
        return Ok(0);
    }
    let above = folder.parent().unwrap_or(folder);
    if files.space(above)?.available < LEAST_ROOM {
        return Err(io::ErrorKind::StorageFull.into());
    }
    files.create_dir_all(folder)?;
    for (path, text) in &other {
        replace(files, path, text)?;
    }
    Ok(other.len())
}

/// Writes one beside its place first and renames it then: an editor never sees half a schema.
pub fn replace(files: &dyn Files, path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    // What a broken-off run left behind.
    let _absent = files.remove(&fresh);
    let done = files
        .write_new(&fresh, text.as_bytes(), Access::SHARED)
        .and_then(|()| files.rename(&fresh, path));
    if done.is_err() {
        let _absent = files.remove(&fresh);
    }
    done
}

fn is_same(files: &dyn Files, path: &Path, text: &str) -> bool {
    let most = u64::try_from(text.len()).unwrap_or(u64::MAX);
    files
        .open_read(path)
        .and_then(|mut file| read_whole(&mut *file, most))
        .is_ok_and(|found| found == text.as_bytes())
}
