//! Refusals of the floors below in HTTP's words.

use super::HttpError;
use crate::storage::engine::StorageError;
use http::StatusCode;

/// Seconds a caller should wait before trying again while storage refuses: it looks for room at
/// least every five seconds.
const RETRY_AFTER_SECS: u32 = 5;

impl From<StorageError> for HttpError {
    fn from(error: StorageError) -> Self {
        let unavailable = |code, detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECS)
        };
        match error {
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
