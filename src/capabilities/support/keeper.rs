//! Keeps what a visit reads: mails are read off the serving threads, written in one group with how
//! far their mailbox is read, and known from then on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::config::SupportRules;
use super::event::{Event, ReadUpTo};
use super::imap::fault::MailFault;
use super::imap::sync::{Batch, Keeper, Keeping, Marks, Place};
use super::model::{Fetched, Mail};
use super::triage;
use super::view::SupportView;
use crate::platform::config::Accepted;
use crate::storage::engine::{Position, StorageError};
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;

/// The journal of mails and what it means.
#[derive(Debug, Clone)]
pub(super) struct Book {
    journal: Journal,
    view: Arc<Mutex<SupportView>>,
}

impl Book {
    /// The journal, with what it means so far.
    pub(super) fn new(journal: Journal, view: SupportView) -> Self {
        let view = Arc::new(Mutex::new(view));
        Self { journal, view }
    }

    /// The view, for as long as the guard lives; never across an await.
    pub(super) fn view(&self) -> MutexGuard<'_, SupportView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `events` in one group; they are known once they are on record.
    pub(super) async fn write(
        &self,
        events: Vec<Event>,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut lines = Lines::new();
        for event in &events {
            event.push(&mut lines, now);
        }
        let view = Arc::clone(&self.view);
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
                for (seq, event) in (position.first..).zip(events) {
                    view.take(seq, now, event);
                }
            }
        };
        let written = self.journal.append(lines, None, Some(Box::new(committed)));
        written.await.map(drop)
    }
}

/// Keeps what one visit reads.
#[derive(Debug)]
pub(super) struct Visit {
    /// The journal.
    pub book: Book,
    /// The rules in force when it began.
    pub rules: Arc<Accepted<SupportRules>>,
    /// Who signs in: often an address of ours.
    pub user: String,
    /// When it began.
    pub now: DateTime<Utc>,
}

impl Keeper for Visit {
    fn place(&self, mailbox: &str) -> Option<Place> {
        self.book.view().place(mailbox).cloned()
    }

    fn keep(&mut self, batch: Batch) -> Keeping<'_> {
        Box::pin(async move {
            let Batch {
                mailbox,
                place,
                mails,
            } = batch;
            let mut events = self.met(mails).await?;
            events.push(Event::Read(ReadUpTo::new(&mailbox, &place)));
            self.book.write(events, self.now).await?;
            Ok(())
        })
    }

    fn marked_from(&self, mailbox: &str) -> Option<u32> {
        self.book.view().marked_from(mailbox)
    }

    fn mark(&mut self, marks: Marks) -> Keeping<'_> {
        Box::pin(async move {
            let changed = self.book.view().changed(&marks);
            self.book.write(changed, self.now).await?;
            Ok(())
        })
    }
}

impl Visit {
    /// What becomes of fetched mails.
    async fn met(&self, mails: Vec<Fetched>) -> Result<Vec<Event>, MailFault> {
        if mails.is_empty() {
            return Ok(Vec::new());
        }
        let (rules, user) = (Arc::clone(&self.rules), self.user.clone());
        // Reading mails is more than a moment's work: not on the threads that serve.
        let read = tokio::task::spawn_blocking(move || {
            let rules = rules.rules.triage.clone().with_own(&user);
            let read = |fetched: &Fetched| (read_one(fetched, &rules), fetched.is_sent);
            mails.iter().map(read).collect::<Vec<_>>()
        });
        let read = read.await.map_err(|_| MailFault::Panicked {
            host: "the mail server".into(),
        })?;
        let view = self.book.view();
        let (met, mut found) = (read.into_iter(), BTreeSet::new());
        Ok(met
            .filter_map(|(mail, is_sent)| view.met(mail, is_sent, &mut found))
            .collect())
    }
}

/// Reads a mail. Should reading fail by a fault of ours, the mail counts all the same: what is
/// read of it then is nothing but its size and date.
fn read_one(fetched: &Fetched, rules: &triage::Rules) -> Mail {
    let read = |fetched: &Fetched| triage::read(fetched, rules);
    catch_unwind(AssertUnwindSafe(|| read(fetched))).unwrap_or_else(|_| {
        tracing::error!(
            "mail {} of `{}` could not be read",
            fetched.uid,
            fetched.mailbox
        );
        let bare = Fetched {
            head: bytes::Bytes::new(),
            body: bytes::Bytes::new(),
            ..fetched.clone()
        };
        read(&bare)
    })
}
