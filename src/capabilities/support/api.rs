//! The inbox over HTTP: translates in, calls one verb, translates out.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::imap::fault::MailFault;
use super::model::{Kind, Mail};
use super::report::Report;
use super::service::{Ran, Support};
use super::view::Entry;
use crate::base::names;
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// Mails given where the caller names no number.
const DEFAULT_MAILS: usize = 50;
/// Mails given at most in one answer.
const MOST_MAILS: usize = 1000;

type Inbox = State<Arc<Support>>;

/// The rows of the route table.
pub(super) fn routes(support: &Arc<Support>) -> Routes {
    let state = || Arc::clone(support);
    vec![
        Route::post(
            "/api/support/digest",
            Scope::Operate,
            "read the support mailbox now, without marking a mail, and give the digest",
        )
        .takes::<DigestRequest>("{}")
        .gives::<Report>()
        .handler(post(run).with_state(state())),
        Route::get(
            "/api/support/digest",
            Scope::Read,
            "the latest digest of the support mailbox",
        )
        .gives::<Report>()
        .handler(get(latest).with_state(state())),
        Route::get(
            "/api/support/mails",
            Scope::Read,
            "the mails that are remembered, the newest first: facts, no texts",
        )
        .query("kind=person&unread=true&limit=50")
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::get(
            "/api/support/mails/{id}",
            Scope::Read,
            "one mail that is remembered, with how it was judged and why",
        )
        .gives::<MailReply>()
        .handler(get(show).with_state(state())),
    ]
}

/// Body of `POST /api/support/digest`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DigestRequest {}

async fn run(
    State(support): Inbox,
    JsonBody(DigestRequest {}): JsonBody<DigestRequest>,
) -> Result<Reply<Report>, HttpError> {
    match support.run(true).await? {
        Ran::Made(report) | Ran::Dry(report, _) => Ok(Reply::ok(Report::clone(&report))),
        // Whoever asks is never put off.
        Ran::Held(reason) => Err(HttpError::internal(&reason)),
    }
}

async fn latest(State(support): Inbox, call: Call) -> Result<Reply<Report>, HttpError> {
    let report = support.latest(call.now).await?;
    Ok(Reply::ok(Report::clone(&report)))
}

/// Query of `GET /api/support/mails`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    unread: Option<bool>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Answer of `GET /api/support/mails`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// Mails given.
    count: usize,
    /// Mails that fit, given or not.
    total: usize,
    /// The mails, the newest first.
    mails: Vec<RowReply>,
}

/// A mail in a list.
#[derive(Serialize, JsonSchema)]
struct RowReply {
    /// Its number here.
    id: u64,
    /// Who wrote it.
    from: String,
    /// The subject.
    subject: String,
    /// When it was sent, UTC.
    date: String,
    /// Its own id.
    message_id: String,
    /// What it is: `person`, `list`, `bulk`, `auto_reply`, `bounce`, `own` or `spam`.
    kind: String,
    /// How soon it wants an answer by what it says: `low`, `normal`, `high` or `urgent`.
    urgency: String,
    /// What it is about.
    category: String,
    /// Whether nobody has opened it.
    is_unread: bool,
    /// Whether it was marked as answered.
    is_answered: bool,
    /// Whether it is not in the mailbox any more.
    is_gone: bool,
}

impl RowReply {
    fn of(id: u64, entry: &Entry) -> Self {
        let mail = &entry.mail;
        Self {
            id,
            from: from(mail),
            subject: mail.subject.clone(),
            date: stamp(mail.date),
            message_id: mail.message_id.clone(),
            kind: mail.kind.word().to_owned(),
            urgency: mail.urgency.class.word().to_owned(),
            category: mail.category.word().to_owned(),
            is_unread: mail.is_unread,
            is_answered: mail.is_answered,
            is_gone: entry.is_gone,
        }
    }
}

/// Answer of `GET /api/support/mails/{id}`.
#[derive(Serialize, JsonSchema)]
struct MailReply {
    #[serde(flatten)]
    row: RowReply,
    /// All that is kept of it: see `docs/support.md`.
    mail: Value,
}

fn from(mail: &Mail) -> String {
    match (mail.from.name.as_str(), mail.from.address.as_str()) {
        ("", address) => address.to_owned(),
        (name, "") => name.to_owned(),
        (name, address) => format!("{name} <{address}>"),
    }
}

async fn list(
    State(support): Inbox,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Reply<ListReply>, HttpError> {
    let kind = query.kind.as_deref().map(kind_of).transpose()?;
    let limit = query.limit.unwrap_or(DEFAULT_MAILS);
    if !(1..=MOST_MAILS).contains(&limit) {
        let told = format!("`limit` is {limit}, must be 1..={MOST_MAILS}");
        return Err(HttpError::bad_request("bad_limit", told));
    }
    let fits = |entry: &Entry| {
        kind.is_none_or(|kind| entry.mail.kind == kind)
            && query
                .unread
                .is_none_or(|unread| entry.mail.is_unread == unread)
    };
    let mut found: Vec<(u64, Entry)> = {
        let view = support.book.view();
        let mails = view.mails().iter().filter(|(_, entry)| fits(entry));
        mails.map(|(id, entry)| (*id, entry.clone())).collect()
    };
    found.sort_by_key(|(id, entry)| std::cmp::Reverse((entry.mail.date, *id)));
    let total = found.len();
    found.truncate(limit);
    let rows = found.iter().map(|(id, entry)| RowReply::of(*id, entry));
    let mails: Vec<RowReply> = rows.collect();
    Ok(Reply::ok(ListReply {
        count: mails.len(),
        total,
        mails,
    }))
}

fn kind_of(text: &str) -> Result<Kind, HttpError> {
    let known = Kind::ALL.into_iter().find(|kind| kind.word() == text);
    known.ok_or_else(|| {
        let words = Kind::ALL.map(Kind::word);
        let told = format!("`kind` is `{text}`, must be one of {}", words.join(", "));
        let error = HttpError::bad_request("bad_kind", told);
        match names::nearest(text, words) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    })
}

async fn show(
    State(support): Inbox,
    Path(id): Path<String>,
) -> Result<Reply<MailReply>, HttpError> {
    let found = id.parse().ok().and_then(|id: u64| {
        let entry = support.book.view().mails().get(&id).cloned();
        Some((id, entry?))
    });
    let Some((id, entry)) = found else {
        let told = format!("no mail `{id}` is remembered");
        let error = HttpError::not_found("mail_not_found", told);
        return Err(error.hint("`echopilot support list` lists them"));
    };
    let row = RowReply::of(id, &entry);
    let mail = serde_json::to_value(&*entry.mail).unwrap_or_default();
    Ok(Reply::ok(MailReply { row, mail }))
}

impl From<MailFault> for HttpError {
    fn from(fault: MailFault) -> Self {
        let fault = match fault {
            MailFault::Storage(error) => return error.into(),
            other => other,
        };
        let error = Self::new(
            StatusCode::BAD_GATEWAY,
            "mailbox_not_read",
            fault.to_string(),
        );
        error.hint(fault.hint()).with("fault", fault.kind())
    }
}
