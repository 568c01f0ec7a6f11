//! Words in prose.

/// Whether `text` has `name` as a word of its own: no letter, digit or underscore beside it.
pub fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[test]
fn a_word_is_not_a_part_of_a_word() {
    assert!(names("the `flags` folder", "flags"));
    assert!(!names("tryflags and flags_too", "flags"));
}
