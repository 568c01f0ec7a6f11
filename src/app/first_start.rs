//! The first start: a key is made where there is none, and shown once with everything to paste
//! next.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request};

use super::assemble::App;
use crate::platform::http::{Caller, Role};

/// Makes a key of role dash if no key of that role is good now. Gives its text, which nobody keeps.
pub(super) async fn make_key_if_none(app: &App) -> anyhow::Result<Option<String>> {
    if app.gate.ring().has_role(Role::Dash, app.clock.now()) {
        return Ok(None);
    }
    let body = r#"{"role":"dash","name":"first"}"#;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/admin/keys")
        .header("content-type", "application/json")
        .body(Bytes::from_static(body.as_bytes()))?;
    let caller = Caller {
        name: "first-start".into(),
        role: Some(Role::Admin),
    };
    let answer = app.server.dispatch(request, caller).await;
    let status = answer.status();
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await?
        .to_bytes();
    let reply: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let key = reply
        .get("key")
        .and_then(serde_json::Value::as_str)
        .map(str::to_owned);
    key.map(Some).with_context(|| {
        let detail = reply
            .get("detail")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        format!(
            "cannot make the first key ({status}): {detail}\n\
             hint: give one in the environment variable DASHBOARD_KEY"
        )
    })
}

/// How the program is called from here.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "echopilot".to_owned())
}

fn home_flag(home: &Path) -> String {
    if home == Path::new(".") {
        String::new()
    } else {
        format!(" --home {}", home.display())
    }
}

fn serves(home: &Path, address: SocketAddr) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let folder = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    format!(
        "echopilot {version} serves http://{address} from {}\n",
        folder.display()
    )
}

/// What is said at every start but the first. Who lost the first key reads here how to make one.
pub(super) fn greeting(home: &Path, address: SocketAddr) -> String {
    let (program, flag) = (program(), home_flag(home));
    let first = serves(home, address);
    format!("{first}how it is: {program} status{flag}; a new key: {program} key new dash{flag}\n")
}

/// What is said at the first start.
pub(super) fn instructions(home: &Path, address: SocketAddr, key: &str) -> String {
    let (program, flag) = (program(), home_flag(home));
    let at = |file: &str| home.join(file).display().to_string();
    let mut text = serves(home, address);
    // Writing to a string cannot fail.
    let _infallible = write!(
        text,
        "
Your key, shown this once; only its hash is kept:

  {key}

Read the flags:
  curl -s -H 'X-Dash-Key: {key}' http://{address}/api/flags/get

Flip one:
  curl -s -H 'X-Dash-Key: {key}' -H 'Content-Type: application/json' \\
    -d '{{\"key\":\"ui.new_dashboard\",\"value\":true}}' http://{address}/api/flags/set

Edit by hand, it applies as you save:   {flags}
Watch what happens:                     tail -F {log}
How it is:                              {program} status{flag}
Another key, or this one is lost:       {program} key new dash{flag}
Everything the API can do:              {program} api{flag}
Its examples take the key from here:    export DASHBOARD_KEY={key}
",
        flags = at("configs/flags.json"),
        log = at("logs/feature_flags.ndjson"),
    );
    text
}
