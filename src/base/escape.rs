//! Characters that JSON lets through raw but that steer a terminal or break lines for some readers:
//! U+007F to U+009F, U+2028 and U+2029 (rule H15 of the reliability notes). Written as `\uXXXX`
//! they mean the same to every reader of JSON and nothing to a screen.

/// Replaces them in the JSON that `json` holds from `start` on. Such characters stand only inside
/// strings there, so the meaning stays.
pub fn escape_steering(json: &mut Vec<u8>, start: usize) {
    let Some(first) = json.get(start..).and_then(find) else {
        return;
    };
    let rest = json.split_off(start + first);
    let mut rest = rest.as_slice();
    while let Some((length, code)) = steering(rest) {
        json.extend_from_slice(format!("\\u{code:04x}").as_bytes());
        rest = rest.get(length..).unwrap_or_default();
        let plain = find(rest).unwrap_or(rest.len());
        let (before, after) = rest.split_at(plain);
        json.extend_from_slice(before);
        rest = after;
    }
}

/// Where the first one begins.
fn find(bytes: &[u8]) -> Option<usize> {
    let mut lead = memchr::memchr3_iter(0x7f, 0xc2, 0xe2, bytes);
    lead.find(|at| {
        bytes
            .get(*at..)
            .is_some_and(|rest| steering(rest).is_some())
    })
}

/// Bytes and code point of the one that `bytes` begins with.
fn steering(bytes: &[u8]) -> Option<(usize, u32)> {
    match *bytes {
        [0x7f, ..] => Some((1, 0x7f)),
        [0xc2, last @ 0x80..=0x9f, ..] => Some((2, u32::from(last))),
        [0xe2, 0x80, last @ 0xa8..=0xa9, ..] => Some((3, 0x2000 + u32::from(last & 0x3f))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h15_what_steers_is_escaped_and_means_the_same() {
        let texts = [
            "",
            "plain",
            "\u{7f}",
            "\u{80}\u{9f}",
            "a\u{9b}2J b\u{2028}\u{2029}",
            "\u{a0}é–\u{2027}\u{202a}中\u{10ffff}",
        ];
        for text in texts {
            let mut json = b"\x7f".to_vec();
            json.extend(serde_json::to_vec(text).unwrap());
            escape_steering(&mut json, 1);
            let written = std::str::from_utf8(&json[1..]).unwrap();
            let steers = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!written.contains(steers), "{written:?}");
            assert_eq!(serde_json::from_str::<String>(written).unwrap(), text);
            assert_eq!(json[0], 0x7f, "what stands before is left alone");
        }
    }
}
