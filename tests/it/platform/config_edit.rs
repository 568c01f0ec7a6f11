//! Rules C1 and C2 through the store: an edit is saved whole, and never over a person's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Barrier};

use echopilot::base::json::{Edit, EditFault};
use echopilot::platform::config::EditError;
use echopilot::storage::engine::Revision;
use serde_json::json;

use super::config_world::{Toggles, World, text, wait_until};

type Edited = Result<Revision, EditError<EditFault>>;

fn set(world: &World, base: Option<&Revision>, name: &str, on: bool) -> Edited {
    let change = |edit: &mut Edit| edit.set(["toggles", name], &json!(on));
    let edited = world
        .store()
        .edit::<Toggles, _>(base.cloned(), "ops-key".into(), change);
    edited.map(|accepted| accepted.revision.clone())
}

#[test]
fn c1_an_edit_changes_one_value_keeps_the_mode_and_the_old_text() {
    let world = World::new();
    let odd = "\u{FEFF}{\r\n\t\"$why\": \"kept\",\r\n\t\"count\" :2,\r\n\t\
               \"toggles\": {\"b\":false , \"pay.live\": true}\r\n}\r\n";
    world.save_by_rename(odd);
    fs::set_permissions(world.file(), fs::Permissions::from_mode(0o640)).expect("mode");
    wait_until("in force", || world.toggle("b") == Some(false));
    let before = world.live().get().revision.clone();
    let after = set(&world, None, "pay.live", false).expect("saved");
    assert_eq!(
        world.on_disk(),
        odd.replace("\"pay.live\": true", "\"pay.live\": false")
    );
    assert_eq!(world.toggle("pay.live"), Some(false), "in force at once");
    let mode = fs::metadata(world.file())
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    world.store().flush();
    let kept = world.folder.path().join("backups/configs/toggles");
    for revision in [before, after] {
        assert!(kept.join(format!("{revision}.json")).exists(), "{revision}");
    }
    let names = fs::read_dir(world.folder.path().join("configs")).expect("configs");
    assert_eq!(names.count(), 1, "nothing is left beside the document");
}

#[test]
fn c2_an_edit_based_on_another_text_is_refused() {
    let world = World::new();
    let base = world.live().get().revision.clone();
    let by_hand = text(&["mine", "yours"], true);
    world.save_by_rename(&by_hand);
    let refused = set(&world, Some(&base), "mine", false).expect_err("somebody was first");
    let EditError::Moved {
        expected, found, ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((expected, found), (base, Revision::of(by_hand.as_bytes())));
    assert_eq!(world.on_disk(), by_hand);
    wait_until("the hand's text", || world.toggle("mine") == Some(true));
}

#[test]
fn c2_of_many_edits_at_once_on_one_base_exactly_one_is_made() {
    const HANDS: usize = 8;
    let world = World::new();
    let base = world.live().get().revision.clone();
    let start = Barrier::new(HANDS);
    let made: Vec<_> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    set(&world, Some(&base), "pay.live", false).is_ok()
                })
            })
            .collect();
        hands
            .into_iter()
            .filter_map(|hand| hand.join().ok())
            .collect()
    });
    assert_eq!(
        (made.len(), made.iter().filter(|made| **made).count()),
        (HANDS, 1)
    );
}

#[test]
fn an_edit_bears_its_authors_name_and_the_watcher_adds_nothing() {
    let world = World::new();
    for on in [false, true, false] {
        set(&world, None, "pay.live", on).expect("saved");
    }
    set(&world, None, "pay.live", false).expect("nothing to do");
    world.store().refresh_all();
    world.save_by_rename(text(&["hand"], true));
    wait_until("in force", || world.toggle("hand") == Some(true));
    let pair = |actor: &str| ("config.accepted".to_owned(), actor.to_owned());
    let expected = ["shipped", "ops-key", "ops-key", "ops-key", "file"].map(pair);
    // The rules are in force first; nobody waits for the line that tells so.
    wait_until("recorded", || {
        world.recorded_kinds().len() >= expected.len()
    });
    assert_eq!(world.recorded_kinds(), expected);
    assert_eq!(world.status().actor, "file");
}

#[test]
fn an_edit_that_would_not_pass_leaves_everything_as_it_was() {
    let world = World::new();
    let before = world.on_disk();
    let EditError::Invalid(problems) = set(&world, None, "third", true).expect_err("the count")
    else {
        panic!("another refusal");
    };
    assert!(
        problems.to_string().contains("`count` is 2, must be 3"),
        "{problems}"
    );
    let refused = world
        .store()
        .edit::<Toggles, _>(None, Arc::from("x"), |_| Err("no"));
    assert!(
        matches!(refused, Err(EditError::Refused("no"))),
        "{refused:?}"
    );
    assert_eq!(world.on_disk(), before);
    assert!(!world.is_degraded());
    assert_eq!(world.recorded().len(), 1, "only the first start");
}
