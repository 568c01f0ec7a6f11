//! Refusals in HTTP's words. Only here and in `api` are status codes known.

use http::StatusCode;

use super::query::QueryFault;
use super::refusal::{Refusal, shortened};
use crate::platform::http::HttpError;

/// The first call under an id was refused by storage while its repetition waited.
pub(super) fn lost() -> HttpError {
    let detail = "nothing was recorded: the earlier call under this id was refused by storage";
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "storage_failed", detail)
        .hint("send it again")
        .retry_after(1)
}

impl From<QueryFault> for HttpError {
    fn from(fault: QueryFault) -> Self {
        let (code, detail, hint) = match fault {
            QueryFault::Unknown(name) => (
                "unknown_parameter",
                format!("unknown query parameter `{}`", shortened(&name)),
                "see `echopilot api` for what the route takes",
            ),
            QueryFault::Twice(name) => (
                "duplicate_parameter",
                format!("the query parameter `{name}` is given twice"),
                "give it once",
            ),
            QueryFault::Encoding(name) => (
                "bad_encoding",
                format!(
                    "the query parameter `{}` is not percent-encoded UTF-8",
                    shortened(&name)
                ),
                "write a literal `%` as `%25`",
            ),
        };
        Self::bad_request(code, detail).hint(hint)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let (status, code) = status_of(&refusal);
        let error = Self::new(status, code, detail);
        match refusal {
            Refusal::UnknownExperiment { nearest, .. } => {
                let hint = match &nearest {
                    Some(name) => format!("did you mean `{name}`? see /api/exp/list"),
                    None => "see /api/exp/list, or add it to configs/experiments.json".to_owned(),
                };
                with_nearest(error, nearest).hint(hint)
            }
            Refusal::UnknownMember { nearest, .. } => {
                let hint = "members are `event`, `user`, `exp`, `variant`, `value`, `id`";
                with_nearest(error, nearest.map(str::to_owned)).hint(hint)
            }
            Refusal::UnknownVariant { allowed, .. } => error
                .with("allowed", allowed)
                .hint("send the variant that assign answered"),
            Refusal::NotRunning { .. } => {
                error.hint("set its `status` to \"running\" in configs/experiments.json")
            }
            Refusal::IdConflict { .. } => error.hint("use a fresh id for each event"),
            Refusal::TooManyEvents { .. } => {
                error.hint("put what varies into `value`, not into the event's name")
            }
            Refusal::BadUser { .. } | Refusal::BadId { .. } | Refusal::BadEvent { .. } => error,
            Refusal::Missing { .. } | Refusal::BadBody { .. } => error.hint(
                r#"send {"event":"signup","user":"user123","exp":"pricing_v2","variant":"A"}"#,
            ),
        }
    }
}

fn with_nearest(error: HttpError, nearest: Option<String>) -> HttpError {
    match nearest {
        Some(nearest) => error.with("nearest", nearest),
        None => error,
    }
}

fn status_of(refusal: &Refusal) -> (StatusCode, &'static str) {
    use super::model::Status;
    match refusal {
        Refusal::UnknownExperiment { .. } => (StatusCode::NOT_FOUND, "experiment_not_found"),
        Refusal::NotRunning {
            status: Status::Stopped,
            ..
        } => (StatusCode::CONFLICT, "experiment_stopped"),
        Refusal::NotRunning { .. } => (StatusCode::CONFLICT, "experiment_draft"),
        Refusal::IdConflict { .. } => (StatusCode::CONFLICT, "id_conflict"),
        Refusal::BadUser { .. } => (StatusCode::BAD_REQUEST, "bad_user"),
        Refusal::UnknownVariant { .. } => (StatusCode::BAD_REQUEST, "unknown_variant"),
        Refusal::BadEvent { .. } => (StatusCode::BAD_REQUEST, "bad_event"),
        Refusal::TooManyEvents { .. } => (StatusCode::BAD_REQUEST, "too_many_events"),
        Refusal::BadId { .. } => (StatusCode::BAD_REQUEST, "bad_id"),
        Refusal::UnknownMember { .. } => (StatusCode::BAD_REQUEST, "unknown_member"),
        Refusal::Missing { .. } => (StatusCode::BAD_REQUEST, "missing_member"),
        Refusal::BadBody { .. } => (StatusCode::BAD_REQUEST, "bad_body"),
    }
}
