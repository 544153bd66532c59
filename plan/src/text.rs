//! SQL text as an editor sees it: pieces to colour, what is still open, and whether a statement has ended.
//!
//! The pieces are the parser's own tokens, so that an editor and a parser never disagree about where a text ends.

use datafusion::sql::sqlparser::{
    dialect::{Dialect, GenericDialect, dialect_from_str},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace},
};
use std::ops::Range;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name: only the parser can tell.
    Word,
    /// A name in quotes.
    Name,
    /// A text in quotes of whatever kind.
    Text,
    /// A number.
    Number,
    /// A comment.
    Comment,
    /// The end of a statement.
    Semicolon,
    /// An operator, a comma, a parenthesis.
    Symbol,
    /// Blanks.
    Space,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// A text in single quotes.
    Text,
    /// A name in double quotes.
    Name,
    /// A text between dollar signs.
    Dollar,
    /// A comment.
    Comment,
    /// A parenthesis.
    Parenthesis,
}

/// The pieces of a text, in order and without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The pieces. One that has no end reaches to the end of the text.
    pub pieces: Vec<Piece>,
    /// The innermost thing that is open, and the line, from 1, on which it began.
    pub open: Option<(Open, usize)>,
    /// Nothing but blanks and comments follows the last semicolon: all statements have ended.
    pub ended: bool,
}

/// Scans a text in a dialect; one of a name that there is not is the generic one.
pub fn scan(dialect: &str, text: &str) -> Scan {
    let dialect = dialect_from_str(dialect).unwrap_or_else(|| Box::new(GenericDialect {}));
    let mut tokens = Vec::new();
    let done = tokenize(dialect.as_ref(), text, &mut tokens);
    let mut found = Scan::default();
    let mut cursor = Cursor::new(text);
    let mut parentheses = Vec::new();
    for token in &tokens {
        let (start, line) = (cursor.byte, cursor.line);
        let end = cursor.advance(token.span.end);
        match token.token {
            Token::LParen => parentheses.push(line),
            Token::RParen => drop(parentheses.pop()),
            Token::SemiColon => parentheses.clear(),
            _ => {}
        }
        if end > start {
            found.pieces.push(Piece { range: start..end, kind: kind(&token.token, &text[start..end]) });
        }
    }
    found.open = parentheses.last().map(|line| (Open::Parenthesis, *line));
    if let Err(message) = done {
        let rest = &text[cursor.byte..];
        let open = unterminated(&message).then(|| opened(rest)).flatten();
        let kind = open.map_or(Kind::Symbol, |open| match open {
            Open::Comment => Kind::Comment,
            Open::Name => Kind::Name,
            _ => Kind::Text,
        });
        found.pieces.push(Piece { range: cursor.byte..text.len(), kind });
        if let Some(open) = open {
            found.open = Some((open, cursor.line));
        } else {
            // Nobody can say what it is: whoever ended it with a semicolon is to hear of it.
            found.ended = rest.trim_end().ends_with(';');
            return found;
        }
    }
    let last = found.pieces.iter().rev().find(|p| !matches!(p.kind, Kind::Space | Kind::Comment));
    let in_comment = matches!(found.open, Some((Open::Comment, _)));
    found.ended = !in_comment && last.is_some_and(|p| p.kind == Kind::Semicolon);
    found
}

fn tokenize(dialect: &dyn Dialect, text: &str, tokens: &mut Vec<TokenWithSpan>) -> Result<(), String> {
    Tokenizer::new(dialect, text).with_unescape(false).tokenize_with_location_into_buf(tokens).map_err(|e| e.message)
}

/// Whether the tokenizer's message is about something without an end.
fn unterminated(message: &str) -> bool {
    ["Unterminated", "Unexpected EOF", "Expected close delimiter"].iter().any(|begin| message.starts_with(begin))
}

/// What the text that no token could be made of begins.
fn opened(rest: &str) -> Option<Open> {
    match rest.as_bytes() {
        [b'/', b'*', ..] => Some(Open::Comment),
        [b'"' | b'`' | b'[', ..] => Some(Open::Name),
        [b'$', ..] => Some(Open::Dollar),
        // A letter may stand before a quote: N'…', E'…', X'…'.
        _ if rest.chars().take(3).any(|c| c == '\'') => Some(Open::Text),
        _ => None,
    }
}

fn kind(token: &Token, text: &str) -> Kind {
    match token {
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => Kind::Comment,
        Token::Whitespace(_) => Kind::Space,
        Token::Word(word) if word.quote_style.is_some() => Kind::Name,
        Token::Word(_) => Kind::Word,
        Token::Number(..) => Kind::Number,
        Token::SemiColon => Kind::Semicolon,
        _ if text.ends_with('\'') || text.starts_with('$') && text.ends_with('$') && text.len() > 1 => Kind::Text,
        _ if text.len() > 1 && text.ends_with('"') => Kind::Text,
        _ => Kind::Symbol,
    }
}

/// Goes through a text by the tokenizer's lines and columns.
struct Cursor<'a> {
    text: &'a str,
    byte: usize,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, byte: 0, line: 1, column: 1 }
    }

    /// Goes on to a place; gives its byte.
    fn advance(&mut self, to: Location) -> usize {
        for c in self.text[self.byte..].chars() {
            if (self.line as u64, self.column as u64) >= (to.line, to.column) {
                break;
            }
            self.byte += c.len_utf8();
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Scan {
        let found = scan("generic", text);
        let joined: String = found.pieces.iter().map(|p| &text[p.range.clone()]).collect();
        assert_eq!(joined, text, "no gaps");
        found
    }

    #[test]
    fn pieces_are_told_apart() {
        let text = "select \"A b\", 'it''s', 1.5e3, größe -- ü\nfrom /* x */ t;";
        let found = of(text);
        let pieces: Vec<_> =
            found.pieces.iter().filter(|p| p.kind != Kind::Space).map(|p| (&text[p.range.clone()], p.kind)).collect();
        let expected = [
            ("select", Kind::Word),
            ("\"A b\"", Kind::Name),
            (",", Kind::Symbol),
            ("'it''s'", Kind::Text),
            (",", Kind::Symbol),
            ("1.5e3", Kind::Number),
            (",", Kind::Symbol),
            ("größe", Kind::Word),
            ("-- ü\n", Kind::Comment),
            ("from", Kind::Word),
            ("/* x */", Kind::Comment),
            ("t", Kind::Word),
            (";", Kind::Semicolon),
        ];
        assert_eq!(pieces, expected);
        assert!(found.ended && found.open.is_none());
    }

    #[test]
    fn a_statement_ends_with_a_semicolon_outside_of_everything() {
        for text in ["select 1;", "select ';';", "select 1; -- done", "a; /* ; */ ", "select $$;$$;", "select (1;"] {
            assert!(of(text).ended, "{text}");
        }
        for text in ["", "select 1", "select ';", "-- ;", "select 1 /* ;", "select $$ ;", "select \"a;", "a; b"] {
            assert!(!of(text).ended, "{text}");
        }
    }

    #[test]
    fn what_is_open_is_named_with_its_line() {
        let table = [
            ("select 'a", Some((Open::Text, 1))),
            ("select\n E'a", Some((Open::Text, 2))),
            ("select \"a", Some((Open::Name, 1))),
            ("select $x$ a", Some((Open::Dollar, 1))),
            ("\n\n/* a /* b */", Some((Open::Comment, 3))),
            ("select (\n (1), ", Some((Open::Parenthesis, 1))),
            ("select ('", Some((Open::Text, 1))),
            ("select 1", None),
            ("select (1);", None),
        ];
        for (text, open) in table {
            assert_eq!(of(text).open, open, "{text}");
        }
    }

    #[test]
    fn any_text_is_scanned() {
        for text in ["\0", "\\", "'\u{202e}", "é$", "💥'", "\r\n\t;", "select 1 \u{a0} ;", "a\rb;"] {
            of(text);
        }
    }
}
