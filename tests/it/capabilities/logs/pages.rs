//! Pages: following `rel="next"` to its end gives what a reading of the files gives.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::storage::engine::Mark;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::journal;
use crate::world::{World, at, noon};

/// A page as bytes, and the path of the next.
fn page(world: &World, path: &str) -> (Vec<u8>, Option<String>) {
    let request = Request::builder()
        .uri(path)
        .body(bytes::Bytes::new())
        .unwrap();
    let caller = echopilot::platform::http::Caller {
        name: "desk".into(),
        role: Some(echopilot::platform::http::Role::Reader),
    };
    world.block_on(async {
        let answer = world.app().server.dispatch(request, caller).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(parts.status, 200, "{path}: {text}");
        assert_eq!(parts.headers["content-type"], "application/x-ndjson");
        let next = parts.headers.get("link").map(|link| {
            let link = link.to_str().unwrap();
            let path = link
                .strip_prefix('<')
                .unwrap()
                .strip_suffix(">; rel=\"next\"");
            path.unwrap().to_owned()
        });
        (body, next)
    })
}

/// All pages from `path` on, and how many there were.
fn all_pages(world: &World, path: &str) -> (Vec<u8>, usize) {
    let (mut all, mut next) = page(world, path);
    let mut pages = 1;
    while let Some(path) = next {
        let (more, further) = page(world, &path);
        all.extend_from_slice(&more);
        assert_ne!(
            further.as_ref(),
            Some(&path),
            "the next page is another one"
        );
        next = further;
        pages += 1;
        assert!(pages < 2_000, "pages without end");
    }
    (all, pages)
}

/// The journal `notes` as it is on disk.
fn whole(world: &World) -> Vec<u8> {
    let mut all = Vec::new();
    let engine = &world.app().engine;
    engine
        .scan("notes", &Mark::default(), &mut |chunk| {
            all.extend_from_slice(chunk.bytes);
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// Its lines for which `wanted` holds of number, instant and kind.
fn filtered(world: &World, wanted: impl Fn(u64, DateTime<Utc>, &str) -> bool) -> Vec<u8> {
    let all = whole(world);
    let lines = all.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            return false;
        };
        let (seq, kind) = (
            value["seq"].as_u64().unwrap(),
            value["kind"].as_str().unwrap(),
        );
        wanted(seq, at(value["ts"].as_str().unwrap()), kind)
    });
    lines.flatten().copied().collect()
}

fn with_journal(foreign: &[u8]) -> World {
    let mut world = World::at(noon());
    journal(world.home(), noon(), 2_000, 60, 20_000);
    let path = world.home().join("logs/notes.ndjson");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(foreign);
    std::fs::write(&path, text).unwrap();
    world = world.start();
    world
}

#[test]
fn pages_by_number_time_and_kind_are_what_the_files_hold() {
    let world = with_journal(b"by hand\nand again\nand once more\n");
    for limit in [1, 7, 100, 10_000] {
        if limit > 1 {
            let (all, pages) = all_pages(&world, &format!("/api/logs/notes?limit={limit}"));
            assert_eq!(all, whole(&world), "limit {limit}");
            assert!(pages >= 2_000 / limit, "{pages} of {limit}");
        }
        let path = format!("/api/logs/notes?after=1990&limit={limit}");
        let (all, _) = all_pages(&world, &path);
        let expected = whole(&world);
        let line = b"{\"seq\":1991,";
        let start = expected.windows(line.len()).position(|bytes| bytes == line);
        assert_eq!(all, expected[start.unwrap()..], "limit {limit}");
    }
    let (from, to) = ("2026-11-21T12:10:00Z", "2026-11-21T12:20:00Z");
    for (query, kinds) in [
        (
            "",
            &[
                "note.added",
                "note.changed",
                "letter.sent",
                "segment.opened",
            ][..],
        ),
        ("&kind=note.*", &["note.added", "note.changed"]),
        (
            "&kind=letter.sent,note.added",
            &["letter.sent", "note.added"],
        ),
        ("&kind=nothing.such", &[]),
    ] {
        for limit in [3, 10_000] {
            let path = format!("/api/logs/notes?from={from}&to={to}&limit={limit}{query}");
            let (all, _) = all_pages(&world, &path);
            let expected = filtered(&world, |_, ts, kind| {
                ts >= at(from) && ts <= at(to) && kinds.contains(&kind)
            });
            assert_eq!(all, expected, "{path}");
            let path = format!("/api/logs/notes?after=900&from={from}&limit={limit}{query}");
            let (all, _) = all_pages(&world, &path);
            let expected = filtered(&world, |seq, ts, kind| {
                seq > 900 && ts >= at(from) && kinds.contains(&kind)
            });
            assert_eq!(all, expected, "{path}");
        }
    }
    // Past the end there is nothing, and no next page.
    assert_eq!(
        page(&world, "/api/logs/notes?after=99999"),
        (Vec::new(), None)
    );
    let late = noon() + TimeDelta::days(2);
    let path = format!("/api/logs/notes?from={}", late.format("%Y-%m-%dT%H:%M:%SZ"));
    assert_eq!(page(&world, &path), (Vec::new(), None));
}

#[test]
fn the_list_tells_what_there_is() {
    let world = with_journal(b"");
    let list = world.get("/api/logs").expect(200);
    let journals = list["journals"].as_array().unwrap();
    let notes = journals.iter().find(|one| one["name"] == "notes").unwrap();
    assert_eq!(notes["first_seq"], 1);
    let newest = serde_json::from_slice::<Value>(
        whole(&world)
            .trim_ascii_end()
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(notes["last_seq"], newest["seq"]);
    assert_eq!(notes["last_ts"], newest["ts"]);
    assert_eq!(notes["bytes"], whole(&world).len());
    assert!(notes["segments"].as_u64().unwrap() > 5, "{notes}");
    // Nobody in this version writes it.
    assert_eq!(notes["durability"], Value::Null);
    let flags = journals.iter().find(|one| one["name"] == "feature_flags");
    assert_eq!(flags.unwrap()["durability"], "always");
}

#[test]
fn a_wrong_question_is_told_what_is_allowed() {
    let world = World::new();
    let unknown = world.get("/api/logs/feature_flag").expect(404);
    assert_eq!(unknown["error"], "journal_not_found");
    assert_eq!(unknown["nearest"], "feature_flags");
    for path in [
        "/api/logs/..%2Fconfigs",
        "/api/logs/%00",
        "/api/logs/keys.json",
    ] {
        world.get(path).expect(404);
    }
    for (query, part) in [
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "from 1 to 10000"),
        ("after=-1", "a whole number"),
        ("from=yesterday", "an instant such as"),
        ("to=2026-13-01", "an instant such as"),
        ("kind=a%20b", "kinds such as"),
        ("kind=", "kinds such as"),
        ("follow=yes", "0 or 1"),
        ("follow=1&to=1h", "no end"),
        ("nonsense=1", "nonsense"),
    ] {
        let told = world
            .get(&format!("/api/logs/feature_flags?{query}"))
            .expect(400);
        assert!(
            told["detail"].as_str().unwrap().contains(part),
            "{query}: {told}"
        );
    }
}

#[test]
fn a_number_that_is_not_there_yet_goes_on_at_the_end() {
    let world = World::new();
    let list = world.get("/api/logs").expect(200);
    let journals = list["journals"].as_array().unwrap();
    let flags = journals.iter().find(|one| one["name"] == "feature_flags");
    let newest = flags.unwrap()["last_seq"].as_u64().unwrap();
    // A restore took lines back that a client had read.
    let answer = world.get("/api/logs/feature_flags?after=4000");
    assert_eq!(answer.headers["x-next-after"], newest.to_string().as_str());
    let set = serde_json::json!({ "key": "shop.new", "value": true, "create": true });
    world.post("/api/flags/set", &set).expect(200);
    let (lines, _) = page(&world, &format!("/api/logs/feature_flags?after={newest}"));
    assert!(String::from_utf8_lossy(&lines).contains("shop.new"));
}
