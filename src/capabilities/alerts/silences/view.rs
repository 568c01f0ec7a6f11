//! What the journal of silences means now. Changed by committed lines only, on the journal's writer
//! thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Event, Line};
use super::model::Silence;
use crate::storage::lines::Lines;
use crate::storage::view::{LineBatch, Reader, View, put_bytes, put_u64};

/// How long what is over is still shown: five days, as with Alertmanager. The journal keeps it.
const SHOWN: TimeDelta = TimeDelta::days(5);

/// The view.
#[derive(Debug, Default)]
pub(super) struct SilencesView {
    silences: BTreeMap<String, Arc<Silence>>,
    last_seq: u64,
}

impl SilencesView {
    /// The silence `id`.
    pub(super) fn find(&self, id: &str) -> Option<&Arc<Silence>> {
        self.silences.get(id)
    }

    /// All that are known, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.silences.values()
    }

    /// How many are not over at `now`.
    pub(super) fn standing(&self, now: DateTime<Utc>) -> usize {
        self.all().filter(|silence| silence.ends_at > now).count()
    }

    /// Takes in what happened at `at`.
    pub(super) fn apply_event(&mut self, event: Event, at: DateTime<Utc>) {
        match event {
            Event::Created { silence, .. } | Event::Changed(silence) => {
                self.silences.insert(silence.id.clone(), Arc::new(silence));
            }
            Event::Expired { id, .. } => {
                if let Some(silence) = self.silences.get_mut(&id) {
                    let silence = Arc::make_mut(silence);
                    silence.ends_at = silence.ends_at.min(at);
                    silence.starts_at = silence.starts_at.min(at);
                    silence.changed_at = at;
                }
            }
        }
        if let Some(oldest) = at.checked_sub_signed(SHOWN) {
            self.silences.retain(|_, silence| silence.ends_at > oldest);
        }
    }
}

impl View for SilencesView {
    const NAME: &'static str = "silences";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = LineBatch<(Event, DateTime<Utc>)>;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        batch.read(lines, |line| {
            let line: Line = serde_json::from_slice(line).ok()?;
            let (seq, at) = (line.seq, line.ts);
            Some((seq, line.event().map(|event| (event, at))))
        });
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        let last = batch.take(|(event, at)| self.apply_event(event, at));
        self.reached(last);
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    /// As lines of the journal: whatever reads those reads this.
    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.last_seq);
        for silence in self.silences.values() {
            let mut lines = Lines::new();
            Event::Changed(Silence::clone(silence)).push(&mut lines, silence.changed_at);
            for (entry, members) in lines.iter() {
                let mut line = format!(
                    r#"{{"seq":0,"ts":"{}","kind":"{}","#,
                    crate::base::time::stamp(entry.at),
                    entry.kind
                )
                .into_bytes();
                line.extend_from_slice(members);
                line.push(b'}');
                put_bytes(out, &line);
            }
        }
        put_bytes(out, b"");
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let last_seq = saved.u64()?;
        let mut silences = BTreeMap::new();
        loop {
            let line = saved.bytes()?;
            if line.is_empty() {
                return Some(Self { silences, last_seq });
            }
            let line = serde_json::from_slice::<Line>(line).ok()?;
            let Event::Changed(silence) = line.event()? else {
                return None;
            };
            silences.insert(silence.id.clone(), Arc::new(silence));
        }
    }
}
