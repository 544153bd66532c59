//! Compares what `hearth sql --format csv` printed with the answer of another engine (see `fixtures/tpch`).
//!
//! An [`Answer`] is a CSV text whose header gives every column a name and a [`Kind`], as in `revenue:decimal`. Columns are
//! compared by position: engines name `sum(x)` differently. Rows are compared in order, unless the query has none.

use std::fmt;
use std::path::Path;

/// How the fields of a column are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same characters.
    Text,
    /// The same characters: `1995-03-15`.
    Date,
    /// The same number.
    Integer,
    /// The same number, whatever zeros end it: both engines add and multiply decimals exactly.
    Decimal,
    /// About the same number; see [`RELATIVE`] and [`MIN_PRINTED_DIGITS`].
    Float,
}

/// How far floats may lie apart, as a part of the expected one. Sums in another order differ in the last of 16 digits, and
/// each of the 10⁶ rows behind an average may add its own error: 10⁻⁹ allows for all of them, and for no wrong row.
pub const RELATIVE: f64 = 1e-9;

/// A number printed with at least so many digits after its point may also differ by one in the last of them: the average
/// or quotient of decimals is a decimal in DataFusion, as in Spark, cut after its sixth digit or later, while DuckDB's is
/// a float. Fewer digits earn no such allowance, or `0` would be about anything.
pub const MIN_PRINTED_DIGITS: usize = 6;

/// What a query should give.
#[derive(Clone, Debug)]
pub struct Answer {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    ordered: bool,
}

/// A column of a typed header.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The first difference between an answer and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// What came cannot be read as CSV.
    NotCsv(String),
    /// Another number of columns came.
    Columns {
        /// How many there should be.
        expected: usize,
        /// The header that came.
        got: Vec<String>,
    },
    /// A row differs; both, or the one that the other side lacks.
    Row {
        /// Which one, from 1, without the header.
        row: usize,
        /// The first column that differs, where both rows are there, and how the answer names it.
        column: Option<(usize, String)>,
        /// The row of the answer.
        expected: Option<Vec<String>>,
        /// The row that came.
        got: Option<Vec<String>>,
        /// How many rows each side has: expected, got.
        counts: (usize, usize),
    },
}

impl Answer {
    /// The answer in this file.
    ///
    /// # Panics
    /// If there is none: a test that lost its fixture must fail.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The answer in this text, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (header, rows) = table(text)?;
        let columns = header.iter().map(|field| Column::parse(field)).collect::<Result<Vec<_>, _>>()?;
        for (row, fields) in rows.iter().enumerate() {
            for (column, field) in columns.iter().zip(fields) {
                // An answer that cannot even equal itself would refuse every engine.
                if !column.kind.agrees(field, field) {
                    return Err(format!(
                        "row {}: `{field}` is no {:?} of column {}",
                        row + 1,
                        column.kind,
                        column.name
                    ));
                }
            }
        }
        Ok(Self { columns, rows, ordered: true })
    }

    /// The same answer to a query that does not order its rows.
    #[must_use]
    pub fn in_any_order(self) -> Self {
        Self { ordered: false, ..self }
    }

    /// Whether this CSV text is the answer; its first difference if not.
    pub fn check(&self, csv: &str) -> Result<(), Mismatch> {
        let (header, got) = table(csv).map_err(Mismatch::NotCsv)?;
        if header.len() != self.columns.len() {
            return Err(Mismatch::Columns { expected: self.columns.len(), got: header });
        }
        if self.ordered { self.check_in_order(&got) } else { self.check_in_any_order(got) }
    }

    fn check_in_order(&self, got: &[Vec<String>]) -> Result<(), Mismatch> {
        for row in 0..self.rows.len().max(got.len()) {
            let (expected, came) = (self.rows.get(row), got.get(row));
            let column = match (expected, came) {
                (Some(expected), Some(came)) => match self.first_difference(expected, came) {
                    None => continue,
                    column => column,
                },
                _ => None,
            };
            return Err(self.mismatch(row, column, expected, came, got.len()));
        }
        Ok(())
    }

    /// Every expected row takes the first that equals it. Quadratic, for answers of some thousand rows at most.
    fn check_in_any_order(&self, mut got: Vec<Vec<String>>) -> Result<(), Mismatch> {
        let count = got.len();
        for (row, expected) in self.rows.iter().enumerate() {
            match got.iter().position(|came| self.first_difference(expected, came).is_none()) {
                Some(found) => got.swap_remove(found),
                None => return Err(self.mismatch(row, None, Some(expected), None, count)),
            };
        }
        match got.first() {
            None => Ok(()),
            extra => Err(self.mismatch(self.rows.len(), None, None, extra, count)),
        }
    }

    fn first_difference(&self, expected: &[String], got: &[String]) -> Option<usize> {
        let mut fields = self.columns.iter().zip(expected.iter().zip(got));
        fields.position(|(column, (expected, got))| !column.kind.agrees(expected, got))
    }

    fn mismatch(
        &self,
        row: usize,
        column: Option<usize>,
        expected: Option<&Vec<String>>,
        got: Option<&Vec<String>>,
        count: usize,
    ) -> Mismatch {
        Mismatch::Row {
            row: row + 1,
            column: column.map(|at| (at, self.columns[at].name.clone())),
            expected: expected.cloned(),
            got: got.cloned(),
            counts: (self.rows.len(), count),
        }
    }
}

/// Fails the test with the first difference, if there is one. `what` says which query ran where.
///
/// # Panics
/// If `csv` is not the answer.
pub fn assert_same(what: &str, answer: &Answer, csv: &str) {
    if let Err(mismatch) = answer.check(csv) {
        panic!("{what}: {mismatch}");
    }
}

impl Column {
    pub(crate) fn parse(field: &str) -> Result<Self, String> {
        let no_kind =
            || format!("the header `{field}` names no kind: write name:text, :date, :integer, :decimal or :float");
        let (name, kind) = field.rsplit_once(':').ok_or_else(no_kind)?;
        let kind = match kind {
            "text" => Kind::Text,
            "date" => Kind::Date,
            "integer" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "float" => Kind::Float,
            _ => return Err(no_kind()),
        };
        Ok(Self { name: name.to_owned(), kind })
    }
}

impl Kind {
    pub(crate) fn agrees(self, expected: &str, got: &str) -> bool {
        // NULL is an empty field, in every kind.
        if expected.is_empty() || got.is_empty() {
            return expected == got;
        }
        match self {
            Self::Text | Self::Date => expected == got,
            Self::Integer | Self::Decimal => exact(expected).is_some_and(|number| Some(number) == exact(got)),
            Self::Float => about(expected, got),
        }
    }
}

/// A number without what does not count: sign, digits before the point, digits after it.
fn exact(text: &str) -> Option<(bool, &str, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let zero = whole.is_empty() && fraction.is_empty();
    is_number.then_some((negative && !zero, whole, fraction))
}

fn about(expected: &str, got: &str) -> bool {
    let (Ok(value), Ok(came)) = (expected.parse::<f64>(), got.parse::<f64>()) else {
        return false;
    };
    if !value.is_finite() || !came.is_finite() {
        return false;
    }
    let digits = exact(got).and(got.split_once('.')).map_or(0, |(_, fraction)| fraction.len());
    let printed = if digits >= MIN_PRINTED_DIGITS { 0.1_f64.powi(digits.min(300) as i32) } else { 0.0 };
    (value - came).abs() <= printed.max(RELATIVE * value.abs())
}

/// Header and rows of a CSV text; every row is as long as the header.
pub(crate) fn table(text: &str) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    let fields = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = fields(reader.headers().map_err(|e| e.to_string())?);
    if header.is_empty() {
        return Err("it is empty, where at least a header was expected".to_owned());
    }
    let rows = reader.records().map(|record| record.map(|record| fields(&record)).map_err(|e| e.to_string()));
    Ok((header, rows.collect::<Result<_, _>>()?))
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCsv(why) => write!(f, "what came is not CSV: {why}"),
            Self::Columns { expected, got } => {
                write!(f, "{expected} columns expected, {} came: {}", got.len(), got.join(", "))
            }
            Self::Row { row, column, expected, got, counts } => {
                write!(f, "row {row}")?;
                if let Some((at, name)) = column {
                    write!(f, ", column {} ({name})", at + 1)?;
                    if let (Some(expected), Some(got)) = (expected, got) {
                        write!(f, ": {} expected, {} came", expected[*at], got[*at])?;
                    }
                }
                let line =
                    |row: &Option<Vec<String>>| row.as_ref().map_or("no such row".to_owned(), |row| row.join(" | "));
                write!(f, "\n  expected: {}\n  came:     {}", line(expected), line(got))?;
                write!(f, "\n  {} rows expected, {} came", counts.0, counts.1)
            }
        }
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "name:text,day:date,n:integer,total:decimal,mean:float\n\
        ALGERIA,1995-03-15,3,10.50,25.537587116854997\n\
        BRAZIL,1995-03-16,-2,0.0000,0.05014459706340077\n\
        \"A, \"\"B\"\"\",1995-03-17,0,-7.1234,1e20\n";

    const SAME: &str = "a,b,c,d,e\n\
        ALGERIA,1995-03-15,3,10.5000,25.537587\n\
        BRAZIL,1995-03-16,-2,0,0.050144597063400\n\
        \"A, \"\"B\"\"\",1995-03-17,0,-7.1234,100000000000000000001.0\n";

    fn answer() -> Answer {
        Answer::parse(ANSWER).unwrap()
    }

    /// The difference found when `from` came as `to`.
    fn changed(from: &str, to: &str) -> Mismatch {
        assert!(SAME.contains(from), "{from}");
        answer().check(&SAME.replacen(from, to, 1)).expect_err(to)
    }

    fn lines(order: &[usize]) -> String {
        let lines: Vec<_> = SAME.lines().collect();
        order.iter().map(|&line| format!("{}\n", lines[line])).collect()
    }

    #[test]
    fn the_same_rows_agree() {
        answer().check(SAME).unwrap();
        answer().check(&SAME.replace('\n', "\r\n")).unwrap();
        answer().in_any_order().check(&lines(&[0, 3, 1, 2])).unwrap();
        assert_same("itself", &answer(), SAME);
    }

    #[test]
    fn a_wrong_field_is_named_with_both_values() {
        let wrong = changed("10.5000", "10.5001");
        assert_eq!(
            wrong.to_string(),
            "row 1, column 4 (total): 10.50 expected, 10.5001 came\n  \
             expected: ALGERIA | 1995-03-15 | 3 | 10.50 | 25.537587116854997\n  \
             came:     ALGERIA | 1995-03-15 | 3 | 10.5001 | 25.537587\n  \
             3 rows expected, 3 came"
        );
        for (from, to) in [
            ("ALGERIA", "Algeria"),
            ("1995-03-16", "1995-03-16T00:00:00"),
            (",3,", ",4,"),
            (",-2,", ",2,"),
            ("-7.1234", "7.1234"),
            ("-7.1234", ""),
            ("-7.1234", "-7.1234e0"),
            ("10.5000", "abc"),
        ] {
            assert!(matches!(changed(from, to), Mismatch::Row { column: Some(_), .. }), "{to}");
        }
    }

    #[test]
    fn floats_agree_within_the_tolerance_only() {
        for same in ["25.537588", "25.537587", "25.537587117", "25.53758711685", "25.537587116855", "2.5537587116e1"] {
            assert!(Kind::Float.agrees("25.537587116854997", same), "{same}");
        }
        for other in ["25.537585", "25.537589", "25.53759", "25.5376", "26", "25.5375873", "NaN", "inf", "", "x"] {
            assert!(!Kind::Float.agrees("25.537587116854997", other), "{other}");
        }
        assert!(Kind::Float.agrees("1000000000", "1000000000.9"));
        assert!(!Kind::Float.agrees("1000000000", "1000000001.1"));
        assert!(!Kind::Float.agrees("0.5", "0"));
        assert!(!Kind::Float.agrees("0", "0.1"));
    }

    #[test]
    fn missing_and_extra_rows_are_found() {
        for missing in [lines(&[0]), lines(&[0, 1]), lines(&[0, 1, 2]), lines(&[0, 2, 3])] {
            let (in_order, any_order) = (answer().check(&missing), answer().in_any_order().check(&missing));
            for result in [in_order, any_order] {
                let Err(Mismatch::Row { counts: (3, got), expected: Some(_), .. }) = result else {
                    panic!("{missing}: {result:?}")
                };
                assert_eq!(got, missing.lines().count() - 1);
            }
        }
        for answer in [answer(), answer().in_any_order()] {
            let extra = answer.check(&lines(&[0, 1, 2, 3, 3])).unwrap_err();
            assert!(
                matches!(extra, Mismatch::Row { row: 4, expected: None, got: Some(_), counts: (3, 4), .. }),
                "{extra}"
            );
        }
        // One row twice does not stand for another.
        answer().in_any_order().check(&lines(&[0, 1, 2, 2])).unwrap_err();
    }

    #[test]
    fn the_wrong_order_is_found() {
        let swapped = answer().check(&lines(&[0, 2, 1, 3])).unwrap_err();
        assert!(matches!(swapped, Mismatch::Row { row: 1, column: Some((0, _)), counts: (3, 3), .. }), "{swapped}");
    }

    #[test]
    fn other_shapes_are_refused() {
        assert!(matches!(answer().check(""), Err(Mismatch::NotCsv(_))));
        assert!(matches!(answer().check("a,b,c,d,e\n1,2\n"), Err(Mismatch::NotCsv(_))));
        assert!(matches!(answer().check("a,b\n1,2\n"), Err(Mismatch::Columns { expected: 5, .. })));
    }

    #[test]
    #[should_panic(expected = "q7 on local: row 1, column 1 (name)")]
    fn a_test_fails_with_the_difference() {
        assert_same("q7 on local", &answer(), &SAME.replacen("ALGERIA", "PERU", 1));
    }

    #[test]
    fn malformed_answers_are_refused() {
        for text in ["", "name\nx\n", "name:string\nx\n", "n:integer\nx\n", "n:float\nNaN\n", "a:text,b:text\nx\n"] {
            Answer::parse(text).expect_err(text);
        }
    }

    #[test]
    fn every_fixture_can_be_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tpch");
        for scale in ["sf0_01", "sf0_1"] {
            for query in 1..=22 {
                let answer = Answer::read(&fixtures.join(format!("answers/{scale}/q{query:02}.csv")));
                assert!(!answer.rows.is_empty(), "{scale}, q{query}");
            }
            assert_eq!(Answer::read(&fixtures.join(format!("answers/{scale}/tables.csv"))).rows.len(), 8);
        }
    }
}
