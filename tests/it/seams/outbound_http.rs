//! HTTP and TCP through the door: answers as they are, bounds at every stage, and no way to where
//! the rules do not lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use echopilot::seams::outbound::{Allow, Limits, Outbound as _, OutboundError, Stage, Target, Url};
use http::{HeaderName, HeaderValue, Method};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::outbound_lab::{AMPLE, SHORT, answering, called, door, get, head, own_machine, server};

#[tokio::test]
async fn an_answer_is_given_whole_with_who_gave_it() {
    let address = answering(
        "HTTP/1.1 503 Service Unavailable\r\nX-Reason: rest\r\nContent-Length: 5\r\n\r\nlater",
        true,
    )
    .await;
    let answer = called(&get(address, "/health?deep=1"))
        .await
        .expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (503, &b"later"[..]));
    assert_eq!(answer.headers["x-reason"], "rest");
    assert!(!answer.is_cut);
    assert_eq!(answer.contact.address, address);
    let timings = answer.contact.timings;
    assert_eq!(
        (timings.resolve, timings.tls),
        (None, None),
        "nothing to do there"
    );
    assert!(timings.connect.is_some() && timings.first_byte.is_some());
    assert!(timings.total >= timings.first_byte.unwrap());
}

#[tokio::test]
async fn the_request_says_what_it_was_given() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let address = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            tell.send(head(&mut stream).await).unwrap();
            let _gone = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let mut request = get(address, "/a/b?c=d");
    request.method = Method::POST;
    request.body = "body".into();
    request.headers.insert(
        HeaderName::from_static("authorization"),
        HeaderValue::from_static("Bearer key"),
    );
    assert_eq!(called(&request).await.expect("an answer").status, 204);
    let head = told.recv().await.expect("a request").to_ascii_lowercase();
    for line in [
        "post /a/b?c=d http/1.1\r\n",
        &format!("host: {address}\r\n"),
        "user-agent: echopilot/",
        "authorization: bearer key\r\n",
        "content-length: 4\r\n",
        "connection: close\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(
        !format!("{request:?}").contains("key"),
        "headers are not shown"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let target = server(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async {}
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        let bytes = format!("HTTP/1.1 {status} Moved\r\nLocation: http://{target}/\r\n\r\n");
        let answer = called(&get(answering(bytes, true).await, "/")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["location"], format!("http://{target}/"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody went there");
}

#[tokio::test]
async fn a_body_is_cut_without_waiting_for_its_rest() {
    // The server promises a gigabyte, sends a little more than is kept, and never closes.
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_vec();
    bytes.extend(vec![b'x'; 70_000]);
    let address = answering(bytes, false).await;
    let answer = called(&get(address, "/")).await.expect("an answer");
    assert_eq!((answer.body.len(), answer.is_cut), (65_536, true));

    let mut request = get(address, "/");
    request.most_body = 10;
    let answer = called(&request).await.expect("an answer");
    assert_eq!(
        (&answer.body[..], answer.is_cut),
        (&b"xxxxxxxxxx"[..], true)
    );

    let exact = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
        false,
    )
    .await;
    let mut request = get(exact, "/");
    request.most_body = 10;
    let answer = called(&request).await.expect("an answer");
    assert_eq!((answer.body.len(), answer.is_cut), (10, false));
}

#[tokio::test]
async fn a_dripping_server_ends_with_the_bound() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut request = get(address, "/");
    request.limits = SHORT;
    request.most_body = usize::MAX;
    let begun = Instant::now();
    let error = called(&request).await.unwrap_err();
    assert!(begun.elapsed() >= SHORT.total);
    let OutboundError::Deadline { stage, after, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((stage, after), (Stage::Answer, SHORT.total));
}

/// A listener whose queue is full: further connections get no answer.
fn full_listener() -> (std::net::TcpListener, Vec<std::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap().into_std().unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // The kernel takes one more than it was told, and then drops what comes.
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100))
    {
        waiting.push(stream);
        assert!(waiting.len() < 10, "the queue never fills");
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_stall_ends_with_the_bound_and_names_its_stage() {
    let (listener, _waiting) = full_listener();
    let mut request = get(listener.local_addr().unwrap(), "/");
    request.limits = SHORT;
    let error = called(&request).await.unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Connect, "deadline"));
    assert!(
        error.to_string().contains("took longer than 150 ms"),
        "{error}"
    );

    let silent = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut request = get(silent, "/");
    request.limits = SHORT;
    let error = called(&request).await.unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Answer, "deadline"));

    request.url = Url::parse(&format!("https://{silent}/")).unwrap();
    let error = called(&request).await.unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Tls, "deadline"));
}

#[tokio::test]
async fn what_is_no_answer_is_told() {
    for (bytes, part) in [
        ("", "closed"),
        ("SSH-2.0-OpenSSH_9\r\n", "invalid HTTP"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "end of file",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "chunk",
        ),
    ] {
        let error = called(&get(answering(bytes, true).await, "/"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.stage(), error.kind()),
            (Stage::Answer, "answer"),
            "{bytes}"
        );
        assert!(error.to_string().contains(part), "{bytes}: {error}");
    }
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let error = called(&get(answering(huge, true).await, "/"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "answer", "{error}");
}

#[tokio::test]
async fn nobody_is_called_where_the_rules_do_not_lead() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = server(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async {}
    })
    .await;
    let port = address.port();
    let allow = Allow::new("`allow` of the test", vec![], vec![]);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "LOCALHOST."] {
        let url = format!("http://{host}:{port}/path?token=secret");
        let mut request = get(address, "/");
        request.url = Url::parse(&url).unwrap();
        let error = door().http(&allow, &request).await.unwrap_err();
        assert_eq!(
            (error.stage(), error.kind()),
            (Stage::Check, "loopback"),
            "{error}"
        );
        assert!(error.is_ours());
        // The hint is what to paste.
        let rule = error
            .hint()
            .split('"')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let opened = Allow::new("here", vec![rule.parse().expect(&rule)], vec![]);
        assert!(
            error.hint().contains("`allow` of the test"),
            "{}",
            error.hint()
        );
        assert!(!format!("{error} {}", error.hint()).contains("secret"));
        let after = door().http(&opened, &request).await;
        // `localhost` may have been refused at its IPv6 address, where nobody listens.
        assert!(
            after.is_err_and(|error| error.stage() != Stage::Check),
            "the hinted rule opens {host}"
        );
    }
    let seen = asked.load(Ordering::Relaxed);
    let target = Target::parse(&address.to_string()).unwrap();
    for error in [
        door().tcp(&allow, &target, AMPLE).await.unwrap_err(),
        door().tls(&allow, &target, None, AMPLE).await.unwrap_err(),
    ] {
        assert_eq!(error.stage(), Stage::Check, "{error}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), seen, "nobody was called");
}

#[tokio::test]
async fn a_port_opens_or_does_not() {
    let address = server(|_| async {}).await;
    let target = Target::parse(&address.to_string()).unwrap();
    let contact = door()
        .tcp(&own_machine(), &target, AMPLE)
        .await
        .expect("a contact");
    assert_eq!(contact.address, address);
    assert!(contact.timings.connect.is_some() && contact.cert.is_none());

    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let target = Target::parse(&free.to_string()).unwrap();
    let error = door()
        .tcp(&own_machine(), &target, AMPLE)
        .await
        .unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Connect, "refused"));
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

#[tokio::test]
async fn names_are_looked_up_by_the_system() {
    // A name may lead to IPv6 and IPv4: whichever of them listens is found.
    let address = server(|_| async {}).await;
    let target = Target::parse(&format!("localhost:{}", address.port())).unwrap();
    let contact = door()
        .tcp(&own_machine(), &target, AMPLE)
        .await
        .expect("a contact");
    assert_eq!(contact.address, address);
    assert!(contact.timings.resolve.is_some());

    let target = Target::parse("no-such-name.invalid:80").unwrap();
    let error = door()
        .tcp(&own_machine(), &target, AMPLE)
        .await
        .unwrap_err();
    assert_eq!(
        (error.stage(), error.kind()),
        (Stage::Resolve, "name"),
        "{error}"
    );
}

#[tokio::test]
async fn many_calls_at_once_share_one_door() {
    let address = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true).await;
    let door = Arc::new(door());
    let url = Url::parse(&format!("http://localhost:{}/", address.port())).unwrap();
    let calls = (0..200).map(|_| {
        let (door, url) = (Arc::clone(&door), url.clone());
        tokio::spawn(async move {
            let mut request = get(address, "/");
            request.url = url;
            let answer = door.http(&own_machine(), &request).await;
            answer.map(|answer| answer.status)
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().expect("an answer"), 200);
    }
}

#[test]
fn limits_of_a_call_leave_connecting_its_share() {
    let limits = Limits::of(std::time::Duration::from_secs(1));
    assert_eq!((limits.connect.as_secs(), limits.total.as_secs()), (1, 1));
    assert_eq!(Limits::DEFAULT.connect.as_secs(), 3);
    assert_eq!(Limits::DEFAULT.total.as_secs(), 10);
}
