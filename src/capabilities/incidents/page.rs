//! `/ack/{token}`: a page that says what an incident is about, with one button. Looking changes
//! nothing, so that programs which open every link in a chat acknowledge nothing; only the button
//! does. Without script, without anything from elsewhere, not to be indexed.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};

use super::model::{Incident, State};
use super::service::{IncidentError, Incidents};
use crate::base::time::stamp;
use crate::platform::http::{Call, Finished, HttpError, Route, Routes, Scope};

/// Who acts by a link: whoever was sent it.
const BY_LINK: &str = "link";
/// What the page may do: send its own form to us, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The rows of the route table.
pub(super) fn routes(incidents: &Arc<Incidents>) -> Routes {
    let about = "A page with what an incident is about, by a signed link; changes nothing";
    let mut look = Route::get("/ack/{token}", Scope::Public, about)
        .handler(get(look).with_state(Arc::clone(incidents)));
    look.media = "text/html";
    let about = "Acknowledge the incident that a signed link is for; may be repeated";
    let mut take = Route::post("/ack/{token}", Scope::Public, about)
        .handler(post(take).with_state(Arc::clone(incidents)));
    take.media = "text/html";
    take.also_takes = &["application/x-www-form-urlencoded"];
    vec![look, take]
}

async fn look(
    Shared(incidents): Shared<Arc<Incidents>>,
    Path(token): Path<String>,
    call: Call,
) -> Response {
    let id = incidents.links.incident(&token, call.now);
    let book = incidents.book();
    match id.and_then(|id| book.find(&id).cloned()) {
        Some(incident) => page(StatusCode::OK, &shown(&incident)),
        None => no_link(),
    }
}

async fn take(
    Shared(incidents): Shared<Arc<Incidents>>,
    Path(token): Path<String>,
    call: Call,
) -> Result<Response, HttpError> {
    let Some(id) = incidents.links.incident(&token, call.now) else {
        return Ok(no_link());
    };
    match incidents.acknowledge(&id, BY_LINK, "", call.now).await {
        Ok(done) => Ok(page(StatusCode::OK, &shown(&done.incident))),
        // It is over: there is nothing to do, and the page says so.
        Err(IncidentError::Over(_)) => {
            let incident = incidents.book().find(&id).cloned();
            Ok(incident.map_or_else(no_link, |one| page(StatusCode::OK, &shown(&one))))
        }
        Err(IncidentError::Absent(_)) => Ok(no_link()),
        Err(error) => Err(error.into()),
    }
}

/// The same whatever is wrong with it.
fn no_link() -> Response {
    let text = "<h1>This link does not work</h1>\n<p>It has ended, or it was never one of \
                ours.</p>\n";
    let mut answer = page(StatusCode::NOT_FOUND, text);
    answer.extensions_mut().insert(Finished);
    answer
}

fn shown(incident: &Incident) -> String {
    let (id, title) = (escaped(&incident.id), escaped(&incident.title));
    let since = stamp(incident.started_at);
    let state = match (incident.state, &incident.acknowledged, &incident.resolved) {
        (State::Acknowledged, Some((at, by)), _) => {
            format!("acknowledged at {} by {}", stamp(*at), escaped(by))
        }
        (State::Resolved, _, Some((at, ..))) => format!("resolved at {}", stamp(*at)),
        (state, ..) => state.word().to_owned(),
    };
    let mut text = format!(
        "<h1>Incident {id}</h1>\n<p>{title}</p>\n<p>Since {since}. State: <strong>{state}\
         </strong>.</p>\n"
    );
    if let Some(cause) = incident.suspects.first() {
        let cause = escaped(&cause.sentence());
        // Writing into a string cannot fail.
        let _infallible = writeln!(text, "<p>Likely cause: {cause}</p>");
    }
    if incident.state == State::Open {
        text.push_str("<form method=\"post\"><button>Acknowledge</button></form>\n");
    }
    text
}

fn page(status: StatusCode, inside: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex, nofollow\">\n\
         <title>echopilot</title></head>\n<body>\n{inside}</body></html>\n"
    );
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex, nofollow"));
    answer
}

/// `text` without a meaning to HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}
