//! A connection that stays open: bytes in, bytes out, with or without TLS.

use std::fmt::Debug;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Contact;

/// An open connection's bytes.
pub trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Wire for S {}

/// A connection that was opened and is still open. Dropping it closes it.
#[derive(Debug)]
pub struct Opened {
    /// Its bytes.
    pub wire: Box<dyn Wire>,
    /// Whether TLS is spoken, with a certificate that holds.
    pub is_secure: bool,
    /// Who was reached.
    pub contact: Contact,
}
