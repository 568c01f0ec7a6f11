//! Why a call came to nothing: at which stage, what was found, what to do.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::allow::Refusal;
use super::tls::{CertInfo, TlsFault};

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the name.
    Resolve,
    /// Checking where it leads.
    Check,
    /// Opening the connection.
    Connect,
    /// Agreeing on TLS.
    Tls,
    /// Sending the request, waiting for the answer and reading it.
    Answer,
}

impl Stage {
    /// One word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Check => "check",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Answer => "answer",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Resolve => "its name was still being looked up",
            Self::Check => "its address was still being checked",
            Self::Connect => "the connection was not open",
            Self::Tls => "TLS was not agreed on",
            Self::Answer => "the answer was not complete",
        }
    }
}

/// Why a call came to nothing. Names host and port only: the rest of a URL may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The name has no address, or nobody could say.
    #[error("cannot look up `{host}`")]
    Resolve {
        /// The host.
        host: String,
        /// What the system's resolver said.
        #[source]
        source: io::Error,
    },
    /// Where the name leads is not allowed.
    #[error("will not connect to `{host}`: {}", refused(*address, *refusal))]
    Refused {
        /// The host as it was asked for.
        host: String,
        /// Where it leads.
        address: SocketAddr,
        /// Why not.
        refusal: Refusal,
        /// Where a rule could be added; empty where nobody may write any.
        place: &'static str,
    },
    /// Nobody listens, or nothing leads there.
    #[error("cannot connect to `{host}` at {address}")]
    Connect {
        /// The host as it was asked for.
        host: String,
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// TLS could not be agreed on.
    #[error("no trusted TLS with `{host}`: {fault}")]
    Tls {
        /// The host as it was asked for.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// The certificate that was shown, as far as it came to that.
        cert: Option<Box<CertInfo>>,
    },
    /// The connection broke while the request was sent or the answer read, or the answer was not
    /// one of the protocol.
    #[error("no proper answer from `{host}`: {found}")]
    Answer {
        /// The host as it was asked for.
        host: String,
        /// What was found.
        found: String,
    },
    /// It took too long.
    #[error("`{host}` took longer than {} ms: {}", after.as_millis(), stage.doing())]
    Deadline {
        /// The host as it was asked for.
        host: String,
        /// How far it had come.
        stage: Stage,
        /// The bound that was reached.
        after: Duration,
    },
    /// This machine cannot make the call at all.
    #[error("cannot make a call to `{host}`: {found}")]
    Local {
        /// The host as it was asked for.
        host: String,
        /// How far it had come.
        stage: Stage,
        /// What was found.
        found: String,
    },
}

fn refused(address: SocketAddr, refusal: Refusal) -> String {
    match refusal {
        Refusal::Address(special) => format!("{} is {special}", address.ip()),
        Refusal::Port => format!("port {} is none that HTTP may use", address.port()),
    }
}

impl OutboundError {
    /// How far the call had come.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Resolve { .. } => Stage::Resolve,
            Self::Refused { .. } => Stage::Check,
            Self::Connect { .. } => Stage::Connect,
            Self::Tls { .. } => Stage::Tls,
            Self::Answer { .. } => Stage::Answer,
            Self::Deadline { stage, .. } | Self::Local { stage, .. } => *stage,
        }
    }

    /// One word for what happened, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "name",
            Self::Refused { refusal, .. } => match refusal {
                Refusal::Address(special) => special.word(),
                Refusal::Port => "port",
            },
            Self::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => "refused",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
                _ => "connect",
            },
            Self::Tls { fault, .. } => fault.word(),
            Self::Answer { .. } => "answer",
            Self::Deadline { .. } => "deadline",
            Self::Local { .. } => "local",
        }
    }

    /// Whether the far side had no part in it: our own rules or our own machine.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Local { .. })
    }

    /// The cure; may be empty.
    pub fn hint(&self) -> String {
        match self {
            Self::Resolve { host, .. } => {
                format!("see what `getent hosts {host}` says on this machine")
            }
            Self::Refused {
                address,
                refusal,
                place,
                ..
            } => match (refusal, *place) {
                (_, "") => "only hosts of the open internet may be reached here".into(),
                (Refusal::Address(_), place) => {
                    format!("if it is yours, add \"{address}\" to {place}")
                }
                (Refusal::Port, place) => {
                    format!("if it is right, add \"{address}\" to {place}")
                }
            },
            Self::Connect { .. } => "see whether the service runs and a firewall lets us in".into(),
            Self::Tls { fault, .. } => fault.hint().into(),
            Self::Deadline { stage, .. } => match stage {
                Stage::Resolve => "see whether the machine's name servers answer".into(),
                Stage::Connect => "see whether a firewall drops what we send".into(),
                _ => String::new(),
            },
            Self::Answer { .. } | Self::Local { .. } => String::new(),
        }
    }
}
