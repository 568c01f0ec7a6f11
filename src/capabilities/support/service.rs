//! The inbox, running: one visit at a time, its digest, and what that means for the alert events.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use futures_util::FutureExt as _;

use super::config::{SupportConfig, SupportRules};
use super::event::{Event, Failed, Line, STREAM};
use super::findings;
use super::imap::fault::MailFault;
use super::imap::oauth::{Doors, Tokens};
use super::imap::sasl::SignIn;
use super::imap::session::{Door, Session};
use super::imap::sync::{Visited, Wish, visit};
use super::keeper::{Book, Visit};
use super::model::{Kind, Mail};
use super::reach::{self, Found, Reach, Way};
use super::report::{FILE, Report};
use super::triage::{self, DayCounts, Digest};
use super::view::{Entry, Failures, SupportView};
use crate::platform::config::{Accepted, DaemonRules, Live};
use crate::platform::lifecycle::{Tasks, within};
use crate::platform::wiring::{Seams, Wiring};
use crate::platform::{alerts::Alerts, changes::Changes};
use crate::seams::outbound::Limits;
use crate::storage::engine::{Mark, StorageError};
use crate::storage::journal::{Journal, each_line};

/// How long a whole visit may take, the farewell not counted.
const VISIT: Duration = Duration::from_secs(45);
/// How long a run may take whatever happens: below the minute that an answer may take.
const RUN: Duration = Duration::from_secs(50);
/// Sign-ins that are refused are tried again after 2 hours, then after twice as long each time.
const FIRST_PAUSE: TimeDelta = TimeDelta::hours(2);
/// The longest pause between two tries.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(24);
/// Failures of other kinds in a row after which pauses grow.
const PATIENT: u32 = 3;

/// Days without a visit after which how far a mailbox was read need not be known any more: it is
/// none of ours.
const MAILBOX_DAYS: i64 = 400;

/// The inbox.
#[derive(Debug)]
pub(super) struct Support {
    pub(super) live: Live<SupportRules>,
    pub(super) book: Book,
    digests: Journal,
    daemon: Live<DaemonRules>,
    seams: Seams,
    alerts: Alerts,
    changes: Changes,
    tasks: Tasks,
    tokens: Tokens,
    /// One visit at a time.
    turn: tokio::sync::Mutex<()>,
    latest: Mutex<Option<Arc<Report>>>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ran {
    /// The mailbox was read.
    Made(Arc<Report>),
    /// No mailbox is to be read, and why.
    Dry(Arc<Report>, String),
    /// Nothing was done, for earlier visits failed.
    Held(String),
}

impl Support {
    /// Folds the journal and is ready.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<SupportConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let digests = wiring.opened(super::report::STREAM)?;
        let mut view = SupportView::default();
        each_line(&*wiring.engine, STREAM, &Mark::default(), |line| {
            if let Some(line) = Line::parse(line) {
                view.take(line.seq, line.ts, line.event);
            }
        })?;
        view.prune(wiring.clock.now() - live.get().rules.retention);
        let book = Book::new(journal, view);
        let (held, clock) = (book.clone(), Arc::clone(&wiring.clock));
        wiring.holds.add(STREAM, move || {
            let forgotten = clock.now() - TimeDelta::days(MAILBOX_DAYS);
            held.view().needed_from(forgotten)
        });
        Ok(Arc::new(Self {
            live,
            book,
            digests,
            daemon: wiring.daemon.clone(),
            seams: wiring.seams.clone(),
            alerts: wiring.alerts.clone(),
            changes: wiring.changes.clone(),
            tasks: wiring.tasks.clone(),
            tokens: Tokens::default(),
            turn: tokio::sync::Mutex::default(),
            latest: Mutex::default(),
        }))
    }

    /// Reads the mailbox and makes a digest. The visit goes on where the caller goes away, so that
    /// the server is always told goodbye. `is_asked`: a person wants it, whatever failed before.
    pub(super) async fn run(self: &Arc<Self>, is_asked: bool) -> Result<Ran, MailFault> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let own = Arc::clone(self);
        self.tasks.spawn("support-visit", async move {
            let outcome = Box::pin(own.turn(is_asked)).await;
            // Nobody may be left to be told.
            let _gone = tell.send(outcome);
        });
        let outcome = told.await;
        outcome.unwrap_or(Err(MailFault::Storage(StorageError::Closed)))
    }

    async fn turn(&self, is_asked: bool) -> Result<Ran, MailFault> {
        let _turn = self.turn.lock().await;
        let now = self.seams.clock.now().trunc_subsecs(3);
        let rules = self.live.get_full();
        self.book.view().prune(now - rules.rules.retention);
        let allow = Arc::clone(&self.daemon.get().rules.outbound);
        let read = match reach::find(&rules.rules, &self.seams.secrets, &allow) {
            Ok(Found::Missing(reason)) => {
                findings::none_to_read(&self.alerts, &reason, now);
                let report = self.publish(Report::sample(&reason, now)).await;
                return Ok(Ran::Dry(report, reason));
            }
            Ok(Found::Whole(reach)) => {
                let failures = self.book.view().failures();
                if let Some(until) = failures.and_then(paused_until)
                    && !is_asked
                    && now < until
                    // A clock that was put back holds nothing up.
                    && failures.is_some_and(|failures| failures.last <= now)
                {
                    return Ok(Ran::Held(held(failures, until)));
                }
                self.guarded(*reach, &rules, now).await
            }
            Err(fault) => Err(fault),
        };
        match read {
            Ok((visited, server_alerts)) => {
                if self.book.view().failures().is_some() {
                    self.book.write(vec![Event::Recovered], now).await?;
                }
                findings::recovered(&self.alerts, "the support mailbox was read again", now);
                self.digest(&rules, visited, server_alerts, now).await
            }
            Err(fault) => {
                self.failed(&fault, now).await;
                Err(fault)
            }
        }
    }

    /// A visit, panics fenced, that ends in time whatever happens.
    async fn guarded(
        &self,
        reach: Reach,
        rules: &Arc<Accepted<SupportRules>>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Visited>, Vec<String>), MailFault> {
        let host = reach.target.to_string();
        let doing = "reading the mailbox";
        let visit = AssertUnwindSafe(Box::pin(self.visit(reach, rules, now))).catch_unwind();
        let stop = self.tasks.soft().clone();
        let visit = stop.run_until_cancelled(visit);
        match within(&*self.seams.clock, RUN, visit).await {
            Some(Some(Ok(outcome))) => outcome,
            Some(Some(Err(_))) => Err(MailFault::Panicked { host }),
            Some(None) => Err(MailFault::Storage(StorageError::Closed)),
            None => Err(MailFault::TimeIsUp { host, doing }),
        }
    }

    async fn visit(
        &self,
        reach: Reach,
        rules: &Arc<Accepted<SupportRules>>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Visited>, Vec<String>), MailFault> {
        let connection = &rules.rules.connection;
        let clock = &self.seams.clock;
        let ends = clock.uptime() + VISIT;
        let sign_in = match reach.way {
            Way::Password(password) => SignIn::Password(reach.user.clone(), password),
            Way::Token(oauth) => {
                let doors = Doors {
                    outbound: &*self.seams.outbound,
                    clock: &**clock,
                    // Where tokens are given out is written in a file: only its own rules hold.
                    allow: &Arc::clone(&self.daemon.get().rules.outbound),
                    limits: Limits::of(connection.timeout),
                };
                let token = self.tokens.token(doors, &oauth, &self.seams.secrets);
                SignIn::Token(reach.user.clone(), token.await?)
            }
        };
        let door = Door {
            outbound: Arc::clone(&self.seams.outbound),
            clock: Arc::clone(clock),
            allow: reach.allow,
            target: reach.target,
            security: connection.security,
            each: connection.timeout,
            ends,
        };
        let mut session = match Session::enter(door, &sign_in).await {
            Ok(session) => session,
            Err(fault) => {
                if fault.is_sign_in() {
                    self.tokens.forget();
                }
                return Err(fault);
            }
        };
        let mut keeper = Visit {
            book: self.book.clone(),
            rules: Arc::clone(rules),
            user: reach.user,
            now,
        };
        let wish = Wish {
            mailboxes: &connection.mailboxes,
            sent: connection.sent_mailbox.as_deref(),
            oldest: now - rules.rules.retention,
            now,
        };
        let visited = visit(&mut session, wish, &mut keeper).await;
        let alerts = session.alerts().to_vec();
        session.leave().await;
        Ok((visited?, alerts))
    }

    async fn failed(&self, fault: &MailFault, now: DateTime<Utc>) {
        if matches!(fault, MailFault::Storage(_)) {
            return;
        }
        let failed = Failed {
            fault: fault.kind().to_owned(),
            text: fault.told(),
            is_sign_in: fault.is_sign_in(),
        };
        if let Err(error) = self.book.write(vec![Event::Failed(failed)], now).await {
            tracing::warn!("a failed visit of the mailbox is not on record: {error}");
        }
        if let Some(failures) = self.book.view().failures() {
            findings::failed(&self.alerts, fault, failures, now);
        }
    }

    async fn digest(
        &self,
        rules: &Arc<Accepted<SupportRules>>,
        visited: Vec<Visited>,
        server_alerts: Vec<String>,
        now: DateTime<Utc>,
    ) -> Result<Ran, MailFault> {
        let digest = self.compose(rules, now).await?;
        findings::tell(&self.alerts, &self.changes, &digest, now);
        let mut report = Report::of(&digest, Some(now));
        report.mailboxes = visited.into_iter().map(Into::into).collect();
        report.server_alerts = server_alerts;
        let line = report.line(&digest, now);
        let report = self.publish(report).await;
        self.digests.append(line, None, None).await?;
        Ok(Ran::Made(report))
    }

    /// The digest of what is known, without a visit.
    async fn compose(
        &self,
        rules: &Arc<Accepted<SupportRules>>,
        now: DateTime<Utc>,
    ) -> Result<Digest, MailFault> {
        let (book, rules) = (self.book.clone(), Arc::clone(rules));
        let composed = tokio::task::spawn_blocking(move || {
            let known: Vec<Entry> = book.view().mails().values().cloned().collect();
            compose(known, &rules.rules, now)
        });
        composed.await.map_err(|_| MailFault::Panicked {
            host: "the mail server".into(),
        })
    }

    /// Keeps the report in memory and in `logs/`.
    async fn publish(&self, report: Report) -> Arc<Report> {
        let report = Arc::new(report);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&report));
        let (text, journal) = (report.text(), self.digests.clone());
        let save = move || journal.engine().save_report(FILE, &text);
        match tokio::task::spawn_blocking(save).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("cannot save `{FILE}`: {error}"),
            Err(_) => tracing::warn!("saving `{FILE}` did not end"),
        }
        report
    }

    /// The latest report; of what is on record where this process has made none.
    pub(super) async fn latest(&self, now: DateTime<Utc>) -> Result<Arc<Report>, MailFault> {
        let latest = self
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(latest) = latest {
            return Ok(latest);
        }
        let rules = self.live.get_full();
        let digest = self.compose(&rules, now).await?;
        Ok(Arc::new(Report::of(&digest, None)))
    }
}

fn compose(known: Vec<Entry>, rules: &SupportRules, now: DateTime<Utc>) -> Digest {
    let (mut mails, mut answers): (Vec<Mail>, Vec<Mail>) = (Vec::new(), Vec::new());
    let mut days = DayCounts::new();
    for entry in known {
        let mut mail = Arc::unwrap_or_clone(entry.mail);
        if entry.is_sent {
            answers.push(mail);
            continue;
        }
        if mail.kind == Kind::Person {
            *days.entry(rules.triage.day_of(mail.date)).or_default() += 1;
        }
        // What was put elsewhere was dealt with.
        if entry.is_gone {
            (mail.is_unread, mail.is_answered) = (false, true);
        }
        mails.push(mail);
    }
    let input = triage::Input {
        mails: &mails,
        answers: &answers,
        days: &days,
        most: rules.digest_mails,
    };
    triage::compose(&input, &rules.triage, now)
}

/// Until when a mailbox that failed is left alone.
fn paused_until(failures: Failures) -> Option<DateTime<Utc>> {
    let doublings = match failures {
        Failures { sign_ins: 1.., .. } => failures.sign_ins - 1,
        Failures { count, .. } if count >= PATIENT => count - PATIENT,
        _ => return None,
    };
    let pause = FIRST_PAUSE * 2_i32.pow(doublings.min(6));
    Some(failures.last + pause.min(LONGEST_PAUSE))
}

fn held(failures: Option<Failures>, until: DateTime<Utc>) -> String {
    let (what, count) = match failures {
        Some(Failures {
            sign_ins: sign_ins @ 1..,
            ..
        }) => ("the sign-in was refused", sign_ins),
        other => (
            "the mailbox was not read",
            other.map_or(0, |failures| failures.count),
        ),
    };
    let until = crate::base::time::stamp(until);
    format!("{what} {count} times in a row, the next try is after {until}")
}
