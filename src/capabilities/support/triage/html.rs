//! HTML mails as plain lines. No parser of HTML: tags are dropped, blocks become lines, what is
//! not shown (style, script, head, quoted replies in `blockquote`) is left out.

/// Elements whose inside is not read.
const HIDDEN: [&str; 6] = ["head", "style", "script", "template", "title", "blockquote"];

/// Elements that begin a line of their own.
const BLOCKS: [&str; 18] = [
    "br", "p", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "pre", "section", "article",
];

/// Entities that mails really have; others stay as they are written.
const ENTITIES: [(&str, char); 30] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("rsquo", '\''),
    ("lsquo", '\''),
    ("ldquo", '"'),
    ("rdquo", '"'),
    ("ndash", '-'),
    ("mdash", '-'),
    ("hellip", '…'),
    ("euro", '€'),
    ("pound", '£'),
    ("copy", '©'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("oacute", 'ó'),
    ("ntilde", 'ñ'),
    ("iacute", 'í'),
];

/// Bytes of an entity at most, `&` and `;` not counted.
const LONGEST_ENTITY: usize = 10;

/// What a reader sees of `html`, in lines.
pub(super) fn text_of(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    // The element whose end is awaited, and how often it was opened within itself.
    let mut hidden: Option<(&'static str, u32)> = None;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        if hidden.is_none() {
            push(&mut out, text);
        }
        if let Some(comment) = tag.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((inside, after)) = tag.get(1..).and_then(|tag| tag.split_once('>')) else {
            rest = "";
            break;
        };
        rest = after;
        let (name, is_end) = named(inside);
        hidden = match hidden {
            Some((element, depth)) if name == element => match (is_end, depth) {
                (true, 0) => None,
                (true, _) => Some((element, depth - 1)),
                (false, _) => Some((element, depth + 1)),
            },
            // A mail whose head never ends is shown from its body on.
            Some(("head", _)) if name == "body" => None,
            Some(still) => Some(still),
            None => opened(&name, is_end || inside.ends_with('/')),
        };
        if hidden.is_none() && BLOCKS.contains(&name.as_str()) {
            out.push('\n');
        }
    }
    if hidden.is_none() {
        push(&mut out, rest);
    }
    out
}

fn opened(name: &str, is_closed: bool) -> Option<(&'static str, u32)> {
    let element = HIDDEN.into_iter().find(|hidden| *hidden == name)?;
    (!is_closed).then_some((element, 0))
}

/// The name of a tag in lower case, and whether it ends its element.
fn named(inside: &str) -> (String, bool) {
    let inside = inside.trim_start();
    let (text, is_end) = match inside.strip_prefix('/') {
        Some(text) => (text, true),
        None => (inside, false),
    };
    let name = text
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .take(12);
    (name.collect::<String>().to_ascii_lowercase(), is_end)
}

/// Appends `text` with its entities read and line ends as spaces.
fn push(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (plain, entity) = rest.split_at(at);
        spaced(out, plain);
        let inside = entity.get(1..).unwrap_or_default();
        // Looked for only as far as an entity can reach: a mail may be 64 KiB of `&`.
        let near = inside.get(..inside.floor_char_boundary(LONGEST_ENTITY + 1));
        let read = near
            .and_then(|near| near.find(';'))
            .and_then(|end| Some((meant(inside.get(..end)?)?, inside.get(end + 1..)?)));
        if let Some((c, after)) = read {
            out.push(c);
            rest = after;
        } else {
            out.push('&');
            rest = inside;
        }
    }
    spaced(out, rest);
}

fn spaced(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_whitespace() {
            if !out.ends_with([' ', '\n']) {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
}

fn meant(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || *c == '\n');
    }
    let known = ENTITIES.iter().find(|(name, _)| *name == entity)?;
    Some(known.1)
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn what_is_shown_is_read_and_nothing_else() {
        let html = "<html><head><title>T</title><style>p { color: red }</style></head><body>\
            <!-- not > shown --><p>Gr&uuml;&#223;e &amp; more</p><div>line&nbsp;two<br>three</div>\
            <blockquote>old <blockquote>older</blockquote> words</blockquote>end</body></html>";
        let text = text_of(html);
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(
            lines,
            ["Grüße & more", "line two", "three", "end"],
            "{text:?}"
        );
    }

    #[test]
    fn broken_html_ends() {
        for html in [
            "<",
            "<a",
            "&",
            "&#x110000;",
            "<style>",
            "a<!--b",
            "</",
            "<head><body>x",
            "&;é<é",
        ] {
            text_of(html);
        }
        assert_eq!(text_of("<head><body>x"), "x");
        assert_eq!(text_of("5 &lt; 6 &unknown; &"), "5 < 6 &unknown; &");
    }
}
