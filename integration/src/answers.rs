//! Compares what two engines answered to one query, and allows just what SQL leaves open.
//!
//! Both sides are CSV texts with typed headers (see [`crate::compare`]). What may differ:
//! - **Order.** Where the query orders its rows, the sequence of sort keys must be the same; rows with equal keys are ties
//!   and may come in any order. A query without an order is one large tie.
//! - **A limit that cuts through a tie.** Which of its rows come is open, so in that last tie only the keys are compared; the
//!   caller learns how many rows that were ([`Same::open`]).
//! - **Floats**, within [`RELATIVE`](crate::compare::RELATIVE).
//! - **Quotients.** Two engines may round the average of decimals, or a quotient, in another way, or after another number of
//!   digits: [`Numbers::Rounded`] lets decimals with at least [`MIN_PRINTED_DIGITS`] digits after the point differ by one in
//!   the last that both have. Between engines that share their arithmetic it is [`Numbers::Exact`].

use crate::compare::{self, Column, Kind, MIN_PRINTED_DIGITS};

/// An answer: typed columns and rows.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// How a query orders and cuts its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The sort keys, as names of output columns; none when the query does not order its rows.
    pub keys: Vec<String>,
    /// The most rows that come.
    pub limit: Option<usize>,
}

/// How decimals are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// The same number: both sides compute alike.
    Exact,
    /// Quotients may be rounded differently.
    Rounded,
}

/// Two answers that are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Same {
    /// Rows.
    pub rows: usize,
    /// Rows of which only the keys could be compared: a limit cut through their tie.
    pub open: usize,
}

impl Table {
    /// The answer in this CSV text, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (header, rows) = compare::table(text)?;
        let columns = header.iter().map(|field| Column::parse(field)).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The position of the column of this name, whatever its case.
    fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// Whether `got` is the answer `expected`; the first difference, for people, if not.
pub fn same(expected: &Table, got: &Table, order: &Order, numbers: Numbers) -> Result<Same, String> {
    let kinds = kinds(expected, got)?;
    if expected.rows() != got.rows() {
        return Err(format!("{} rows expected, {} came", expected.rows(), got.rows()));
    }
    let key = |name: &String| expected.position(name).ok_or_else(|| format!("there is no column {name} to order by"));
    let keys = order.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let rows = Rows { kinds, numbers, names: &expected.columns };
    let limit_reached = !keys.is_empty() && order.limit == Some(expected.rows());
    let mut open = 0;
    let mut start = 0;
    while start < expected.rows() {
        let tie = tie(&expected.rows[start..], &keys);
        let (left, right) = (&expected.rows[start..start + tie], &got.rows[start..start + tie]);
        for (at, (left, right)) in left.iter().zip(right).enumerate() {
            rows.agree(left, right, keys.iter().copied()).map_err(|why| format!("row {}: {why}", start + at + 1))?;
        }
        let is_last = start + tie == expected.rows();
        match rows.same_in_any_order(left, right) {
            Ok(()) => {}
            Err(_) if is_last && limit_reached => open = tie,
            Err((at, why)) => return Err(format!("row {}: {why}", start + at + 1)),
        }
        start += tie;
    }
    Ok(Same { rows: expected.rows(), open })
}

/// How many rows from the first have its keys.
fn tie(rows: &[Vec<String>], keys: &[usize]) -> usize {
    let first = &rows[0];
    rows.iter().take_while(|row| keys.iter().all(|&key| row[key] == first[key])).count()
}

/// How each column is compared, when the sides say different things of it.
fn kinds(expected: &Table, got: &Table) -> Result<Vec<Kind>, String> {
    if expected.columns.len() != got.columns.len() {
        return Err(format!("{} columns expected, {} came", expected.columns.len(), got.columns.len()));
    }
    let common = |left: &Column, right: &Column| match (left.kind, right.kind) {
        (left, right) if left == right => Ok(left),
        (Kind::Integer, Kind::Decimal) | (Kind::Decimal, Kind::Integer) => Ok(Kind::Decimal),
        (Kind::Float, Kind::Integer | Kind::Decimal) | (Kind::Integer | Kind::Decimal, Kind::Float) => Ok(Kind::Float),
        (left_kind, right_kind) => Err(format!("column {} is {left_kind:?}, and {right_kind:?} came", left.name)),
    };
    expected.columns.iter().zip(&got.columns).map(|(left, right)| common(left, right)).collect()
}

/// How rows are compared.
struct Rows<'a> {
    kinds: Vec<Kind>,
    numbers: Numbers,
    names: &'a [Column],
}

impl Rows<'_> {
    fn field(&self, column: usize, expected: &str, got: &str) -> bool {
        match self.kinds[column] {
            Kind::Decimal if self.numbers == Numbers::Rounded => {
                Kind::Decimal.agrees(expected, got) || near(expected, got).unwrap_or(false)
            }
            // Either side may be the one that printed a quotient of decimals.
            Kind::Float => Kind::Float.agrees(expected, got) || Kind::Float.agrees(got, expected),
            kind => kind.agrees(expected, got),
        }
    }

    /// Compares these columns of two rows; says which differs.
    fn agree(
        &self,
        expected: &[String],
        got: &[String],
        mut columns: impl Iterator<Item = usize>,
    ) -> Result<(), String> {
        match columns.find(|&column| !self.field(column, &expected[column], &got[column])) {
            None => Ok(()),
            Some(column) => Err(format!(
                "column {} ({}): {} expected, {} came\n    expected: {}\n    came:     {}",
                column + 1,
                self.names[column].name,
                expected[column],
                got[column],
                expected.join(" | "),
                got.join(" | "),
            )),
        }
    }

    /// Compares the rows of a tie; says which expected row has no partner. Quadratic where the order differs, for ties of some
    /// thousand rows at most.
    fn same_in_any_order(&self, expected: &[Vec<String>], got: &[Vec<String>]) -> Result<(), (usize, String)> {
        let equal = |left: &[String], right: &[String]| self.agree(left, right, 0..self.kinds.len());
        let mut left_over: Vec<&Vec<String>> = got.iter().collect();
        for (at, row) in expected.iter().enumerate() {
            match left_over.iter().position(|came| equal(row, came).is_ok()) {
                // Keeps the order, so that answers in the same order are compared in one pass.
                Some(found) => drop(left_over.remove(found)),
                None if expected.len() == 1 => return equal(row, &got[0]).map_err(|why| (at, why)),
                None => return Err((at, format!("no such row came: {}", row.join(" | ")))),
            }
        }
        Ok(())
    }
}

/// Whether two decimals differ by at most one in the last digit that both have, and have enough digits; `None` when one is no
/// decimal of at most 38 digits.
fn near(expected: &str, got: &str) -> Option<bool> {
    let (left, left_scale) = unscaled(expected)?;
    let (right, right_scale) = unscaled(got)?;
    let scale = left_scale.min(right_scale);
    let cut = |number: i128, from: u32| number.checked_div(10_i128.checked_pow(from - scale)?);
    let difference = cut(left, left_scale)?.checked_sub(cut(right, right_scale)?)?;
    Some(scale as usize >= MIN_PRINTED_DIGITS && difference.abs() <= 1)
}

/// A decimal as its digits, and how many of them stand after the point.
fn unscaled(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u32::try_from(fraction.len()).ok()?;
    let number = format!("{whole}{fraction}").parse().ok()?;
    Some((number, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::parse(text).unwrap()
    }

    fn by(keys: &[&str], limit: Option<usize>) -> Order {
        Order { keys: keys.iter().map(|&key| key.to_owned()).collect(), limit }
    }

    const ROWS: &str = "k:integer,v:text\n3,a\n2,b\n2,c\n1,d\n";

    #[test]
    fn ties_may_come_in_any_order_and_keys_may_not() {
        let swapped = table("k:integer,v:text\n3,a\n2,c\n2,b\n1,d\n");
        assert_eq!(same(&table(ROWS), &swapped, &by(&["K"], None), Numbers::Exact), Ok(Same { rows: 4, open: 0 }));
        same(&table(ROWS), &swapped, &by(&["k", "v"], None), Numbers::Exact).unwrap_err();
        let unsorted = table("k:integer,v:text\n2,b\n3,a\n2,c\n1,d\n");
        let wrong = same(&table(ROWS), &unsorted, &by(&["k"], None), Numbers::Exact).unwrap_err();
        assert!(wrong.starts_with("row 1: column 1 (k): 3 expected, 2 came"), "{wrong}");
        assert_eq!(same(&table(ROWS), &unsorted, &Order::default(), Numbers::Exact), Ok(Same { rows: 4, open: 0 }));
    }

    #[test]
    fn one_row_twice_does_not_stand_for_another() {
        let twice = table("k:integer,v:text\n3,a\n2,b\n2,b\n1,d\n");
        let wrong = same(&table(ROWS), &twice, &by(&["k"], None), Numbers::Exact).unwrap_err();
        assert_eq!(wrong, "row 3: no such row came: 2 | c");
    }

    #[test]
    fn a_limit_leaves_only_the_last_tie_open() {
        let expected = table("k:integer,v:text\n3,a\n2,b\n2,c\n");
        let other = table("k:integer,v:text\n3,a\n2,c\n2,e\n");
        let cut = by(&["k"], Some(3));
        assert_eq!(same(&expected, &other, &cut, Numbers::Exact), Ok(Same { rows: 3, open: 2 }));
        // It was not reached: nothing is open.
        same(&expected, &other, &by(&["k"], Some(4)), Numbers::Exact).unwrap_err();
        same(&expected, &other, &by(&["k"], None), Numbers::Exact).unwrap_err();
        // Keys are compared all the same, and so are earlier rows.
        same(&expected, &table("k:integer,v:text\n3,a\n2,c\n1,e\n"), &cut, Numbers::Exact).unwrap_err();
        same(&expected, &table("k:integer,v:text\n3,x\n2,b\n2,c\n"), &cut, Numbers::Exact).unwrap_err();
    }

    #[test]
    fn quotients_may_be_rounded_between_engines_only() {
        let one = |kind: &str, value: &str| table(&format!("x:{kind}\n{value}\n"));
        let check = |left: &Table, right: &Table, numbers| same(left, right, &Order::default(), numbers).is_ok();
        let (cut, rounded) = (one("decimal", "25.537587"), one("decimal", "25.537588"));
        assert!(!check(&cut, &rounded, Numbers::Exact));
        assert!(check(&cut, &rounded, Numbers::Rounded));
        assert!(check(&cut, &one("decimal", "25.53758711"), Numbers::Rounded));
        assert!(!check(&cut, &one("decimal", "25.537589"), Numbers::Rounded));
        // Sums have few digits and no excuse.
        assert!(!check(&one("decimal", "10.50"), &one("decimal", "10.51"), Numbers::Rounded));
        assert!(!check(&one("decimal", "1"), &one("decimal", "2"), Numbers::Rounded));
        // A float against a decimal, either way round.
        assert!(check(&cut, &one("float", "25.537587116854997"), Numbers::Rounded));
        assert!(check(&one("float", "25.537587116854997"), &cut, Numbers::Rounded));
        assert!(!check(&cut, &one("float", "25.53759"), Numbers::Rounded));
        assert!(check(&one("integer", "7"), &one("decimal", "7.00"), Numbers::Exact));
    }

    #[test]
    fn other_shapes_are_refused() {
        let expected = table(ROWS);
        for (text, why) in [
            ("k:integer\n1\n", "2 columns expected, 1 came"),
            ("k:integer,v:text\n3,a\n", "4 rows expected, 1 came"),
            ("k:integer,v:date\n3,a\n2,b\n2,c\n1,d\n", "column v is Text, and Date came"),
        ] {
            assert_eq!(same(&expected, &table(text), &by(&["k"], None), Numbers::Exact).unwrap_err(), why);
        }
        let unknown = same(&expected, &expected, &by(&["missing"], None), Numbers::Exact).unwrap_err();
        assert_eq!(unknown, "there is no column missing to order by");
        assert!(Table::parse("k\n1\n").is_err());
    }

    #[test]
    fn null_equals_null_only() {
        let (null, zero) = (table("x:decimal\n\"\"\n"), table("x:decimal\n0.000000\n"));
        same(&null, &null, &Order::default(), Numbers::Rounded).unwrap();
        same(&null, &zero, &Order::default(), Numbers::Rounded).unwrap_err();
    }
}
