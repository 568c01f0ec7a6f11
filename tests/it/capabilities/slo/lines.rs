//! Lines of `logs/slo.ndjson` as an earlier version wrote them: read for ever, each kind.

use echopilot::capabilities::slo::budget::Level;
use echopilot::capabilities::slo::event::SloLine;
use echopilot::capabilities::slo::model::{Rule, Severity};
use echopilot::capabilities::slo::view::SloView;

use crate::world::at;

#[test]
fn golden_lines_mean_what_they_meant() {
    let golden = include_str!("../../../fixtures/logs/slo.ndjson");
    let mut view = SloView::default();
    for line in golden.lines() {
        let parsed: SloLine = serde_json::from_str(line).expect(line);
        view.fold(parsed);
    }
    let standing = view.standing("checkout");
    let open: Vec<_> = standing.open.keys().copied().collect();
    assert_eq!(open, [Severity::Ticket], "the page has ended");
    let ticket = &standing.open[&Severity::Ticket];
    assert_eq!(ticket.rules, [Rule::TicketSlow, Rule::Sustained].into());
    assert_eq!(ticket.fired_at, at("2026-11-21T12:04:01Z"));
    assert_eq!(ticket.started_at, at("2026-11-21T12:00:00Z"));
    assert_eq!(standing.level, Level::Low);
    // Half of the window had passed when it was withdrawn, and stays.
    let declared: Vec<_> = view.declared.iter().collect();
    assert_eq!(declared.len(), 1);
    assert_eq!(declared[0].0.until, at("2026-11-21T14:30:01Z"));
    assert!(
        view.excluded("checkout")
            .contains(at("2026-11-21T14:10:00Z").timestamp() / 60)
    );
    assert!(
        !view
            .excluded("search")
            .contains(at("2026-11-21T14:10:00Z").timestamp() / 60)
    );
}

#[test]
fn every_line_of_today_has_a_golden_one_of_its_kind() {
    let golden = include_str!("../../../fixtures/logs/slo.ndjson");
    let event = include_str!("../../../../src/capabilities/slo/event.rs");
    let kinds = event.split('"').filter(|text| text.starts_with("slo."));
    for kind in kinds {
        assert!(golden.contains(&format!("\"kind\":\"{kind}\"")), "{kind}");
    }
}
