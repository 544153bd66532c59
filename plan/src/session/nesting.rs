//! How deep the tree of a statement can become, before it is one.
//!
//! A parser limits its own recursion, but loops over chains: `a or b or c …` becomes a tree as deep as it is long, which
//! whatever walks, copies or drops it later does by recursion. The depth of that tree can be bounded from the tokens:
//!
//! - every operator and every keyword inside an expression makes it at most one deeper (`+`, `OR`, `IS`, `::`);
//! - so does every AND, OR and set operation (`UNION`), which hold less tightly: what they connect lies side by side;
//! - at a comma, or a keyword that begins a clause, another expression begins, beside the last one;
//! - what parentheses (or CASE and END) enclose is one operand of what is around them.

use crate::{PlanError, depth};
use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan},
};

/// The most levels that the tree of a statement may have. Generated SQL has hundreds. Planning looks at every level from
/// every one above it, so its time grows with the square: at this many it takes seconds, at four times as many minutes.
pub(super) const MAX_LEVELS: usize = 1024;

/// The most words and signs of a statement, a list of half a million numbers. Each becomes a part of a tree of some hundred
/// bytes, which planning copies several times.
const MAX_TOKENS: usize = 1 << 20;

/// What one pair of parentheses holds.
#[derive(Default)]
struct Frame {
    set_operations: usize,
    /// Of the expression that the next token belongs to: its AND and OR.
    connectives: usize,
    /// Levels of the deepest operand of those.
    operand: usize,
    /// Other operators since the last connective.
    operators: usize,
    /// Levels of the deepest parentheses since then.
    inside: usize,
    /// Levels of the deepest expression before.
    deepest: usize,
}

impl Frame {
    fn next_operand(&mut self) {
        self.operand = self.operand.max(self.operators + self.inside);
        (self.operators, self.inside) = (0, 0);
    }

    fn next_expression(&mut self) {
        self.next_operand();
        self.deepest = self.deepest.max(self.connectives + self.operand);
        (self.connectives, self.operand) = (0, 0);
    }

    fn levels(mut self) -> usize {
        self.next_expression();
        self.set_operations + self.deepest
    }
}

/// Frames that are open, the innermost at the end; never empty.
struct Frames {
    outer: Vec<Frame>,
    inner: Frame,
}

impl Frames {
    fn open(&mut self) {
        self.outer.push(std::mem::take(&mut self.inner));
    }

    fn close(&mut self) {
        // More are closed than were opened: the parser will say so.
        let Some(around) = self.outer.pop() else { return };
        let closed = std::mem::replace(&mut self.inner, around);
        self.inner.inside = self.inner.inside.max(closed.levels() + 1);
    }
}

/// How many joins the largest statement has, as JOIN or as a comma after FROM. They are refused before they are planned
/// at all, since that takes longer with the square of their number.
fn joins(tokens: &[TokenWithSpan]) -> usize {
    // For each pair of parentheses that is open, whether a FROM is the last clause that began.
    let mut from = vec![false];
    let (mut joins, mut most) = (0_usize, 0);
    for token in tokens {
        let clause = match &token.token {
            Token::LParen => {
                from.push(false);
                continue;
            }
            Token::RParen if from.len() > 1 => {
                from.pop();
                continue;
            }
            Token::SemiColon => {
                joins = 0;
                false
            }
            Token::Comma => {
                joins += usize::from(from.last() == Some(&true));
                most = most.max(joins);
                continue;
            }
            Token::Word(word) => match word.keyword {
                Keyword::JOIN => {
                    joins += 1;
                    most = most.max(joins);
                    continue;
                }
                Keyword::FROM => true,
                Keyword::SELECT | Keyword::WHERE | Keyword::HAVING | Keyword::BY => false,
                _ => continue,
            },
            _ => continue,
        };
        if let Some(last) = from.last_mut() {
            *last = clause;
        }
    }
    most
}

/// An upper bound of the depth of each statement's tree; the largest.
fn levels(tokens: &[TokenWithSpan]) -> usize {
    let mut frames = Frames { outer: Vec::new(), inner: Frame::default() };
    let mut largest = 0;
    let mut after_distinct = false;
    for token in tokens {
        let mut distinct = false;
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::SemiColon if frames.outer.is_empty() => {
                largest = largest.max(std::mem::take(&mut frames.inner).levels());
            }
            Token::LParen | Token::LBracket | Token::LBrace => frames.open(),
            Token::RParen | Token::RBracket | Token::RBrace => {
                frames.close();
                // A call or a subscript: what is before it is its operand.
                frames.inner.operators += 1;
            }
            Token::Comma => frames.inner.next_expression(),
            Token::Word(word) => match word.keyword {
                Keyword::NoKeyword => {}
                Keyword::CASE => frames.open(),
                Keyword::END => frames.close(),
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::MINUS => {
                    frames.inner.next_expression();
                    frames.inner.set_operations += 1;
                }
                Keyword::AND | Keyword::OR => {
                    frames.inner.next_operand();
                    frames.inner.connectives += 1;
                }
                // IS DISTINCT FROM is an operator.
                Keyword::FROM if after_distinct => frames.inner.operators += 1,
                Keyword::SELECT
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::HAVING
                | Keyword::BY
                | Keyword::ON
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE => frames.inner.next_expression(),
                other => {
                    frames.inner.operators += 1;
                    distinct = other == Keyword::DISTINCT;
                }
            },
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::SemiColon | Token::EOF => {}
            _ => frames.inner.operators += 1,
        }
        after_distinct = distinct;
    }
    while !frames.outer.is_empty() {
        frames.close();
    }
    largest.max(frames.inner.levels())
}

/// How many words and signs the largest statement has.
fn longest(tokens: &[TokenWithSpan]) -> usize {
    let statements = tokens.split(|token| token.token == Token::SemiColon);
    let words = |statement: &[TokenWithSpan]| {
        statement.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).count()
    };
    statements.map(words).max().unwrap_or(0)
}

/// Refuses a text with a statement whose tree could be too deep, or too large.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<(), PlanError> {
    let longest = longest(tokens);
    if longest > MAX_TOKENS {
        return Err(PlanError::TooLong { tokens: longest, limit: MAX_TOKENS });
    }
    if joins(tokens) > depth::MAX_JOINS {
        return Err(depth::too_many_joins());
    }
    match levels(tokens) {
        ..=MAX_LEVELS => Ok(()),
        levels => Err(PlanError::too_deep(levels, MAX_LEVELS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::{dialect::GenericDialect, tokenizer::Tokenizer};

    fn levels_of(sql: &str) -> usize {
        levels(&Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap())
    }

    #[test]
    fn chains_count_and_lists_do_not() {
        let chain = |first: &str, next: &str| levels_of(&format!("select {first}{}", next.repeat(1000)));
        let parts = [
            "+1",
            "||'x'",
            "::int",
            "[1]",
            " is null",
            " is distinct from 1",
            " or a",
            " between 1 and 2",
            " union all select 1",
            "->'a'",
        ];
        for next in parts {
            assert!(chain("a", next) >= 1000, "{next}: {}", chain("a", next));
        }
        for next in [", 1 + 1", ", f(a, b)", ", case when a = 1 then 2 else 3 end"] {
            assert!(chain("a", next) < 10, "{next}: {}", chain("a", next));
        }
        let list = |next: &str| levels_of(&format!("select a in (1{}) from t", next.repeat(1000)));
        assert!(list(", 1") < 10 && list(", -1") < 10);
        let case = |next: &str| levels_of(&format!("select case {} end from t", next.repeat(1000)));
        assert!(case("when a = 1 and b = 2 then c + 1 ") < 10);
        assert!(levels_of(&"select 1 union select 2;".repeat(1000)) < 10);
    }

    #[test]
    fn words_are_counted_in_each_statement() {
        let longest_of =
            |sql: &str| longest(&Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap());
        assert_eq!(longest_of("select 1 /* and 2 */; select a + 1 ; -- and 3"), 4);
        assert_eq!(longest_of(" "), 0);
    }

    #[test]
    fn joins_are_counted_in_each_statement() {
        let joins_of = |sql: &str| joins(&Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap());
        assert_eq!(joins_of("select a, f(b, c) from t, (select 1, 2 from u, v) w join x on y order by z, z"), 3);
        assert_eq!(joins_of("select 1 from a, b; select 1, 2; select 1 from a join b on c join d on e"), 2);
    }

    #[test]
    fn parentheses_add_to_what_is_around_them() {
        let nested = |n: usize| levels_of(&format!("select {}1{}", "(1 + ".repeat(n), ")".repeat(n)));
        assert!(nested(1000) >= 2000);
        assert!(levels_of(&format!("select {}", "(".repeat(1000))) >= 1000, "left open");
        assert!(levels_of(&format!("select {}", "case when ".repeat(1000))) >= 1000);
        let beside = format!("select {}", vec!["(1 + 1)"; 500].join(" + "));
        assert!(levels_of(&beside) >= 500 && levels_of(&beside) < 1100);
        let side_by_side = format!("select {}", vec!["a + 1 + 1 = 2 and b like 'x'"; 500].join(" or "));
        assert!(levels_of(&side_by_side) < 1010);
        // The deeper operand may be the first.
        let first = format!("select (1{}){}", "+1".repeat(500), "-1".repeat(500));
        assert!(levels_of(&first) >= 1000);
    }
}
