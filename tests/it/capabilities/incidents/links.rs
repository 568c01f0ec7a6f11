//! Signed links: looking changes nothing, the button does, and nothing else opens the door.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{MINUTE, id, kinds, only, quiet, raise};
use crate::world::World;

fn world() -> World {
    let config = json!({ "public_url": "https://ops.example.com/", "link_hours": 1 });
    quiet(World::with_config("incidents.json", &config.to_string()).start())
}

fn link(world: &World) -> String {
    let told = world.app().alerts.attachment("probe:web").unwrap();
    let url = told.ack_url.clone().expect("a link");
    url.strip_prefix("https://ops.example.com")
        .unwrap()
        .to_owned()
}

#[test]
fn a_link_shows_a_page_and_its_button_acknowledges() {
    let mut world = world();
    raise(&world, "probe:web", &[]);
    let (name, path) = (id(&only(&world)), link(&world));
    let page = world.get(&path);
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["x-robots-tag"], "noindex, nofollow");
    assert_eq!(page.headers["cache-control"], "no-store");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; form-action 'self'"),
        "{policy}"
    );
    let text = page.body.as_str().unwrap();
    assert!(text.contains(&name) && text.contains("<button>") && !text.contains("<script"));
    assert_eq!(only(&world)["state"], "open", "looking changes nothing");
    for _ in 0..2 {
        let done = world.post(&path, &Value::Null);
        assert_eq!(done.status, 200);
        assert!(
            done.body.as_str().unwrap().contains("acknowledged at"),
            "{}",
            done.body
        );
    }
    assert_eq!(only(&world)["acknowledged_by"], "link");
    let acks = kinds(&world, &name)
        .into_iter()
        .filter(|kind| kind.ends_with("acknowledged"));
    assert_eq!(acks.count(), 1);
    world.block_on(world.app().alerts.settled()).unwrap();
    assert!(
        world
            .app()
            .alerts
            .find("probe:web")
            .unwrap()
            .acknowledged
            .is_some()
    );
    // The key is kept over restarts, for the owner alone, and nowhere in a log.
    world.restart();
    assert_eq!(world.get(&path).status, 200);
    let key = world.home().join("secrets/incident_links");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = path.strip_prefix("/ack/").unwrap().to_owned();
    let journals = ["incidents", "alerts"].map(|name| format!("{:?}", world.journal(name)));
    assert!(!journals.concat().contains(&token));
    // An hour later it has ended.
    world.advance(MINUTE * 61);
    assert_eq!(world.get(&path).status, 404);
}

#[test]
fn forged_and_ended_links_are_told_the_same() {
    let world = world();
    raise(&world, "probe:web", &[]);
    let path = link(&world);
    let (told, proof) = path.rsplit_once('.').unwrap();
    let flipped = if proof.starts_with('0') { "1" } else { "0" };
    let forged = [
        "/ack/x".to_owned(),
        "/ack/inc-20261121-1".to_owned(),
        told.to_owned(),
        format!("{told}."),
        format!("{told}.{flipped}{}", &proof[1..]),
        format!("{told}.{proof}0"),
        path.replace("inc-20261121-1", "inc-20261121-2"),
        format!("/ack/{}", "a.".repeat(400)),
    ];
    let ended = {
        world.advance(MINUTE * 61);
        world.get(&path)
    };
    assert_eq!(ended.status, 404);
    for path in forged {
        for method in ["GET", "POST"] {
            let answer = world.call(method, &path, &Value::Null);
            assert_eq!((answer.status, &answer.body), (404, &ended.body), "{path}");
        }
    }
    assert_eq!(only(&world)["state"], "open");
}
