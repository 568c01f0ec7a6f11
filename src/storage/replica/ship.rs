//! One look after the other: what the source has and this home has not is fetched, journals before
//! configurations. Keeps no state that is not in the files but what a look would find again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::copy::{Copy, Means, Trouble, set_aside};
use super::papers::{self, Known};
use super::source::{LogFile, Source, SourceError, is_log};
use crate::seams::files::Files;
use crate::storage::files::names;

/// Looks in a row at which a journal does not fit before it is said: one answer may be garbled.
const TRIES: u32 = 3;
/// Looks that a journal which does not fit is left alone for then: half a minute at four a second.
const REST: u32 = 120;
/// Looks after which texts that were in force once are asked for, though no configuration changed.
const SNAPSHOTS_EVERY: u32 = 240;

/// What a copy is kept with.
#[derive(Debug, Clone)]
pub struct ShipOptions {
    /// The home that is kept as a copy.
    pub home: PathBuf,
    /// Takes sealed segments over as they are, damage included.
    pub takes_damaged: bool,
    /// Sets a journal aside that is not the source's, and fetches the source's.
    pub begins_anew: bool,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The source's doing.
    #[error("cannot follow the source")]
    Source(#[source] SourceError),
    /// Our own disk's.
    #[error("cannot write the copy")]
    Own(#[source] io::Error),
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// The source's epoch.
    pub epoch: u64,
    /// The last `seq` that is here, by journal.
    pub seqs: BTreeMap<String, u64>,
    /// Whether anything was fetched.
    pub changed: bool,
    /// Whether configurations were.
    pub papers_changed: bool,
    /// Journals that are not the source's, and why.
    pub apart: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Misfit {
    looks: u32,
    rest: u32,
    why: String,
}

/// Keeps one home as a copy of another.
#[derive(Debug)]
pub struct Shipper {
    files: Arc<dyn Files>,
    options: ShipOptions,
    copies: BTreeMap<String, Copy>,
    misfits: BTreeMap<String, Misfit>,
    known: Option<Known>,
    looks: u32,
    wants_snapshots: bool,
}

impl Shipper {
    /// Whoever calls holds the home.
    pub fn new(files: Arc<dyn Files>, options: ShipOptions) -> Self {
        Self {
            files,
            options,
            copies: BTreeMap::new(),
            misfits: BTreeMap::new(),
            known: None,
            looks: 0,
            wants_snapshots: true,
        }
    }

    /// Looks once, and fetches what is missing. With `everything` also what was not yet there at
    /// the look before: for the last look of all.
    pub fn pass(&mut self, source: &mut dyn Source, everything: bool) -> Result<Pass, Fault> {
        self.looks = self.looks.wrapping_add(1);
        let snapshots = self.wants_snapshots || self.looks.is_multiple_of(SNAPSHOTS_EVERY);
        let listing = source.list(snapshots).map_err(Fault::Source)?;
        let mut pass = Pass {
            epoch: listing.epoch,
            ..Pass::default()
        };
        let mut streams: BTreeMap<&str, Vec<LogFile>> = BTreeMap::new();
        for log in listing.logs.iter().filter(|log| is_log(&log.file)) {
            if let Some((stream, _)) = names::parse(&log.file) {
                streams.entry(stream).or_default().push(log.clone());
            }
        }
        let mut late = None;
        for (stream, listed) in streams {
            match self.ship(source, stream, &listed, everything, &mut pass) {
                // The others are not to wait for a file that is just being rotated.
                Err(Fault::Source(error @ SourceError::Changed { .. })) => late = Some(error),
                outcome => outcome?,
            }
        }
        if let Some(error) = late {
            // No configuration may be older than its journals say, but newer it may be.
            self.papers(source, &listing, &mut pass)?;
            return Err(Fault::Source(error));
        }
        self.papers(source, &listing, &mut pass)?;
        Ok(pass)
    }

    fn papers(
        &mut self,
        source: &mut dyn Source,
        listing: &super::source::Listing,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        let (files, home) = (&*self.files, &*self.options.home);
        if self.known.is_none() {
            self.known = Some(papers::known(files, home).map_err(Fault::Own)?);
        }
        if let Some(known) = &mut self.known {
            let shipped = papers::ship(files, home, source, listing, known);
            pass.papers_changed = shipped.map_err(as_fault)?;
        }
        pass.changed |= pass.papers_changed;
        let listed = self.wants_snapshots;
        self.wants_snapshots = pass.papers_changed;
        let kept = papers::ship_snapshots(files, home, source, listing);
        if kept.is_err() && listed {
            self.wants_snapshots = true;
        }
        kept.map_err(as_fault)
    }

    fn ship(
        &mut self,
        source: &mut dyn Source,
        stream: &str,
        listed: &[LogFile],
        everything: bool,
        pass: &mut Pass,
    ) -> Result<(), Fault> {
        if let Some(misfit) = self.misfits.get_mut(stream)
            && misfit.looks >= TRIES
            && !everything
        {
            misfit.rest += 1;
            if misfit.rest < REST {
                pass.apart.insert(stream.to_owned(), misfit.why.clone());
                return Ok(());
            }
            misfit.rest = 0;
        }
        let before = self.copies.get(stream).map(Copy::seq);
        let outcome = self.bring(source, stream, listed, everything);
        match outcome {
            Ok(seq) => {
                if self
                    .misfits
                    .remove(stream)
                    .is_some_and(|one| one.looks >= TRIES)
                {
                    tracing::info!(stream, "the journal `{stream}` follows the source again");
                }
                pass.changed |= before != Some(seq);
                pass.seqs.insert(stream.to_owned(), seq);
                Ok(())
            }
            Err(Trouble::Apart(why)) => {
                self.copies.remove(stream);
                self.misfit(stream, &why, pass).map_err(Fault::Own)
            }
            Err(trouble) => {
                // Where it stands is read off the files again.
                self.copies.remove(stream);
                Err(as_fault(trouble))
            }
        }
    }

    fn bring(
        &mut self,
        source: &mut dyn Source,
        stream: &str,
        listed: &[LogFile],
        everything: bool,
    ) -> Result<u64, Trouble> {
        let logs = self.options.home.join("logs");
        let copy = match self.copies.entry(stream.to_owned()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Copy::open(&*self.files, &logs, stream)?)
            }
        };
        let mut means = Means {
            files: &*self.files,
            logs: &logs,
            staging: &self.options.home.join(".echopilot/shipping"),
            source,
            takes_damaged: self.options.takes_damaged,
            everything,
        };
        copy.ship(&mut means, listed)?;
        Ok(copy.seq())
    }

    /// Remembers that a journal does not fit, says so once it is sure, and sets it aside if that is
    /// wanted.
    fn misfit(&mut self, stream: &str, why: &str, pass: &mut Pass) -> io::Result<()> {
        let misfit = self.misfits.entry(stream.to_owned()).or_default();
        misfit.looks += 1;
        why.clone_into(&mut misfit.why);
        pass.apart.insert(stream.to_owned(), why.to_owned());
        if misfit.looks != TRIES {
            return Ok(());
        }
        if self.options.begins_anew {
            self.misfits.remove(stream);
            tracing::warn!(stream, "set aside, to be fetched anew: {why}");
            return self.aside(stream);
        }
        tracing::error!(
            stream,
            "the journal `{stream}` is not followed any more: {why}; what is here stays as it is. \
             Mend the source, or start the standby with --begin-anew, which sets `{stream}` aside \
             and fetches it again"
        );
        Ok(())
    }

    fn aside(&self, stream: &str) -> io::Result<()> {
        let logs = self.options.home.join("logs");
        let mine: BTreeSet<String> = self
            .files
            .list(&logs)?
            .into_iter()
            .filter(|file| names::parse(file).is_some_and(|(name, _)| name == stream))
            .collect();
        for file in mine {
            set_aside(&*self.files, &logs, &file)?;
        }
        // Checkpoints of what was counted in it are checked against their marks by whoever reads
        // them.
        Ok(())
    }
}

fn as_fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Source(error) => Fault::Source(error),
        Trouble::Own(error) => Fault::Own(error),
        Trouble::Apart(found) => Fault::Source(SourceError::Odd {
            what: "the source".to_owned(),
            found,
        }),
    }
}
