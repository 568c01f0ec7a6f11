//! What the parser takes, what it refuses, and how it says so.

use super::*;

/// Line, column, found, expected, hint of the fault in `text`.
fn fault(text: &str) -> (u32, u32, String, String, String) {
    let fault = Tree::parse(text).expect_err(text);
    let place = Place::of(text, fault.offset);
    let (line, column) = (place.line.get(), place.column.get());
    (line, column, fault.found, fault.expected, fault.hint)
}

/// Text, line, column, what was found, a part of the hint.
const FAULTS: &[(&str, u32, u32, &str, &str)] = &[
    (
        "",
        1,
        1,
        "the end of the file",
        "an empty document is never",
    ),
    (
        "{\n  \"a\": 1,\n}",
        2,
        9,
        "a comma before `}`",
        "remove this comma",
    ),
    ("[1, 2,]", 1, 6, "a comma before `]`", "remove this comma"),
    (
        "{\"a\": 1\n \"b\": 2}",
        2,
        2,
        "`\"`",
        "after the value that ends at line 1, column 8",
    ),
    ("{'a': 1}", 1, 2, "`'`", "use double quotes"),
    ("{“a”: 1}", 1, 2, "`“`", "typographic"),
    ("{a: 1}", 1, 2, "`a`", "\"a\""),
    ("{\"a\": 1} // why", 1, 10, "a comment", "no comments"),
    ("{\"a\": NaN}", 1, 7, "`NaN`", "no such number"),
    ("{\"a\": -Infinity}", 1, 7, "`-`", "no such number"),
    ("{\"a\": True}", 1, 7, "`True`", "write `true`"),
    ("{\"a\": truest}", 1, 7, "`truest`", "\"truest\""),
    (
        "{\"a\": 012}",
        1,
        7,
        "a number with a leading zero",
        "leading zeros",
    ),
    (
        "{\"a\": 1.}",
        1,
        7,
        "a number without digits after its point",
        "point",
    ),
    ("{\"a\": .5}", 1, 7, "`.5`", "write `0` before"),
    (
        "{\"a\": 5s}",
        1,
        7,
        "a number that runs into",
        "without units",
    ),
    (
        "{\"a\": 1e}",
        1,
        7,
        "a number without digits after its `e`",
        "1e6",
    ),
    ("[-1e999]", 1, 2, "a number out of range", "1.8e308"),
    ("{\"a\": }", 1, 7, "`}`", "a value is missing"),
    ("{\"a\" 1}", 1, 6, "`1`", "write `:`"),
    ("{\"a\": 1,, \"b\": 2}", 1, 9, "`,`", "extra comma"),
    (
        "{\"a\": {\"b\": 1}",
        1,
        15,
        "the end of the file",
        "line 1, column 1 is never closed",
    ),
    (
        "{\"a\": \"x",
        1,
        9,
        "the end of the file",
        "begins at line 1, column 7",
    ),
    (
        "{\"ä\": \"x\n\"}",
        1,
        9,
        "the end of the line",
        "line break",
    ),
    ("{\"a\": \"\t\"}", 1, 8, "a tab", "\\t"),
    ("{\"a\": \"\\x\"}", 1, 8, "`\\x`", "\\\\"),
    (
        "{\"a\": \"\\u12\"}",
        1,
        8,
        "an incomplete `\\u`",
        "four hex",
    ),
    (
        "{\"a\": \"\\ud800\"}",
        1,
        8,
        "half of a surrogate pair",
        "UTF-8",
    ),
    ("{\"a\":\u{A0}1}", 1, 6, "U+00A0", "invisible"),
    ("{} {}", 1, 4, "`{`", "one value"),
    ("[\"a\": 1]", 1, 5, "`:`", "an array has no keys"),
    ("\0\0\0", 1, 1, "the control character U+0000", "damaged"),
];

#[test]
fn every_syntax_fault_has_its_place_and_its_cure() {
    for &(text, line, column, found, hint) in FAULTS {
        let told = fault(text);
        assert_eq!((told.0, told.1), (line, column), "{text}: {told:?}");
        assert!(told.2.contains(found), "{text}: {told:?}");
        assert!(told.4.contains(hint), "{text}: {told:?}");
        assert!(!told.3.is_empty(), "{text}: {told:?}");
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_err(),
            "{text}"
        );
    }
}

#[test]
fn values_keep_their_text_and_their_place() {
    let text =
        "{\"n\": 1.50, \"s\": \"a\\n\\u00e9\\ud83d\\ude00\", \"l\": [true, null, -7], \"o\": {}}";
    let tree = Tree::parse(text).expect("valid");
    let root = tree.root();
    assert_eq!(root.get("n").and_then(Node::number), Some("1.50"));
    assert_eq!(root.get("s").and_then(Node::str), Some("a\né😀"));
    let list: Vec<_> = root
        .get("l")
        .expect("there")
        .elements()
        .map(Node::text)
        .collect();
    assert_eq!(list, ["true", "null", "-7"]);
    assert_eq!(root.members().count(), 4);
    assert_eq!(tree.at(&"l[2]".into()).and_then(Node::i64), Some(-7));
    assert_eq!(
        tree.offset_of(&"n".into()),
        1,
        "a member is pointed to by its key"
    );
    assert_eq!(
        tree.offset_of(&"o.missing".into()),
        text.find("\"o\"").expect("there")
    );
    let whole: serde_json::Value = root.read().expect("reads");
    let other: serde_json::Value = serde_json::from_str(text).expect("valid");
    assert_eq!(whole, other, "both readers see the same");
}

#[test]
fn notes_under_dollar_keys_are_not_read() {
    let tree = Tree::parse("{\"$schema\": \"x\", \"a\": 1, \"$comment\": [1]}").expect("valid");
    let map: std::collections::BTreeMap<String, u8> = tree.root().read().expect("reads");
    assert_eq!(map.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 1)]);
}

#[test]
fn a_key_twice_is_noted_with_both_places_however_it_is_written() {
    let many: Vec<_> = (0..40).map(|n| format!("\"k{n}\": 0,\n")).collect();
    let many = many.concat();
    for text in [
        "{\"a\": 1, \"b\": {\"x\": 1}, \"\\u0061\": 2}".to_owned(),
        format!("{{\"a\": 1,\n{many}\"a\": 2}}"),
    ] {
        let tree = Tree::parse(&text).expect("valid");
        let [duplicate] = tree.duplicates() else {
            panic!("{:?}", tree.duplicates());
        };
        assert_eq!((duplicate.first, tree.duplicate_key(duplicate)), (1, "a"));
        assert!(
            text.get(duplicate.second..)
                .is_some_and(|rest| rest.ends_with("2}"))
        );
    }
    assert!(
        Tree::parse("[{\"a\":1},{\"a\":1}]")
            .expect("valid")
            .duplicates()
            .is_empty()
    );
}

#[test]
fn depth_is_bounded_at_32_and_a_million_brackets_do_no_harm() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Tree::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(Tree::parse(&nested(MAX_DEPTH + 1)).is_err());
    let (_, column, found, ..) = fault(&"[".repeat(1_000_000));
    assert_eq!((column, &*found), (33, "33 levels of `{` and `[`"));
}

/// A small generator of texts, valid and not, seeded: the two readers must agree on each.
#[test]
fn the_parser_agrees_with_serde_json_on_mutated_texts() {
    const PIECES: [&str; 28] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\\n\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "1",
        "-0",
        "0.5",
        "1e9",
        "-",
        "01",
        "true",
        "null",
        "false",
        " ",
        "\n",
        "\t",
        "\"",
        "\\",
        "é",
        "1.",
        "\"\\ud800\"",
        "\u{1}",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap_or_default()
    };
    let seeds = [
        "{\"a\": [1, {\"b\": null}], \"c\": \"x\"}",
        "[1, 2, [true]]",
        "{}",
        "\"x\"",
    ];
    let mut valid = 0;
    for round in 0..60_000 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..=next(3) {
            let at = next(text.len() + 1);
            let cut = next(3).min(text.len() - at);
            text.splice(at..at + cut, PIECES[next(PIECES.len())].chars());
        }
        let text: String = text.into_iter().collect();
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match Tree::parse(&text) {
            Ok(tree) => {
                valid += 1;
                let theirs = theirs.unwrap_or_else(|error| panic!("{error}: {text:?}"));
                if tree.duplicates().is_empty() {
                    assert_eq!(Some(theirs), tree.root().read().ok(), "{text:?}");
                }
            }
            Err(fault) => assert!(theirs.is_err(), "{fault:?}: {text:?}"),
        }
    }
    assert!(
        valid > 1_000,
        "the generator makes valid texts too: {valid}"
    );
}
