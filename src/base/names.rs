//! Names: what may be one, and which known one a misspelt word was meant to be.

/// Bytes of a name, at most.
pub const MAX_NAME: usize = 64;

/// Whether `text` is a name of a stream, a task, an experiment: `^[a-z0-9][a-z0-9_-]{0,63}$`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    text.len() <= MAX_NAME
        && text.bytes().all(allowed)
        && text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
}

/// The candidate that `word` was most likely meant to be: the one with the fewest edits (insert,
/// delete, replace, swap neighbours), if they are at most a third of the longer word and at most
/// four.
/// Case alone is no edit; of equals, the first.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    /// Characters compared, the length of a name: this is a courtesy, it must stay cheap.
    const LONGEST: usize = 64;
    let fold = |text: &str| -> Vec<char> {
        text.chars()
            .flat_map(char::to_lowercase)
            .take(LONGEST)
            .collect()
    };
    let word = fold(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = fold(candidate);
        let allowed = (word.len().max(other.len()) / 3).clamp(1, 4);
        if word.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let edits = distance(&word, &other);
        if edits <= allowed && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits between two words: optimal string alignment, the restricted form of Damerau-Levenshtein.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(right.len() + 1);
        current.push(row + 1);
        for (column, b) in right.iter().enumerate() {
            let replace = above[column] + usize::from(a != b);
            let mut edits = replace.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                edits = edits.min(before[column - 1] + 1);
            }
            current.push(edits);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words_of_at_most_64_bytes() {
        for good in ["a", "0", "pricing_v2", "a-b", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "_a",
            "-a",
            "A",
            "a.b",
            "a/b",
            "ä",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_edits() {
        let known = [
            "warn_percent",
            "cap_cents_per_day",
            "payments.live",
            "on",
            "off",
        ];
        let near = |word| nearest(word, known);
        assert_eq!(
            near("warn_precent"),
            Some("warn_percent"),
            "a swap is one edit"
        );
        assert_eq!(near("Warn_Percent"), Some("warn_percent"), "case is none");
        assert_eq!(near("payment.live"), Some("payments.live"));
        assert_eq!(near("of"), Some("on"), "of equals, the first");
        assert_eq!(near("timeout"), None);
        assert_eq!(near(""), None);
    }

    #[test]
    fn a_swap_counts_once() {
        let edits = |a: &str, b: &str| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            distance(&chars(a), &chars(b))
        };
        assert_eq!(edits("ab", "ba"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
    }
}
