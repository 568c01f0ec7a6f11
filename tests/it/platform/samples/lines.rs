//! What stands in the files: golden lines of every version, and commits larger than a line.

use echopilot::platform::telemetry::{Page, Spelling};

use super::*;

#[test]
fn lines_are_written_as_they_always_were() {
    let lab = Lab::new();
    let mut rows = Rows::new();
    rows.add("nginx", lab.ago(0), 3, 1, Some(12_345));
    rows.add("nginx", lab.ago(0), 1, 0, Some(0));
    rows.add("nginx: \"quoted\"", lab.ago(70), 1, 0, None);
    let position = json!({"inode": 4711, "offset": 80});
    lab.commit(rows.clone(), Some(position), None);
    lab.commit(rows, None, Some("push-1"));
    lab.close_hours();
    let text = |stream: &str| {
        let mut text = String::new();
        let scan = lab.engine.scan(stream, &Mark::default(), &mut |chunk| {
            text.push_str(std::str::from_utf8(chunk.bytes).unwrap());
            std::ops::ControlFlow::Continue(())
        });
        scan.unwrap();
        text
    };
    let golden = include_str!("../../../fixtures/logs/samples.ndjson");
    let tiers = include_str!("../../../fixtures/logs/samples_tiers.ndjson");
    assert_eq!(text(STREAM), golden);
    assert_eq!(text(TIERS), tiers);
}

#[test]
fn a_commit_of_many_rows_is_whole_or_not_there() {
    let mut lab = Lab::new();
    let mut rows = Rows::new();
    for minute in 0..650 {
        rows.add("nginx", lab.ago(minute), 1, 0, Some(7));
    }
    lab.commit(rows, Some(json!(1)), Some("big"));
    let lines = lab.lines(STREAM);
    let parts: Vec<_> = lines
        .iter()
        .map(|line| (line["part"].clone(), line["parts"].clone()))
        .collect();
    assert_eq!(parts, [1, 2, 3, 4].map(|part| (json!(part), json!(4))));
    lab.without_checkpoint();
    assert_eq!(lab.total("nginx").total, 650);
    // The same journal, torn before the last part.
    let mut torn = Lab::new();
    for (count, whole) in [(3, false), (4, true)] {
        let mut again = echopilot::storage::lines::Lines::new();
        for line in &lines[..count] {
            let mut members = line.as_object().unwrap().clone();
            for own in ["seq", "ts", "kind", "h"] {
                members.remove(own);
            }
            let text = Value::Object(members).to_string();
            again.push("samples.counted", lab.now(), |out| {
                out.extend_from_slice(&text.as_bytes()[1..text.len() - 1]);
            });
        }
        let expect = echopilot::storage::engine::Expect::Any;
        let append = torn.engine.append(STREAM, expect, None, again, None);
        torn.runtime.block_on(append).unwrap();
        torn.without_checkpoint();
        assert_eq!(torn.total("nginx").total, if whole { 650 } else { 0 });
        assert_eq!(
            (
                torn.samples.position("test").is_some(),
                torn.samples.seen("big")
            ),
            (whole, whole)
        );
    }
}

#[test]
fn lines_that_a_person_left_are_passed_over() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::at(at("2026-11-21T09:15:20Z")));
    let engine: Arc<dyn Engine> = Arc::new(place.engine_by(Arc::clone(&clock) as _));
    let mut lab = Lab::on(engine, clock);
    let rows = lab.rows("web", 0, 0, 5);
    lab.commit(rows, None, None);
    lab.samples.close();
    lab.engine.close();
    let path = place.logs().join("samples.ndjson");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"checked by hand on Friday\n{\"seq\":9,\"ts\":\"torn");
    std::fs::write(&path, text).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(place.engine_by(Arc::clone(&lab.clock) as _));
    let told = std::mem::take(&mut lab.told);
    let mut lab = Lab::on(engine, Arc::clone(&lab.clock));
    lab.told = told;
    let rows = lab.rows("web", 0, 1, 5);
    lab.commit(rows, None, None);
    lab.without_checkpoint();
    assert_eq!(lab.total("web"), lab.told("web"));
    assert_eq!(lab.samples.gauges().skipped_lines, 1);
}

#[test]
fn the_store_tells_how_it_is() {
    let mut lab = Lab::new();
    let rows = lab.rows("web", 0, 0, 5);
    lab.samples.add("own", rows);
    let mut ahead = Rows::new();
    ahead.add("web", lab.ago(-90), 7, 0, None);
    lab.samples.add("own", ahead);
    let mut page = Page::new(Spelling::Prometheus);
    lab.samples.write_metrics(&mut page);
    let page = page.finish();
    let told = |line: &str| page.lines().any(|one| one == line);
    assert!(told("echopilot_samples_pending_rows 1"), "{page}");
    assert!(
        told("echopilot_samples_lost_total{why=\"refused\"} 7"),
        "{page}"
    );
}
