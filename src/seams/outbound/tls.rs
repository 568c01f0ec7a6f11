//! TLS by the system's OpenSSL: one context for all calls, certificates always checked against the
//! system's roots (or `SSL_CERT_FILE`, which OpenSSL itself heeds). The certificate of a refused
//! handshake is known all the same: it is noted while it is being checked.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::nid::Nid;
use openssl::ssl::{
    Ssl, SslConnector, SslMethod, SslRef, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509NameRef, X509Ref, X509StoreContext, X509StoreContextRef};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::url::Host;

/// Names of a certificate that are kept: a page of them; some carry hundreds.
const MOST_NAMES: usize = 32;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertInfo {
    /// Whose it is: the common name, or the whole subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Host names and addresses it holds for, at most 32 of them.
    pub names: Vec<String>,
    /// When it begins to hold.
    pub not_before: DateTime<Utc>,
    /// When it ends to hold.
    pub not_after: DateTime<Utc>,
}

/// Why TLS could not be agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate does not hold any more.
    Expired,
    /// The certificate does not hold yet.
    NotYetValid,
    /// The certificate is signed by itself.
    SelfSigned,
    /// Nobody this machine trusts has signed it, or a link of the chain is missing.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// The certificate is refused for another reason, in OpenSSL's words.
    Certificate(String),
    /// The far side does not speak TLS, or none that we do.
    Protocol(String),
}

impl TlsFault {
    /// One word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Expired => "cert_expired",
            Self::NotYetValid => "cert_not_yet_valid",
            Self::SelfSigned => "cert_self_signed",
            Self::UnknownIssuer => "cert_unknown_issuer",
            Self::WrongName => "cert_wrong_name",
            Self::Certificate(_) => "cert_invalid",
            Self::Protocol(_) => "tls_protocol",
        }
    }

    /// The cure; may be empty.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Expired => "renew it, and see that the server was told to load the new one",
            Self::NotYetValid => "compare the clocks of both machines",
            Self::SelfSigned | Self::UnknownIssuer => {
                "add its authority to the system's certificates, or name it in SSL_CERT_FILE; a missing link of the chain is for the server to send"
            }
            Self::WrongName => "ask for one of the names the certificate holds for",
            Self::Certificate(_) => "",
            Self::Protocol(_) => "see whether the port speaks TLS, version 1.2 or later",
        }
    }

    fn of_code(code: i32, words: &str) -> Self {
        // X509_V_ERR_… of openssl's x509_vfy.h.
        match code {
            9 => Self::NotYetValid,
            10 => Self::Expired,
            18 => Self::SelfSigned,
            2 | 19 | 20 | 21 => Self::UnknownIssuer,
            62 | 64 => Self::WrongName,
            _ => Self::Certificate(words.to_owned()),
        }
    }
}

impl Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate does not hold yet"),
            Self::SelfSigned => f.write_str("its certificate is self-signed"),
            Self::UnknownIssuer => {
                f.write_str("its certificate is signed by nobody this machine trusts")
            }
            Self::WrongName => f.write_str("its certificate is for another name"),
            Self::Certificate(words) => write!(f, "its certificate is refused: {words}"),
            Self::Protocol(words) => write!(f, "{words}"),
        }
    }
}

/// What the check of a certificate came upon; filled by OpenSSL's callback.
type Seen = Arc<Mutex<Option<CertInfo>>>;

/// The context, and where a connection keeps what was seen.
type Made = (SslConnector, Index<Ssl, Seen>);

/// The one context of all calls, made when it is first needed: it holds the root certificates.
#[derive(Default)]
pub(super) struct Tls {
    made: OnceLock<Result<Made, ErrorStack>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Speaks TLS on an open connection; the certificate must hold for `name`.
    pub(super) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &Host,
    ) -> Result<(SslStream<S>, Option<CertInfo>), (TlsFault, Option<CertInfo>)> {
        let plain = |errors: &ErrorStack| (TlsFault::Protocol(words(errors)), None);
        let (connector, index) = match self.made.get_or_init(make) {
            Ok(made) => made,
            Err(errors) => return Err(plain(errors)),
        };
        let name = match name {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let seen = Seen::default();
        let prepare = || {
            let mut ssl = connector.configure()?.into_ssl(&name)?;
            ssl.set_ex_data(*index, Arc::clone(&seen));
            SslStream::new(ssl, stream)
        };
        let mut stream = prepare().map_err(|errors| plain(&errors))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            let verdict = stream.ssl().verify_result();
            let noted = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
            let fault = if noted.is_some() {
                TlsFault::of_code(verdict.as_raw(), verdict.error_string())
            } else {
                TlsFault::Protocol(broken(&error))
            };
            return Err((fault, noted));
        }
        let cert = stream.ssl().peer_certificate();
        let cert = cert.as_deref().map(CertInfo::read);
        Ok((stream, cert))
    }
}

fn make() -> Result<Made, ErrorStack> {
    let index = Ssl::new_ex_index::<Seen>()?;
    let ssl_of = X509StoreContext::ssl_idx()?;
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    // Each call is to see the certificate, and nothing is kept between calls.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_verify_callback(SslVerifyMode::PEER, move |good, context| {
        if !good {
            note(context, ssl_of, index);
        }
        // The verdict stays OpenSSL's: a certificate that fails its check is never accepted.
        good
    });
    Ok((builder.build(), index))
}

/// Keeps what the refused certificate says with the connection that it belongs to.
fn note(
    context: &X509StoreContextRef,
    ssl_of: Index<X509StoreContext, SslRef>,
    index: Index<Ssl, Seen>,
) {
    let Some(seen) = context.ex_data(ssl_of).and_then(|ssl| ssl.ex_data(index)) else {
        return;
    };
    let leaf = context.chain().and_then(|chain| chain.get(0));
    if let Some(cert) = leaf.or(context.current_cert()) {
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(CertInfo::read(cert));
    }
}

impl CertInfo {
    fn read(cert: &X509Ref) -> Self {
        let alternatives = cert.subject_alt_names();
        let names = alternatives.iter().flatten().filter_map(|name| {
            let dns = name.dnsname().map(str::to_owned);
            dns.or_else(|| address(name.ipaddress()?))
        });
        Self {
            subject: name_text(cert.subject_name()),
            issuer: name_text(cert.issuer_name()),
            names: names.take(MOST_NAMES).collect(),
            not_before: instant(cert.not_before()),
            not_after: instant(cert.not_after()),
        }
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| IpAddr::V4(Ipv4Addr::from(b)));
    let v6 = <[u8; 16]>::try_from(bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b)));
    Some(v4.or(v6).ok()?.to_string())
}

/// The common name, else all parts: `O=Example Ltd, C=GB`.
fn name_text(name: &X509NameRef) -> String {
    let text = |entry: &openssl::x509::X509NameEntryRef| entry.data().to_string().ok();
    let common = name.entries_by_nid(Nid::COMMONNAME).next();
    if let Some(common) = common.and_then(text) {
        return common;
    }
    let parts = name.entries().filter_map(|entry| {
        let kind = entry.object().nid().short_name().unwrap_or("?");
        Some(format!("{kind}={}", text(entry)?))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A certificate's time; the epoch where it cannot be read, which no certificate that holds has.
fn instant(time: &Asn1TimeRef) -> DateTime<Utc> {
    let span = Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(time));
    let seconds = span.map_or(0, |span| {
        i64::from(span.days) * 86_400 + i64::from(span.secs)
    });
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// The first reason of OpenSSL's, without its file names and codes.
fn words(errors: &ErrorStack) -> String {
    let first = errors.errors().first();
    let reason = first.and_then(openssl::error::Error::reason);
    reason.unwrap_or("TLS cannot be used").to_owned()
}

fn broken(error: &openssl::ssl::Error) -> String {
    if let Some(errors) = error.ssl_error() {
        return words(errors);
    }
    match error.io_error() {
        Some(io) => io.to_string(),
        None => "the connection was closed during the handshake".into(),
    }
}
