//! Refusals of the floors below in HTTP's words.

use http::StatusCode;

use super::HttpError;
use crate::platform::config::{EditError, LINK_HINT};
use crate::storage::engine::{Barred, DocumentError, StorageError};

/// Seconds a caller should wait before trying again while storage refuses: it looks for room at
/// least every five seconds.
const RETRY_AFTER_SECS: u32 = 5;

impl From<StorageError> for HttpError {
    fn from(error: StorageError) -> Self {
        let unavailable = |code, detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECS)
        };
        match error {
            StorageError::Barred { ref why, .. } => {
                unavailable(why.code(), &why.to_string()).hint(why.hint())
            }
            StorageError::Full { .. } => unavailable(
                "storage_full",
                "the disk is too full to write; nothing was written",
            )
            .hint("make room on the disk; writing goes on by itself"),
            StorageError::Failed { .. } => unavailable(
                "storage_failed",
                "the disk refuses writes; nothing was acknowledged",
            )
            .hint("see the server's log; send it again with the same `id`"),
            StorageError::Closed => {
                unavailable("stopping", "the server is stopping").hint("send it again in a moment")
            }
            StorageError::Moved { .. } => Self::new(
                StatusCode::CONFLICT,
                "stream_moved",
                "somebody else has appended in the meantime",
            )
            .hint("read again and repeat the call"),
            StorageError::NoStream { ref stream } => {
                Self::not_found("log_not_found", format!("there is no log `{stream}`"))
            }
            StorageError::BadMark { .. } | StorageError::Unreadable { .. } => {
                use std::error::Error as _;
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                Self::internal(&format!("{error}: {cause}"))
            }
        }
    }
}

impl<E: std::fmt::Display> From<EditError<E>> for HttpError {
    fn from(error: EditError<E>) -> Self {
        match error {
            EditError::Moved {
                ref expected,
                ref found,
                ..
            } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "revision_moved",
                error.to_string(),
            )
            .hint("somebody changed the file first: read again and repeat the change")
            .with("expected", expected.as_str())
            .with("found", found.as_str()),
            EditError::Invalid(problems) => super::extract::refused("change", &problems),
            EditError::Document(DocumentError::Io { name, source }) if is_full(&source) => {
                StorageError::Full { stream: name }.into()
            }
            EditError::Document(ref document @ DocumentError::Link { .. }) => {
                Self::new(StatusCode::CONFLICT, "not_editable", document.to_string())
                    .hint(LINK_HINT)
            }
            EditError::Document(ref document) => {
                if let DocumentError::Io { name, source } = document
                    && let Some(why) = Barred::of_io(source)
                {
                    let stream = name.clone();
                    return StorageError::Barred { stream, why }.into();
                }
                let cause = std::error::Error::source(document);
                let cause = cause.map(ToString::to_string).unwrap_or_default();
                tracing::error!("a change was not saved: {document}: {cause}");
                let detail = "the file cannot be read or written";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_failed", detail)
                    .retry_after(RETRY_AFTER_SECS)
                    .hint(
                        "see the server's log; check the owner and mode of the file and its folder",
                    )
            }
            EditError::Text(fault) => {
                Self::new(StatusCode::CONFLICT, "not_editable", fault.to_string())
                    .hint("mend the file by hand; `echopilot check` shows where")
            }
            EditError::Refused(why) => Self::bad_request("refused", why.to_string()),
            EditError::Unknown { file } => Self::internal(&format!("`{file}` is not registered")),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}
