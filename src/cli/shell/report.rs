//! Errors, with the line that they are about.

use unicode_width::UnicodeWidthStr;

/// Columns of a line that are shown around a place.
const SHOWN: usize = 100;

/// The message; below it the line that it names, and a caret under the column.
pub(super) fn with_line(message: &str, text: &str) -> String {
    let Some((line, column)) = position(message) else { return format!("error: {message}") };
    let Some(source) = text.lines().nth(line.saturating_sub(1)) else { return format!("error: {message}") };
    // Tabs would move the caret, and other control characters the cursor.
    let source: Vec<char> = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let at = column.saturating_sub(1).min(source.len());
    let from = at.saturating_sub(SHOWN * 2 / 3);
    let shown: String = source[from..].iter().take(SHOWN).collect();
    let before: String = source[from..at].iter().collect();
    format!("error: {message}\n  {shown}\n  {}^", " ".repeat(before.width()))
}

/// The last place that a message names.
fn position(message: &str) -> Option<(usize, usize)> {
    let (_, rest) = message.rsplit_once("Line: ")?;
    let (line, rest) = number(rest)?;
    let (_, rest) = rest.split_once("Column: ")?;
    let (column, _) = number(rest)?;
    Some((line, column))
}

fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_column() {
        let text = "select 1\nfrom\tx where 日本 = y";
        let shown = with_line("no y at Line: 2, Column: 17", text);
        assert_eq!(shown, "error: no y at Line: 2, Column: 17\n  from x where 日本 = y\n                    ^");
        assert_eq!(with_line("no place", text), "error: no place");
        assert_eq!(with_line("x at Line: 9, Column: 1", text), "error: x at Line: 9, Column: 1");
        let long = format!("{}bad", " a".repeat(200));
        let shown = with_line("x at Line: 1, Column: 401", &long);
        assert!(shown.lines().all(|l| l.width() <= SHOWN + 2), "{shown}");
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[1].find("bad"), lines[2].find('^'));
    }
}
