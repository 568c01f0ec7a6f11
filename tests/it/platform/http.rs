//! Rules H1 to H5, H11, H14 and H18 of the reliability notes, on a real socket.

use echopilot::platform::health::State;

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

#[tokio::test]
async fn h06_health_is_told_in_four_ways() {
    let lab = Lab::start(|rules| rules.keyless_per_minute = 1).await;
    assert_eq!(lab.get("/livez", "").await.body, "ok\n");
    let starting = lab.get("/readyz", "").await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.body, "[-] daemon failed: starting\nfailed\n");
    lab.health.set_ready();
    lab.health.add("storage", || {
        State::Degraded("the disk is nearly full".to_owned())
    });
    assert_eq!(lab.get("/readyz", "").await.body, "ok\n");
    let verbose = lab.get("/readyz?verbose", "").await;
    let lines = "[+] daemon ok\n[!] storage degraded: the disk is nearly full\nok\n";
    assert_eq!((verbose.status, verbose.body.as_str()), (200, lines));
    let health = lab.get("/health", "").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &"degraded".into())
    );
    lab.health.set_stopping();
    assert_eq!(lab.get("/readyz", "").await.status, 503);
    assert_eq!(lab.get("/livez", "").await.status, 200);
}

#[tokio::test]
async fn what_is_served_is_what_is_described() {
    let lab = Lab::start(|_| {}).await;
    let index = lab.get("/api", "").await.json();
    let openapi = lab.get("/openapi.json", "").await;
    assert_eq!(openapi.body, lab.get("/public/openapi.json", "").await.body);
    let openapi = openapi.json();
    assert_eq!(openapi["openapi"], "3.1.0");
    let listed = index["routes"].as_array().unwrap();
    assert_eq!(listed.len(), lab.table.rows().len());
    for row in lab.table.rows() {
        let operation = &openapi["paths"][row.path][row.method.as_str().to_lowercase()];
        assert_eq!(operation["summary"], row.about, "{row:?}");
        assert_eq!(operation["x-scope"], row.scope.name(), "{row:?}");
        let success = &operation["responses"][row.success.as_str()];
        assert!(success["content"][row.media].is_object(), "{operation}");
        let described = operation["parameters"].as_array().unwrap();
        let pairs = row.query.split('&').filter_map(|pair| pair.split_once('='));
        for (name, _) in pairs {
            assert!(
                described.iter().any(|one| one["name"] == name),
                "{row:?} {name}"
            );
        }
    }
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let lab = Lab::start(|_| {}).await;
    for target in ["/hot", "/hot", "/nothing"] {
        lab.get(target, READER).await;
    }
    let page = lab.get("/metrics", READER).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let hot = r#"echopilot_http_requests_total{method="GET",route="/hot",class="2xx"} 2"#;
    let lost = r#"echopilot_http_requests_total{method="other",route="unmatched",class="4xx"} 1"#;
    for line in [hot, lost, "echopilot_http_connections 1"] {
        assert!(
            page.body.lines().any(|known| known == line),
            "{line}\n{}",
            page.body
        );
    }
    assert!(
        page.body.contains("process_resident_memory_bytes "),
        "{}",
        page.body
    );
    let open = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {READER}\r\n\
         Accept: application/openmetrics-text;version=1.0.0\r\n\r\n"
    );
    let open = lab.raw(open.as_bytes()).await;
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    assert!(
        open.body
            .contains("# TYPE echopilot_http_requests counter\n")
    );
}

#[tokio::test]
async fn h04_a_length_counts_for_its_own_request_only() {
    let lab = Lab::start(|_| {}).await;
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n\
         Content-Type: application/json\r\n"
    );
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
    let measured = format!("{head}Content-Length: 2\r\n\r\n{{}}");
    let both = format!("{head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    // All at once: the server has seen the second head before it answers the first.
    for order in [[&chunked, &measured], [&measured, &chunked]] {
        let mut client = lab.connect().await;
        let mut all = order.map(String::as_str).concat().repeat(3);
        all.push_str(&head.replace("POST /echo", "GET /hot"));
        all.push_str("Connection: close\r\n\r\n");
        client.send(all.as_bytes()).await;
        let answers = client.until("the end, which is never told").await;
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 7, "{answers}");
    }
    for before in ["", &measured, &chunked] {
        let mut client = lab.connect().await;
        client.send(format!("{before}{both}").as_bytes()).await;
        let answers = client.until("ambiguous_length").await;
        assert!(answers.contains("ambiguous_length"), "{answers}");
    }
}
