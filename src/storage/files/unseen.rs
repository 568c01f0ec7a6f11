//! Lines that a person could not see. Who saves an edited copy over an active log, as `sed -i` and
//! editors do, replaces it by what was in it when the copy was made. Lines written since are not in
//! the copy, and were not removed by anybody: they go on in the new file.

use std::collections::VecDeque;
use std::io;

use chrono::{DateTime, Utc};

use super::reading;
use super::segment::{self, Active};
use crate::storage::chain::Chain;
use crate::storage::line;

/// Batches of the active segment that are remembered. A copy that took longer than these did not
/// notice the log growing; at one batch a sync they are seconds of the heaviest load.
const REMEMBERED: usize = 8192;

#[derive(Debug)]
struct Batch {
    ended: DateTime<Utc>,
    offset: u64,
}

/// When the latest bytes of the active segment were written.
#[derive(Debug, Default)]
pub(super) struct Recent {
    batches: VecDeque<Batch>,
}

impl Recent {
    /// The bytes from `offset` on were written, just now.
    pub(super) fn wrote(&mut self, offset: u64, now: DateTime<Utc>) {
        if self.batches.len() == REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch { ended: now, offset });
    }

    /// Another file is the active segment.
    pub(super) fn forget(&mut self) {
        self.batches.clear();
    }

    /// Where the first batch stands that was written since `born`, in nanoseconds since 1970.
    fn since(&self, born: i128) -> Option<u64> {
        let late = self.batches.iter().find(|batch| {
            batch
                .ended
                .timestamp_nanos_opt()
                .is_some_and(|ended| i128::from(ended) >= born)
        });
        late.map(|batch| batch.offset)
    }

    /// What `old` holds since then, for the file that `chain` stands at the end of; each own line
    /// is linked to what stands before it now. Also whether no line between the two is missing.
    pub(super) fn carry(
        &self,
        old: &Active,
        born: i128,
        chain: &mut Chain,
    ) -> io::Result<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        let seen = chain.seq();
        let Some(offset) = self.since(born).filter(|_| seen > 0) else {
            return Ok((out, false));
        };
        let region = segment::read_back(&*old.file, offset, old.size)?;
        let mut whole = true;
        for bytes in reading::lines_of(&region) {
            let own = line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes));
            match own {
                Some(own) if own.seq > seen => {
                    whole &= own.seq == chain.seq() + 1;
                    chain.relink(&mut out, &own);
                }
                // In the copy already, or somebody's remark: that one is in its own hands.
                _ => {}
            }
        }
        whole &= !out.is_empty();
        Ok((out, whole))
    }
}
