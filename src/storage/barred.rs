//! Why a home takes no changes though its medium would: several copies of one home exist, and at
//! most one of them may write.

use std::sync::Arc;

/// Why a home takes no lines though its medium would: another copy of it may write, or may have
/// begun to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// It follows another home.
    #[error("this is a standby of `{primary}`, only that one takes changes")]
    Standby {
        /// Where the primary is.
        primary: String,
    },
    /// Another copy took over.
    #[error("`{by}` took over with epoch {epoch}, this home takes no changes any more")]
    Fenced {
        /// The epoch of whoever took over.
        epoch: u64,
        /// Where it is.
        by: String,
    },
    /// A copy that follows this home may have taken over, and has not said that it did not.
    #[error("the standby `{follower}` at `{at}` has not said whether it took over: {reason}")]
    Unanswered {
        /// Its id.
        follower: String,
        /// Where it was asked.
        at: String,
        /// Why there is no answer.
        reason: String,
    },
}

impl Barred {
    /// The code of a refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Standby { .. } => "storage_standby",
            Self::Fenced { .. } | Self::Unanswered { .. } => "storage_fenced",
        }
    }

    /// As an error of the system, for documents.
    #[must_use]
    pub fn as_io(&self) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, self.clone())
    }

    /// What [`Barred::as_io`] was made of.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Option<Arc<Self>> {
        let found = error.get_ref()?.downcast_ref::<Self>()?;
        Some(Arc::new(found.clone()))
    }

    /// The cure.
    pub fn hint(&self) -> String {
        match self {
            Self::Standby { primary } => format!(
                "send it to `{primary}`; where that one is gone, `echopilot promote` makes this \
                 the primary"
            ),
            Self::Fenced { by, .. } => format!(
                "send it to `{by}`; `echopilot standby --from {by}` makes this home its standby"
            ),
            Self::Unanswered { follower, .. } => format!(
                "it is asked again each second; where it is gone for good and never took over, \
                 `echopilot standby forget {follower}`"
            ),
        }
    }
}
