//! Names of mailboxes on the wire: IMAP's own UTF-7 (RFC 3501, 5.1.3). `Gesendet` is itself,
//! `Entwürfe` is `Entw&APw-rfe`.

use openssl::base64::{decode_block, encode_block};

/// `name` for the wire.
pub fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_plain = |letter: char| (' '..='~').contains(&letter);
        let end = rest
            .find(|letter| is_plain(letter) != is_plain(first))
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        if is_plain(first) {
            out.push_str(&part.replace('&', "&-"));
            continue;
        }
        let units: Vec<u8> = part.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let text = encode_block(&units).replace('/', ",");
        out.push('&');
        out.push_str(text.trim_end_matches('='));
        out.push('-');
    }
    out
}

/// `name` from the wire; where it is not in that form, as it is.
pub fn decoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, after)) = rest.split_once('&') {
        out.push_str(plain);
        let Some((inside, after)) = after.split_once('-') else {
            return name.to_owned();
        };
        rest = after;
        if inside.is_empty() {
            out.push('&');
            continue;
        }
        let mut text = inside.replace(',', "/");
        while text.len() % 4 != 0 {
            text.push('=');
        }
        let Ok(bytes) = decode_block(&text) else {
            return name.to_owned();
        };
        let (pairs, _) = bytes.as_chunks::<2>();
        let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
        out.push_str(&String::from_utf16_lossy(&units.collect::<Vec<_>>()));
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        // The example of RFC 3501, and names as German and Japanese servers have them.
        for (name, wire) in [
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("R&D", "R&-D"),
            ("INBOX", "INBOX"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(encoded(name), wire);
            assert_eq!(decoded(wire), name);
        }
        assert_eq!(decoded("R&D"), "R&D");
    }
}
