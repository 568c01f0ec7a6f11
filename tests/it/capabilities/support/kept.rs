//! Lines of the first version are read for ever, and gone on with.

use std::collections::BTreeSet;

use echopilot::capabilities::support::event::Event;
use echopilot::capabilities::support::triage::{self, Rules};
use echopilot::capabilities::support::view::SupportView;
use serde_json::{Value, json};

use super::triage::{fetched, now};
use crate::world::World;

/// What was written by the first version.
const MAILS: &str = include_str!("../../../fixtures/logs/support_mail.ndjson");
const DIGESTS: &str = include_str!("../../../fixtures/logs/support_digest.ndjson");

#[test]
fn lines_of_the_first_version_are_read_for_ever() {
    let mut world = World::new();
    world.stop();
    let logs = world.home().join("logs");
    std::fs::write(logs.join("support_mail.ndjson"), MAILS).unwrap();
    std::fs::write(logs.join("support_digest.ndjson"), DIGESTS).unwrap();
    world = world.start();
    let list = world.get("/api/support/mails").expect(200);
    assert_eq!(list["total"], 3, "{list}");
    let mail = |id: u64| world.get(&format!("/api/support/mails/{id}")).expect(200);
    let (ann, away, answer) = (mail(2), mail(3), mail(6));
    assert_eq!(
        (&ann["kind"], &ann["urgency"], &ann["category"]),
        (&json!("person"), &json!("urgent"), &json!("outage"))
    );
    assert_eq!(
        (&ann["is_unread"], &ann["is_answered"], &ann["is_gone"]),
        (&json!(false), &json!(true), &json!(false))
    );
    assert_eq!(
        (&away["kind"], &away["is_gone"], &away["mail"]["uid"]),
        (&json!("auto_reply"), &json!(true), &json!(17))
    );
    assert_eq!(answer["subject"], "Re: Checkout is down");
    let report = world.get("/api/support/digest").expect(200);
    assert_eq!(
        (&report["mails"], &report["first_answers"]["n"]),
        (&json!(3), &json!(1)),
        "{report}"
    );
    for (name, text) in [("support_mail", MAILS), ("support_digest", DIGESTS)] {
        let lines = world.journal(name);
        assert_eq!(
            lines.len(),
            text.lines().count(),
            "nothing is written for it"
        );
    }
}

/// Names of the members of a digest's line, as the first version wrote it.
pub fn members_of_a_digest() -> BTreeSet<String> {
    let line: Value = serde_json::from_str(DIGESTS.lines().next().unwrap()).unwrap();
    line.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn of_two_mails_alike_each_is_found_again_under_a_new_numbering() {
    let raw = b"From: ann@shop.example\r\nSubject: twice\r\n\r\nthe same\r\n";
    let mail = |uid, uid_validity| {
        let mut fetched = fetched(raw, uid);
        fetched.uid_validity = uid_validity;
        triage::read(&fetched, &Rules::default())
    };
    let mut view = SupportView::default();
    for uid in [1, 2] {
        view.take(u64::from(uid), now(), Event::Seen(Box::new(mail(uid, 1))));
    }
    let mut found = BTreeSet::new();
    let again = [7, 8].map(|uid| match view.met(mail(uid, 2), false, &mut found) {
        Some(Event::Renumbered(renumbered)) => renumbered.mail,
        other => panic!("{other:?}"),
    });
    assert_eq!(again, [1, 2]);
}
