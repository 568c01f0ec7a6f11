//! Edits leave every other byte as it was, and new members look like their neighbours.

use serde_json::{Value as Json, json};

use super::{Edit, Path, Tree};

/// `text` after `path` was set to `value`.
fn set(text: &str, path: impl Into<Path>, value: &Json) -> String {
    let mut edit = Edit::of(text.as_bytes()).expect(text);
    edit.set(path, value).expect(text);
    String::from_utf8(edit.into_bytes()).expect("UTF-8")
}

/// `text` after `path` was removed.
fn removed(text: &str, path: impl Into<Path>) -> String {
    let mut edit = Edit::of(text.as_bytes()).expect(text);
    assert!(edit.remove(path).expect(text), "{text}");
    String::from_utf8(edit.into_bytes()).expect("UTF-8")
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let text =
        "\u{FEFF}{\r\n\t\"b\" :1,\r\n\r\n\t\"payments.live\": false , \"a\":[1,2]\r\n}\r\n\r\n";
    assert_eq!(
        set(text, ["payments.live"], &json!(true)),
        text.replace("false", "true"),
        "BOM, CRLF, tabs, odd spaces and empty lines stay"
    );
    assert_eq!(set(text, "a[1]", &json!("x")), text.replace('2', "\"x\""));
    assert_eq!(
        set(text, "b", &json!(1)),
        text,
        "the same value is left alone"
    );
    assert_eq!(set("1.0", Path::root(), &json!(1.0)), "1.0");
}

#[test]
fn a_new_member_is_written_as_its_neighbours_are() {
    for (text, path, value, expected) in [
        (
            "{\n  \"a\": 1\n}\n",
            "b",
            json!(2),
            "{\n  \"a\": 1,\n  \"b\": 2\n}\n",
        ),
        (
            "{\r\n\t\"a\":1\r\n}",
            "b",
            json!(2),
            "{\r\n\t\"a\":1,\r\n\t\"b\":2\r\n}",
        ),
        (
            "{\n\n    \"a\" : 1\n\n}",
            "b",
            json!("x"),
            "{\n\n    \"a\" : 1,\n    \"b\" : \"x\"\n\n}",
        ),
        ("{\"a\":1}", "b", json!(2), "{\"a\":1,\"b\":2}"),
        ("{\"a\": 1}", "b", json!(2), "{\"a\": 1, \"b\": 2}"),
        (
            "{ \"a\": 1 }",
            "b",
            json!([1, 2]),
            "{ \"a\": 1, \"b\": [1, 2] }",
        ),
        ("{}\n", "a", json!(true), "{\n  \"a\": true\n}\n"),
        (
            "{\n}",
            "a.b",
            json!(1),
            "{\n  \"a\": {\n    \"b\": 1\n  }\n}",
        ),
        (
            "{\n  \"a\": {\n    \"x\": 1\n  }\n}",
            "b",
            json!({ "x": 2, "y": [] }),
            "{\n  \"a\": {\n    \"x\": 1\n  },\n  \"b\": {\n    \"x\": 2,\n    \"y\": []\n  }\n}",
        ),
        (
            "{\n  \"a\": { \"x\": 1 }\n}",
            "b",
            json!({ "x": 2 }),
            "{\n  \"a\": { \"x\": 1 },\n  \"b\": { \"x\": 2 }\n}",
        ),
        (
            "{\"a\": {}, \"z\": 0}",
            "a.b.c",
            json!(1),
            "{\"a\": {\n  \"b\": {\n    \"c\": 1\n  }\n}, \"z\": 0}",
        ),
    ] {
        assert_eq!(set(text, path, &value), expected, "{text} {path}");
    }
}

#[test]
fn a_removed_member_takes_one_comma_with_it() {
    let text = "{\n  \"a\": 1,\n  \"b\": {\"c\": 2},\n  \"d\": [3, 4]\n}\n";
    assert_eq!(
        removed(text, "a"),
        "{\n  \"b\": {\"c\": 2},\n  \"d\": [3, 4]\n}\n"
    );
    assert_eq!(
        removed(text, "d"),
        "{\n  \"a\": 1,\n  \"b\": {\"c\": 2}\n}\n"
    );
    assert_eq!(removed(text, "b.c"), text.replace("\"c\": 2", ""));
    assert_eq!(removed(text, "d[0]"), text.replace("3, ", ""));
    let mut edit = Edit::of(text.as_bytes()).expect("valid");
    assert_eq!(edit.remove("x"), Ok(false));
    assert!(
        edit.set("a.b", &json!(1)).is_err(),
        "a number holds no keys"
    );
    assert!(
        edit.set("d[7]", &json!(1)).is_err(),
        "an element that is not there"
    );
    assert_eq!(
        edit.into_bytes(),
        text.as_bytes(),
        "a refused edit changes nothing"
    );
}

/// Every value of a document, replaced in turn: the bytes before and after it are the same, the
/// result says what was asked, and everything else says what it said.
#[test]
fn an_edit_changes_only_the_bytes_of_its_value() {
    let text = "{\r\n\t\"$note\":\"é\\n\",\n\
                \"a\" : [ 1 ,{\"b\":null}, \"x\\u0041\" ],\r\n  \"c.d\":{\"e\":{ }}}\n";
    let tree = Tree::parse(text).expect("valid");
    let mut paths: Vec<Path> = vec![Path::root()];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        let node = tree.at(&path).expect("there");
        paths.extend(
            node.members()
                .filter_map(|(key, _)| Some(path.key(key.str()?))),
        );
        paths.extend((0..node.elements().count()).map(|index| path.index(index)));
        for value in [json!(-12.5), json!("neu \"quoted\""), json!({ "k": [1] })] {
            let after = set(text, &path, &value);
            let span = node.span();
            let (before, rest) = (text.get(..span.start), text.get(span.end..));
            assert!(after.starts_with(before.expect("whole")), "{path}: {after}");
            assert!(after.ends_with(rest.expect("whole")), "{path}: {after}");
            let mut expected: Json = serde_json::from_str(text).expect("valid");
            *at(&mut expected, &path) = value;
            let found: Json = serde_json::from_str(&after).expect("still JSON");
            assert_eq!(found, expected, "{path}: {after}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3 * 9, "every value was tried");
}

fn at<'j>(json: &'j mut Json, path: &Path) -> &'j mut Json {
    path.steps().iter().fold(json, |json, step| match step {
        super::Step::Key(key) => &mut json[key.as_str()],
        super::Step::Index(index) => &mut json[*index],
    })
}
