//! Pure parts against plain models of themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;

use super::event::{self, EVENT, EXPOSURE};
use super::fingerprint::{Fingerprint, Key};
use super::ids::{Ids, Seen, Ticket};
use super::model::assign;
use super::query::{self, QueryFault};
use super::users::{UserSet, Users, in_several};
use super::view::ExperimentsView;
use crate::storage::lines::Lines;
use crate::storage::view::{Reader, View};

/// Numbers that look random and are the same in each run: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % sides
    }
}

const KEY: Key = Key(*b"0123456789abcdef");

#[test]
fn assignment_is_bit_exact() {
    for user in ["user123", "test@example.com"] {
        assert_eq!(assign(user, "ECHO2025", 2), 0, "{user} is in A");
    }
    // Worked out with another program: int.from_bytes(sha256(user + salt), "big") % n.
    for (user, salt, count, expected) in [
        ("user123", "ONBOARD2025", 3, 0),
        ("ünïcödé", "ONBOARD2025", 3, 2),
        ("user1", "x", 7, 5),
        ("user2", "", 64, 35),
    ] {
        assert_eq!(assign(user, salt, count), expected, "{user} {salt} {count}");
    }
    let shares = (0..30_000).fold([0_u32; 3], |mut shares, user| {
        shares[assign(&format!("u{user}"), "s", 3)] += 1;
        shares
    });
    assert!(
        shares.iter().all(|share| share.abs_diff(10_000) < 350),
        "{shares:?}"
    );
}

#[test]
fn a_query_is_read_exactly() {
    let read = |text| query::parse(text, ["user", "exp"]);
    let [user, exp] = read("user=a%20b+c%2B%C3%BC&exp=x").expect("valid");
    assert_eq!(
        (user.as_deref(), exp.as_deref()),
        (Some("a b c+ü"), Some("x"))
    );
    assert_eq!(read("").expect("valid"), [None, None]);
    assert_eq!(read("user=&&").expect("valid"), [Some("".into()), None]);
    assert_eq!(read("user=1&user=2"), Err(QueryFault::Twice("user")));
    assert_eq!(read("%75ser=1&user=2"), Err(QueryFault::Twice("user")));
    assert_eq!(read("usr=1"), Err(QueryFault::Unknown("usr".into())));
    for bad in ["user=%", "user=%4", "user=%zz", "user=%ff", "user=%+1"] {
        assert_eq!(read(bad), Err(QueryFault::Encoding("user".into())), "{bad}");
    }
}

#[test]
fn users_keep_their_numbers_through_growth_and_checkpoint() {
    let mut users = Users::default();
    let mark = |user: u32| KEY.of(&user.to_le_bytes());
    for user in 0..50_000 {
        assert_eq!(users.number(mark(user)), user);
        assert_eq!(users.number(mark(user / 2)), user / 2);
    }
    let mut saved = Vec::new();
    users.save(&mut saved);
    let restored = Users::restore(&mut Reader::new(&saved)).expect("just saved");
    assert_eq!(restored.count(), 50_000);
    for user in (0..50_000).step_by(7) {
        assert_eq!(restored.find(mark(user)), Some(user));
    }
    assert_eq!(restored.find(mark(50_000)), None);
    saved.truncate(saved.len() - 1);
    assert!(Users::restore(&mut Reader::new(&saved)).is_none());
}

#[test]
fn a_user_set_is_a_set() {
    let mut dice = Dice(7);
    let (mut set, mut model) = (UserSet::default(), BTreeSet::new());
    let mut other = UserSet::default();
    let mut both = 0;
    for _ in 0..40_000 {
        // Two chunks that become bitmaps and one that stays a list.
        let number = match dice.roll(20) {
            0 => 200_000 + dice.roll(60_000),
            _ => dice.roll(131_072),
        };
        let number = u32::try_from(number).expect("small");
        assert_eq!(set.insert(number), model.insert(number));
        if dice.roll(3) == 0 {
            other.insert(number);
        }
    }
    assert_eq!(set.count(), model.len() as u64);
    for number in 0..270_000 {
        assert_eq!(set.contains(number), model.contains(&number), "{number}");
        both += u64::from(set.contains(number) && other.contains(number));
    }
    assert_eq!(in_several(&[&set, &other]), both);
    assert_eq!(in_several(&[&set]), 0);
    let mut saved = Vec::new();
    set.save(&mut saved);
    let restored = UserSet::restore(&mut Reader::new(&saved)).expect("just saved");
    assert_eq!(restored.count(), set.count());
    assert!((0..270_000).all(|number| restored.contains(number) == set.contains(number)));
}

#[test]
fn ids_are_remembered_for_at_least_half_a_window() {
    let mut ids = Ids::new(10);
    let id = |number: u64| Fingerprint {
        a: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        b: 0,
    };
    for number in 1..=100 {
        let Seen::New(ticket) = ids.claim(id(number), 1) else {
            panic!("{number} is new")
        };
        assert_eq!(ids.claim(id(number), 1), Seen::InFlight);
        assert_eq!(ids.claim(id(number), 2), Seen::Conflict);
        assert_eq!(ids.line(id(number)), None);
        ids.settle(ticket, number);
        for recent in number.saturating_sub(5).max(1)..=number {
            assert_eq!(ids.claim(id(recent), 1), Seen::Line(recent));
        }
        assert!(ids.count() <= 10);
    }
    let Seen::New(ticket) = ids.claim(id(1000), 1) else {
        panic!("new")
    };
    ids.release(ticket);
    assert!(
        matches!(ids.claim(id(1000), 2), Seen::New(_)),
        "a refused line frees its id"
    );
}

/// The `number`th id of the tests below.
fn nth(number: u64) -> Fingerprint {
    KEY.of(&number.to_le_bytes())
}

/// Claims an id that nothing is known of.
fn claimed(ids: &mut Ids, number: u64) -> Ticket {
    match ids.claim(nth(number), 1) {
        Seen::New(ticket) => ticket,
        seen => panic!("{number} should be new, but is {seen:?}"),
    }
}

/// Claims and settles ids that nothing is known of; each is the line of its number.
fn settled(ids: &mut Ids, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let ticket = claimed(ids, number);
        ids.settle(ticket, number);
    }
}

#[test]
fn an_id_taken_after_a_refusal_is_remembered_for_half_a_window_from_then_on() {
    // In the old half there are 1 to 5 when 1 comes again, and there is no room for a sixth young.
    for young in 6..=10 {
        let mut ids = Ids::new(10);
        let refused = claimed(&mut ids, 1);
        ids.release(refused);
        settled(&mut ids, 2..=young);
        let again = claimed(&mut ids, 1);
        assert_eq!(ids.claim(nth(1), 1), Seen::InFlight);
        assert_eq!(ids.claim(nth(1), 2), Seen::Conflict);
        settled(&mut ids, 101..=102);
        ids.settle(again, 77);
        settled(&mut ids, 103..=104);
        assert_eq!(ids.claim(nth(1), 1), Seen::Line(77), "{young} before it");
        assert!(ids.count() <= 10);
    }
}

#[test]
fn an_id_read_twice_is_remembered_for_half_a_window_from_the_second_on() {
    let mut ids = Ids::new(10);
    for number in (1..=10).chain([1, 11, 12, 13, 14]) {
        ids.replay(nth(number), 1, if number == 1 { 77 } else { number });
    }
    assert_eq!(ids.claim(nth(1), 1), Seen::Line(77));
    let mut saved = Vec::new();
    ids.save(&mut saved);
    let mut restored = Ids::restore(&mut Reader::new(&saved)).expect("just saved");
    assert_eq!(restored.claim(nth(1), 1), Seen::Line(77));
}

#[test]
fn an_id_that_was_in_flight_for_longer_than_the_window_is_known_once_it_is_a_line() {
    let mut ids = Ids::new(10);
    let (slow, lost) = (claimed(&mut ids, 1), claimed(&mut ids, 2));
    settled(&mut ids, 3..=30);
    ids.settle(slow, 77);
    ids.release(lost);
    assert_eq!(ids.claim(nth(1), 1), Seen::Line(77));
    assert_eq!(ids.claim(nth(1), 2), Seen::Conflict);
    // Where the id was claimed anew meanwhile, that claim stands.
    let again = claimed(&mut ids, 2);
    ids.release(lost);
    assert_eq!(ids.claim(nth(2), 1), Seen::InFlight);
    ids.settle(again, 78);
    assert_eq!(ids.claim(nth(2), 1), Seen::Line(78));
}

/// Experiment, variant, event.
type Name = (String, String, Option<String>);

/// Lines of a seeded history, as the engine writes them, with what they should come to.
#[derive(Default)]
struct History {
    text: Vec<u8>,
    counts: BTreeMap<Name, (u64, f64, BTreeSet<String>)>,
    ids: HashMap<String, u64>,
    skipped: u64,
}

fn history(seed: u64, count: u64) -> History {
    let (mut dice, mut history) = (Dice(seed), History::default());
    for seq in 1..=count {
        let exp = format!("exp_{}", dice.roll(3));
        let variant = ["A", "B"][usize::try_from(dice.roll(2)).expect("small")].to_owned();
        let event = (dice.roll(3) > 0).then(|| format!("event.{}", dice.roll(4)));
        let odd = [r#"q"uote"#, r"back\slash", "ünï", "tab\tbed"];
        let user = match dice.roll(10) {
            0 => odd[usize::try_from(dice.roll(4)).expect("small")].to_owned(),
            _ => format!("user{}", dice.roll(500)),
        };
        let values = [
            None,
            Some(1.0),
            Some(-2.5),
            Some(1e-7),
            Some(123_456_789_012_345_680.0),
        ];
        let value = values[usize::try_from(dice.roll(5)).expect("small")];
        let value = value.filter(|_| event.is_some());
        let id = (event.is_some() && dice.roll(2) == 0).then(|| format!("id \"{seq}\""));
        let mut lines = Lines::new();
        let kind = if event.is_some() { EVENT } else { EXPOSURE };
        lines.push(kind, DateTime::UNIX_EPOCH, |out| {
            event::push_prefix(out, &exp, &variant, event.as_deref());
            match &event {
                Some(_) => event::push_event(out, &user, value, id.as_deref()),
                None => event::push_exposure(out, &user, "0123456789abcdef"),
            }
        });
        for (entry, members) in lines.iter() {
            let head = format!("{{\"seq\":{seq},\"ts\":\"2026-11-21T09:15:02.123Z\",\"kind\":\"");
            history.text.extend_from_slice(head.as_bytes());
            history.text.extend_from_slice(entry.kind.as_bytes());
            history.text.extend_from_slice(b"\",");
            history.text.extend_from_slice(members);
            history
                .text
                .extend_from_slice(b",\"h\":\"0123456789abcdef\"}\n");
        }
        let group = history.counts.entry((exp, variant, event)).or_default();
        group.0 += 1;
        group.1 += value.unwrap_or(0.0);
        group.2.insert(user);
        history.ids.extend(id.map(|id| (id, seq)));
        if dice.roll(50) == 0 {
            history
                .text
                .extend_from_slice(b"a note that somebody left here\n");
            history.skipped += 1;
        }
    }
    history
}

fn folded(text: &[u8], piece: usize) -> ExperimentsView {
    let mut view = ExperimentsView::new(KEY, 1000);
    let (mut parser, mut batch) = (view.parser(), <ExperimentsView as View>::Batch::default());
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    while !lines.is_empty() {
        let rest = lines.split_off(piece.min(lines.len()));
        ExperimentsView::parse(&mut parser, &lines.concat(), &mut batch);
        view.apply(&mut batch);
        lines = rest;
    }
    view
}

fn agrees(view: &mut ExperimentsView, history: &History) {
    assert_eq!(view.groups().count(), history.counts.len());
    for group in view.groups() {
        let name = (group.exp.to_string(), group.variant.to_string());
        let name = (name.0, name.1, group.event.as_deref().map(str::to_owned));
        let (count, sum, users) = &history.counts[&name];
        assert_eq!(
            (group.count, group.users.count()),
            (*count, users.len() as u64),
            "{name:?}"
        );
        assert_eq!(group.sum.to_bits(), sum.to_bits(), "{name:?}");
    }
    for (id, seq) in &history.ids {
        assert_eq!(view.ids.line(KEY.of(id.as_bytes())), Some(*seq), "{id}");
    }
    assert_eq!(view.skipped(), history.skipped);
}

#[test]
fn the_view_agrees_with_a_plain_model() {
    for seed in 1..=20 {
        let history = history(seed, 600);
        let mut view = folded(
            &history.text,
            1 + usize::try_from(seed).expect("small") * 13,
        );
        agrees(&mut view, &history);
        assert_eq!(view.last_seq(), 600, "seed {seed}");
        let mut saved = Vec::new();
        view.save(&mut saved);
        let mut restored = ExperimentsView::restore(&mut Reader::new(&saved)).expect("just saved");
        agrees(&mut restored, &history);
        for group in restored.groups() {
            let same = restored.exposed_to_several(&group.exp);
            assert_eq!(same, view.exposed_to_several(&group.exp), "seed {seed}");
        }
    }
}

#[test]
fn members_in_any_order_are_counted_the_same() {
    let line = |seq, members: &str| {
        format!(
            "{{\"seq\":{seq},\"ts\":\"2026-11-21T09:15:02.123Z\",\"kind\":\"event.logged\",\
             {members},\"h\":\"0123456789abcdef\"}}\n"
        )
    };
    let own = r#""exp":"e","variant":"A","event":"buy","user":"u","value":2.5,"id":"i""#;
    let other = r#""id":"j","user":"\u0075","value":2.5,"event":"buy","variant":"A","exp":"e""#;
    let newer = r#""exp":"e","variant":"A","event":"buy","user":"u","value":2.5,"more":[1]"#;
    let text = line(1, own) + &line(2, other) + &line(3, newer) + &line(4, "\"exp\":3");
    let mut view = folded(text.as_bytes(), 10);
    let groups: Vec<_> = view
        .groups()
        .map(|g| (g.count, g.users.count(), g.sum))
        .collect();
    assert_eq!(groups, [(3, 1, 7.5)]);
    assert_eq!(view.skipped(), 1);
    assert_eq!(view.ids.line(KEY.of(b"j")), Some(2));
    let body = KEY.of_event(
        br#""exp":"e","variant":"A","event":"buy","user":""#,
        KEY.of(b"u"),
        Some(2.5),
    );
    assert_eq!(
        view.ids.claim(KEY.of(b"i"), body),
        Seen::Line(1),
        "the body is recomputed"
    );
    assert_eq!(
        view.ids.claim(KEY.of(b"j"), body),
        Seen::Line(2),
        "in any order of members"
    );
}

#[test]
fn numbers_are_written_so_that_they_read_back_the_same() {
    let mut dice = Dice(3);
    let random = (0..5000).map(|_| f64::from_bits(dice.roll(u64::MAX) << 11 ^ dice.roll(1 << 30)));
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        1e300,
        5e-324,
        9_007_199_254_740_993.0,
    ];
    for value in random.chain(special).filter(|value| value.is_finite()) {
        let mut members = br#""exp":"e","variant":"A","event":"x","user":"u""#.to_vec();
        members.truncate(members.len() - 2);
        event::push_event(&mut members, "u", Some(value), None);
        let quick = event::parse_quick(&members, false).expect("our own order");
        let read = quick.line.value.expect("a value");
        assert_eq!(
            read.to_bits(),
            value.to_bits(),
            "{}",
            String::from_utf8_lossy(&members)
        );
    }
}
