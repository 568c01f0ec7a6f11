//! Problems of a file as compilers tell them: the words, then the line with a mark under the place.

use std::fmt::Write as _;

use super::output::{Output, Style, safe};
use crate::base::problems::{Problem, Problems};

/// Characters of a line that are shown, the place within them: what fits a terminal of 100 columns.
const WIDTH: usize = 88;

/// All problems of a file whose text is `text`.
pub(super) fn told(problems: &Problems, text: &[u8], output: &Output) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut all = String::new();
    for problem in problems {
        if !all.is_empty() {
            all.push('\n');
        }
        let error = output.paint(Style::Red, "error:");
        let words = problem.to_string();
        let (head, hint) = match words.split_once("\nhint: ") {
            Some((head, hint)) => (head, Some(hint)),
            None => (words.as_str(), None),
        };
        // Writing into a string cannot fail.
        let _infallible = match head.strip_prefix("error: ") {
            Some(rest) => write!(all, "{error} {rest}"),
            None => write!(all, "{head}"),
        };
        if let Some(Excerpt { number, line, mark }) = excerpt(problem, &lines) {
            let number = number.to_string();
            let margin = " ".repeat(number.len());
            let mark = output.paint(Style::Red, &mark);
            let _infallible = write!(all, "\n {number} | {line}\n {margin} | {mark}");
        }
        if let Some(hint) = hint {
            let label = output.paint(Style::Bold, "hint:");
            let _infallible = write!(all, "\n{label} {hint}");
        }
    }
    let more = problems.count().saturating_sub(problems.iter().len());
    if more > 0 {
        let _infallible = write!(all, "\n... and {more} more in `{}`", problems.file());
    }
    all
}

/// A line of the file, and one with a mark under the place.
struct Excerpt {
    number: usize,
    line: String,
    mark: String,
}

/// The line that a problem is in; a fault at the end of the file shows behind the last line.
fn excerpt(problem: &Problem, lines: &[&str]) -> Option<Excerpt> {
    let wanted = usize::try_from(problem.line).ok()?;
    let number = wanted.min(lines.len());
    let line = lines.get(number.checked_sub(1)?)?.trim_end();
    let line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
    let column = if number == wanted {
        usize::try_from(problem.column).ok()?.checked_sub(1)?
    } else {
        line.chars().count()
    };
    let skipped = (column + WIDTH / 2).saturating_sub(WIDTH);
    let shown: String = line
        .chars()
        .skip(skipped)
        .take(WIDTH)
        // One column each, so that the mark stands right.
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect();
    let mark = format!("{}^", " ".repeat(column.saturating_sub(skipped)));
    Some(Excerpt {
        number,
        line: safe(&shown),
        mark,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::Path;

    fn at(text: &str, needle: &str) -> (String, String) {
        let tree = crate::base::json::Tree::parse(text).expect("JSON");
        let mut problems = Problems::new("x.json");
        problems.not_allowed(Path::default().key(needle), "1", "2", "");
        problems.locate(&tree);
        first(&problems, text)
    }

    fn first(problems: &Problems, text: &str) -> (String, String) {
        let lines: Vec<&str> = text.lines().collect();
        let problem = problems.iter().next().expect("one");
        let Excerpt { line, mark, .. } = excerpt(problem, &lines).expect("a place");
        (line, mark)
    }

    #[test]
    fn a_file_that_was_cut_off_is_marked_behind_its_last_line() {
        let text = "{ \"a\": 1,\n";
        let mut problems = Problems::new("x.json");
        assert!(problems.parse(text.as_bytes()).is_none());
        let (line, mark) = first(&problems, text);
        assert_eq!((line.as_str(), mark.len()), ("{ \"a\": 1,", line.len() + 1));
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        let (line, mark) = at("{\n\t\"a\": 0, \"b\": 1 }", "b");
        assert_eq!(line, " \"a\": 0, \"b\": 1 }");
        assert_eq!(line.find("\"b\""), mark.find('^'));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{{ \"a\": \"{}\", \"b\": 1 }}", "x".repeat(400));
        let (line, mark) = at(&text, "b");
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert_eq!(line.find("\"b\""), mark.find('^'));
    }
}
