//! A daemon spoken to over HTTP: one short connection per request, on a runtime of its own.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

use super::api::Ask;
use super::failure::{Failure, UNREACHABLE};
use crate::seams::clock::{Clock, SystemClock};

/// How long a connection may take; the daemon is on this machine or near it.
const CONNECT_BOUND: Duration = Duration::from_secs(3);
/// How long an answer may take: as long as the daemon itself allows a request (rule H1 of the
/// reliability notes).
const ANSWER_BOUND: Duration = Duration::from_mins(1);

/// A daemon, by address and key.
#[derive(Debug)]
pub(super) struct Remote {
    address: SocketAddr,
    host: HeaderValue,
    /// `Bearer …`, marked so that it is never shown.
    credential: Option<HeaderValue>,
    runtime: Runtime,
}

impl Remote {
    /// A daemon at `address`; `host` is what goes into the `Host` header.
    pub(super) fn new(
        address: SocketAddr,
        host: &str,
        token: Option<&str>,
    ) -> Result<Self, Failure> {
        let bad = |what: &str| Failure::new(format!("the {what} has characters that HTTP forbids"));
        let host = HeaderValue::from_str(host).map_err(|_| bad("host name"))?;
        let credential = match token {
            Some(token) => {
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value = value.map_err(|_| bad("key"))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start a runtime: {error}")))?;
        Ok(Self {
            address,
            host,
            credential,
            runtime,
        })
    }

    /// From `http://HOST:PORT`.
    pub(super) fn from_url(url: &str, key: Option<&str>) -> Result<Self, Failure> {
        let refused = |why: &str| {
            Failure::new(format!("cannot use the URL `{url}`: {why}"))
                .hint("write it as http://HOST:PORT, such as http://127.0.0.1:5000")
        };
        let parsed: http::Uri = url.parse().map_err(|_| refused("it is not a URL"))?;
        if parsed.scheme_str() == Some("https") {
            return Err(refused("this program speaks no TLS")
                .hint("forward the port instead: `ssh -L 5000:127.0.0.1:5000 HOST`"));
        }
        let authority = parsed
            .authority()
            .filter(|_| parsed.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(|| refused("it does not begin with http://HOST"))?;
        if authority.as_str().contains('@') {
            return Err(refused("a key does not belong into it")
                .hint("put the key into the environment as ECHOPILOT_KEY"));
        }
        let port = authority.port_u16().unwrap_or(80);
        let name = authority.host().trim_matches(['[', ']']);
        let mut found = (name, port)
            .to_socket_addrs()
            .map_err(|error| refused(&error.to_string()))?;
        let address = found
            .next()
            .ok_or_else(|| refused("its name has no address"))?;
        Self::new(address, authority.as_str(), key)
    }

    /// `http://HOST:PORT`.
    pub(super) fn address(&self) -> String {
        format!("http://{}", self.host.to_str().unwrap_or_default())
    }

    /// Whether something listens there.
    pub(super) fn listens(&self) -> bool {
        TcpStream::connect_timeout(&self.address, CONNECT_BOUND).is_ok()
    }

    /// Status and body of the answer.
    pub(super) fn call(&self, ask: &Ask<'_>) -> Result<(u16, Vec<u8>), Failure> {
        let address = self.address;
        let lost = |what: &str| {
            Failure::new(format!("the daemon at {address} {what}"))
                .code(UNREACHABLE)
                .hint("is it running? `echopilot status` tells; `echopilot serve` starts it")
        };
        let stream = TcpStream::connect_timeout(&address, CONNECT_BOUND)
            .map_err(|error| lost(&format!("cannot be reached: {error}")))?;
        let request = self.request(ask)?;
        let clock = SystemClock::new();
        self.runtime.block_on(async {
            let answer = exchange(stream, request);
            tokio::select! {
                answer = answer => answer.map_err(|error| lost(&format!("broke off: {error:#}"))),
                () = clock.sleep(ANSWER_BOUND) => Err(lost("did not answer within a minute")),
            }
        })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<http::Request<Full<Bytes>>, Failure> {
        let mut request = ask.request()?.map(Full::new);
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if let Some(credential) = &self.credential {
            headers.insert(AUTHORIZATION, credential.clone());
        }
        Ok(request)
    }
}

async fn exchange(
    stream: TcpStream,
    request: http::Request<Full<Bytes>>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::Ok((status, body.to_vec()))
    };
    tokio::pin!(connection, answer);
    // The connection must be driven beside the exchange, and after it ended there may still be an
    // answer to take.
    tokio::select! {
        answer = &mut answer => return answer,
        ended = &mut connection => ended?,
    }
    answer.await
}
