//! Rules H1 to H5, H11, H14 and H18 of the reliability notes, on a real socket.

use super::http_lab::{ADMIN, DASH, Lab, READER};

#[tokio::test]
async fn every_way_of_answering_answers() {
    let lab = Lab::start(|_| {}).await;
    let hot = lab.get("/hot", READER).await;
    assert_eq!(
        (hot.status, hot.body.as_str()),
        (200, r#"{"ok":true,"flags":{}}"#)
    );
    assert_eq!(
        lab.get("/things/7", READER).await.json()["caller"],
        "lab:reader"
    );
    assert_eq!(lab.get("/admin", ADMIN).await.status, 200);
    assert_eq!(lab.get("/open", "").await.json()["caller"], "anonymous");
    let body = r#"{"a":1}"#;
    let post = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {DASH}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(lab.raw(post.as_bytes()).await.json()["bytes"], 7);
}

#[tokio::test]
async fn h11_every_answer_carries_the_headers() {
    let lab = Lab::start(|_| {}).await;
    for target in ["/hot", "/things/1", "/nothing", "/panics", "/%2e%2e/"] {
        let answer = lab.get(target, READER).await;
        let carries = |name, value| assert_eq!(answer.header(name), Some(value), "{target} {name}");
        carries("x-content-type-options", "nosniff");
        carries("referrer-policy", "no-referrer");
        carries("cache-control", "no-store");
        carries("cross-origin-resource-policy", "same-origin");
        assert!(
            answer
                .header("date")
                .is_some_and(|date| date.ends_with(" gmt")),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("x-request-id").map(str::len),
            Some(16),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn h05_a_panic_costs_one_answer_and_nothing_else() {
    let lab = Lab::start(|_| {}).await;
    for target in ["/panics", "/hot?panic"] {
        let answer = lab.get(target, READER).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "internal"),
            "{target}"
        );
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(answer.json()["request_id"], id);
        assert!(!answer.body.contains("asked to panic"), "{}", answer.body);
    }
    assert_eq!(lab.get("/hot", READER).await.status, 200);
}

#[tokio::test]
async fn h18_errors_have_one_form() {
    let lab = Lab::start(|_| {}).await;
    let near = lab.get("/hit", READER).await;
    assert_eq!(
        (near.status, near.code().as_str()),
        (404, "route_not_found")
    );
    assert_eq!(near.json()["nearest"], "/hot");
    let foreign = lab.get("/numbers?a=x", READER).await;
    assert_eq!(
        (foreign.status, foreign.code().as_str()),
        (400, "bad_request")
    );
    for answer in [
        near,
        foreign,
        lab.get("/hot", "").await,
        lab.get("/admin", DASH).await,
    ] {
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let body = answer.json();
        assert_eq!(body["ok"], false);
        assert_eq!(body["status"], answer.status);
        assert!(
            body["detail"].is_string() && body["hint"].is_string(),
            "{body}"
        );
    }
}
