//! Servers that answer as they are told, and the real door with rules that let it reach them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use echopilot::seams::clock::SystemClock;
use echopilot::seams::ids::SystemIds;
use echopilot::seams::outbound::{
    Allow, Limits, OutboundError, Request, Response, SystemOutbound, Url,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A bound that a working call never reaches.
pub const AMPLE: Limits = Limits {
    connect: Duration::from_secs(20),
    total: Duration::from_secs(20),
};

/// A bound for calls that are to reach it.
pub const SHORT: Limits = Limits {
    connect: Duration::from_millis(150),
    total: Duration::from_millis(300),
};

/// The real door.
pub fn door() -> SystemOutbound {
    SystemOutbound::new(Arc::new(SystemClock::new()), Arc::new(SystemIds))
}

/// Rules that open this machine, as its owner writes them.
pub fn own_machine() -> Allow {
    let rules = ["127.0.0.0/8", "::1", "localhost"];
    let rules = rules.iter().map(|rule| rule.parse().expect("a rule"));
    Allow::new("`allow` of the test", rules.collect(), vec![])
}

/// A server that does `serve` with each connection, until the test ends.
pub async fn server<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads a request up to the end of its head.
pub async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await;
        let Ok(byte) = byte else { break };
        read.push(byte);
    }
    String::from_utf8(read).expect("a head is text")
}

/// A server that answers each request with these bytes, and closes or keeps the connection open.
pub async fn answering(bytes: impl Into<Vec<u8>>, then_close: bool) -> SocketAddr {
    let bytes = Arc::new(bytes.into());
    server(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            head(&mut stream).await;
            let sent = stream.write_all(&bytes).await;
            // A client that has enough may be gone before everything is sent.
            if sent.is_ok() && !then_close {
                std::future::pending::<()>().await;
            }
        }
    })
    .await
}

/// A GET of `path` at `address`.
pub fn get(address: SocketAddr, path: &str) -> Request {
    let url = Url::parse(&format!("http://{address}{path}")).expect("a URL");
    let mut request = Request::get(url);
    request.limits = AMPLE;
    request
}

/// What a call gave, on a door of its own.
pub async fn called(request: &Request) -> Result<Response, OutboundError> {
    use echopilot::seams::outbound::Outbound as _;
    door().http(&own_machine(), request).await
}
