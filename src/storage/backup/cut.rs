//! Where a journal is cut, so that nothing after an instant or a line is in it.

use std::ops::ControlFlow;
use std::path::Path;

use crate::seams::files::Files;
use crate::storage::files::reading::{self, Source};
use crate::storage::line::{self, ChainValue, GENESIS, OwnLine};
use crate::storage::verify::VerifyError;

/// What is kept of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// `seq` of the last line that is kept; 0 where none is.
    pub(super) seq: u64,
    /// Its chain value.
    pub(super) h: ChainValue,
    /// Lines of ours that are kept.
    pub(super) lines: u64,
    /// Files that are kept whole, in order.
    pub(super) whole: Vec<String>,
    /// The file that is kept in part, and how many bytes of its text.
    pub(super) part: Option<(String, u64)>,
}

/// Reads `stream` and cuts it after the last line that `keeps`.
pub(super) fn find(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    keeps: &dyn Fn(&OwnLine<'_>) -> bool,
) -> Result<Cut, VerifyError> {
    let active = format!("{stream}.ndjson");
    let in_file = |file: &str| {
        let file = file.to_owned();
        move |source| VerifyError { file, source }
    };
    let layout = reading::layout(files, logs, stream).map_err(in_file(&active))?;
    let mut seeking = Seeking {
        cut: Cut {
            seq: 0,
            h: GENESIS,
            lines: 0,
            whole: Vec::new(),
            part: None,
        },
        before: Vec::new(),
        lines: 0,
        keeps,
    };
    for segment in &layout.sealed {
        let last = segment.suspect.then_some(segment.last);
        reading::open_sealed(files, logs, segment, 0)
            .and_then(|mut source| seeking.file(&segment.file, &mut source, last))
            .map_err(in_file(&segment.file))?;
    }
    if let Some((file, stat)) = layout.active {
        reading::plain(file, 0, stat.size)
            .and_then(|mut source| seeking.file(&active, &mut source, None))
            .map_err(in_file(&active))?;
    }
    Ok(seeking.cut)
}

/// Hands each line of ours of `stream` to `sink`.
pub(super) fn each_line(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    sink: &mut dyn FnMut(&OwnLine<'_>),
) -> Result<(), VerifyError> {
    let sink = std::cell::RefCell::new(sink);
    find(files, logs, stream, &|own| {
        (sink.borrow_mut())(own);
        true
    })?;
    Ok(())
}

struct Seeking<'a> {
    cut: Cut,
    /// Files before the one at hand.
    before: Vec<String>,
    /// Lines of ours so far.
    lines: u64,
    keeps: &'a dyn Fn(&OwnLine<'_>) -> bool,
}

impl Seeking<'_> {
    fn file(&mut self, file: &str, source: &mut Source, last: Option<u64>) -> std::io::Result<()> {
        let (mut offset, mut kept) = (0, None);
        let tail = reading::whole_lines(source, &mut |whole| {
            let (counts, over) = last.map_or((whole, false), |last| reading::up_to(whole, last));
            for bytes in reading::lines_of(counts) {
                offset += bytes.len() as u64;
                let Some(own) = line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes)) else {
                    continue;
                };
                self.lines += 1;
                if (self.keeps)(&own) {
                    kept = Some(offset);
                    (self.cut.seq, self.cut.h) = (own.seq, own.h);
                    self.cut.lines = self.lines;
                }
            }
            if over {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if let Some(kept) = kept {
            self.cut.whole.clone_from(&self.before);
            if kept == offset && tail.is_empty() {
                self.cut.whole.push(file.to_owned());
                self.cut.part = None;
            } else {
                self.cut.part = Some((file.to_owned(), kept));
            }
        }
        self.before.push(file.to_owned());
        Ok(())
    }
}
