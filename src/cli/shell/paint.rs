//! Colours of SQL text.

use super::keywords::is_keyword;
use hearth_plan::text::{Kind, Scan};

const KEYWORD: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// The text with its colours; it is as wide as before.
pub(super) fn sql(text: &str, scan: &Scan) -> String {
    let mut out = String::with_capacity(text.len() + 16 * scan.pieces.len());
    for piece in &scan.pieces {
        let part = &text[piece.range.clone()];
        let colour = match piece.kind {
            Kind::Word if is_keyword(part) => KEYWORD,
            Kind::Text => TEXT,
            Kind::Number => NUMBER,
            Kind::Comment => DIM,
            _ => {
                out.push_str(part);
                continue;
            }
        };
        out.extend([colour, part, RESET]);
    }
    out
}

/// Text that matters less.
pub(super) fn dim(text: &str) -> String {
    format!("{DIM}{text}{RESET}")
}

/// Text that stands out.
pub(super) fn bold(text: &str) -> String {
    format!("{BOLD}{text}{RESET}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_plan::text::scan;

    #[test]
    fn keywords_texts_numbers_and_comments_have_colours() {
        let text = "select n, 'x', 1 -- c";
        let painted = sql(text, &scan("generic", text));
        let expected = "\x1b[1;34mselect\x1b[0m n, \x1b[32m'x'\x1b[0m, \x1b[36m1\x1b[0m \x1b[2m-- c\x1b[0m";
        assert_eq!(painted, expected);
    }
}
