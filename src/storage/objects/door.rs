//! Requests of the store's crate, sent through the door outward: the address is checked, every wait
//! bounded, and no answer larger than a part is taken.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};

use super::PART_BYTES;
use crate::seams::outbound::{Allow, Limits, Outbound, OutboundError, Request, Url};

/// How long a request may take: a part in two minutes is 70 kB/s.
const LIMIT: Duration = Duration::from_mins(2);

/// The door, as the store's crate sees it.
#[derive(Debug, Clone)]
pub(super) struct Door {
    outbound: Arc<dyn Outbound>,
    allow: Arc<Allow>,
}

impl Door {
    /// What leads out by `outbound` to where `allow` lets it.
    pub(super) fn new(outbound: Arc<dyn Outbound>, allow: Arc<Allow>) -> Self {
        Self { outbound, allow }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string());
        let url = url.map_err(|fault| own(fault.refused()))?;
        let body = body.collect().await?.to_bytes();
        let request = Request {
            method: head.method,
            url,
            headers: head.headers,
            body,
            limits: Limits::of(LIMIT),
            // A part, and a little for answers that are none.
            most_body: PART_BYTES + (1 << 20),
        };
        let answer = self.outbound.http(&self.allow, &request).await;
        let answer = answer.map_err(|error| HttpError::new(kind_of(&error), error))?;
        if answer.is_cut {
            return Err(own(
                "its answer is larger than what was asked for".to_owned()
            ));
        }
        let mut response = http::Response::builder().status(answer.status);
        if let Some(headers) = response.headers_mut() {
            *headers = answer.headers;
        }
        response
            .body(HttpResponseBody::from(answer.body))
            .map_err(|error| HttpError::new(HttpErrorKind::Decode, error))
    }
}

fn own(found: String) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, std::io::Error::other(found))
}

/// Which errors are worth another try.
fn kind_of(error: &OutboundError) -> HttpErrorKind {
    match error {
        OutboundError::Resolve { .. } | OutboundError::Connect { .. } => HttpErrorKind::Connect,
        OutboundError::Deadline { .. } => HttpErrorKind::Timeout,
        OutboundError::Answer { .. } => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    }
}

impl HttpService for Door {
    fn call<'own, 'call>(
        &'own self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'own: 'call,
        Self: 'call,
    {
        Box::pin(self.send(request))
    }
}

impl HttpConnector for Door {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
