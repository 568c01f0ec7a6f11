//! What `logs/probes.ndjson` says of probes that are not well: the fold a start begins with.

use std::collections::BTreeMap;

use super::event::ProbeLine;
use super::judge::CertLevel;
use super::logic::{Phase, Standing};

/// What the journal says of probes that are not well.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// Where they stand, by name.
    pub(super) standings: BTreeMap<String, Standing>,
    /// How near the ends of their certificates are, by name.
    pub(super) certs: BTreeMap<String, CertLevel>,
}

impl Restored {
    /// Folds one line.
    pub(super) fn fold(&mut self, line: ProbeLine) {
        let phase = match line.kind.as_str() {
            "probe.opened" => Phase::Down,
            "probe.suppressed" => Phase::Suppressed,
            "probe.closed" | "probe.released" => {
                self.standings.remove(&line.probe);
                return;
            }
            "probe.reminded" => {
                if let Some(standing) = self.standings.get_mut(&line.probe) {
                    standing.told_at = Some(line.ts);
                }
                return;
            }
            "certificate.flagged" => {
                let level = CertLevel::read(line.level.as_deref().unwrap_or_default());
                self.certs.insert(line.probe, level);
                return;
            }
            _ => return,
        };
        let standing = Standing {
            phase,
            since: Some(line.ts),
            failures: 1,
            successes: 0,
            failing_since: line.failing_since.or(Some(line.ts)),
            reason: line.reason.unwrap_or_default(),
            told_at: Some(line.ts),
        };
        self.standings.insert(line.probe, standing);
    }
}
