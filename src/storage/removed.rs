//! What the journal `storage` tells of segments that were removed because they were old.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Deserialize;

use super::files::reading;
use super::line;
use crate::seams::files::Files;

/// The journal that tells.
const STREAM: &str = "storage";

/// The last removal of one journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removal {
    /// `seq` of the last line that went.
    pub(super) last: u64,
    /// When.
    pub(super) at: String,
}

#[derive(Deserialize)]
struct Line {
    ts: String,
    about: String,
    last: String,
}

/// The last removal on record of each journal.
pub(super) fn read(files: &dyn Files, logs: &Path) -> io::Result<BTreeMap<String, Removal>> {
    let layout = reading::layout(files, logs, STREAM)?;
    let mut found = BTreeMap::new();
    let mut take = |whole: &[u8]| {
        for text in reading::lines_of(whole) {
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            if line::parse(text).is_none_or(|own| own.kind != b"segment.removed") {
                continue;
            }
            if let Ok(told) = serde_json::from_slice::<Line>(text)
                && let Ok(last) = told.last.parse()
            {
                found.insert(told.about, Removal { last, at: told.ts });
            }
        }
        ControlFlow::Continue(())
    };
    for segment in &layout.sealed {
        reading::whole_lines(
            &mut reading::open_sealed(files, logs, segment, 0)?,
            &mut take,
        )?;
    }
    if let Some((file, stat)) = layout.active {
        reading::whole_lines(&mut reading::plain(file, 0, stat.size)?, &mut take)?;
    }
    Ok(found)
}
