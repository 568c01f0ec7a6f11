//! The limit beside it: hyper alone, on one core, answering the very bytes that the daemon answers.
//! A POST is read and its body checked by serde, and nothing is kept.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

/// What an event's body is checked against.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    event: &'a str,
    user: &'a str,
    exp: &'a str,
    variant: &'a str,
    value: Option<f64>,
    id: Option<&'a str>,
}

/// Bodies of the answers.
struct Answers {
    flags: Bytes,
    assign: Bytes,
    log: Bytes,
}

/// Serves on a free port, which is written into `folder`, until it is killed.
pub(crate) fn serve(folder: &Path) {
    let body = |name: &str| Bytes::from(fs::read(folder.join(name)).unwrap());
    let answers = Arc::new(Answers {
        flags: body("flags"),
        assign: body("assign"),
        log: body("log"),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        fs::write(folder.join("address.new"), address).unwrap();
        fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answers = Arc::clone(&answers);
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(Arc::clone(&answers), request));
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                drop(served.await);
            });
        }
    });
}

async fn answer(
    answers: Arc<Answers>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/api/flags/get" => answers.flags.clone(),
        "/api/exp/assign" => answers.assign.clone(),
        _ => {
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            if is_sound(&sent) {
                answers.log.clone()
            } else {
                Bytes::from_static(b"bad")
            }
        }
    };
    let mut answer = Response::new(Full::new(body));
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(answer)
}

fn is_sound(body: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Sent<'_>>(body) else {
        return false;
    };
    let names = [event.event, event.user, event.exp, event.variant];
    names.iter().all(|name| (1..=256).contains(&name.len()))
        && event.value.is_none_or(f64::is_finite)
        && event.id.is_none_or(|id| !id.is_empty())
}
