//! Rows in a form that can be compared, whatever batches they came in.

use crate::engine::Rows;
use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Float32Type, Float64Type},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use std::{cmp::Ordering, fmt};

/// Rows that any order would do for are matched one by one, when sorting does not line them up, up to so many: that is
/// quadratic, and the corpus has small answers.
const MAX_MATCHED: usize = 5_000;

/// Columns and rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names and types.
    pub columns: Vec<(String, DataType)>,
    /// Rows of cells.
    pub rows: Vec<Vec<Cell>>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A number that is compared with a tolerance.
    Float(f64),
    /// Everything else, as Arrow prints it.
    Text(String),
}

impl Table {
    /// The same rows. Fails when a batch is not of the schema that was announced.
    pub fn of(rows: &Rows) -> Result<Self, String> {
        let fields = rows.schema.fields();
        let columns: Vec<_> = fields.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        let mut table = Self { columns, rows: Vec::new() };
        for batch in &rows.batches {
            let got: Vec<_> = batch.columns().iter().map(|c| c.data_type().clone()).collect();
            if !got.iter().eq(table.columns.iter().map(|(_, data_type)| data_type)) {
                let said: Vec<_> = table.columns.iter().map(|(_, data_type)| data_type.to_string()).collect();
                let came: Vec<_> = got.iter().map(DataType::to_string).collect();
                return Err(format!("a batch has the types {} where {} were said", came.join(", "), said.join(", ")));
            }
            let cells: Vec<Vec<Cell>> =
                batch.columns().iter().map(cells).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
            table
                .rows
                .extend((0..batch.num_rows()).map(|row| cells.iter().map(|column| column[row].clone()).collect()));
        }
        Ok(table)
    }

    /// The first difference to the rows that came: in names, types, or rows, in order or in any.
    pub fn difference(&self, came: &Self, ordered: bool, tolerance: f64) -> Option<String> {
        if self.columns != came.columns {
            return Some(format!("columns\n  expected: {}\n  came:     {}", self.header(), came.header()));
        }
        let same = |a: &[Cell], b: &[Cell]| a.iter().zip(b).all(|(a, b)| a.agrees(b, tolerance));
        if ordered {
            return first_difference(&self.rows, &came.rows, same);
        }
        let (mut expected, mut got) = (self.rows.clone(), came.rows.clone());
        expected.sort_by(|a, b| compare(a, b));
        got.sort_by(|a, b| compare(a, b));
        let difference = first_difference(&expected, &got, same)?;
        // Floats that differ a little may have sorted rows apart that agree.
        let small = expected.len() == got.len() && expected.len() <= MAX_MATCHED;
        if small && all_matched(&expected, got, same) { None } else { Some(difference) }
    }

    fn header(&self) -> String {
        self.columns.iter().map(|(name, data_type)| format!("{name}: {data_type}")).collect::<Vec<_>>().join(" | ")
    }
}

fn cells(column: &ArrayRef) -> Result<Vec<Cell>, ArrowError> {
    let valid = |row: usize, cell: Cell| if column.is_null(row) { Cell::Null } else { cell };
    let rows = 0..column.len();
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        return Ok(rows.map(|row| valid(row, Cell::Float(floats.value(row)))).collect());
    }
    if let Some(floats) = column.as_primitive_opt::<Float32Type>() {
        return Ok(rows.map(|row| valid(row, Cell::Float(f64::from(floats.value(row))))).collect());
    }
    let options = FormatOptions::new().with_null("NULL");
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    rows.map(
        |row| {
            if column.is_null(row) { Ok(Cell::Null) } else { formatter.value(row).try_to_string().map(Cell::Text) }
        },
    )
    .collect()
}

impl Cell {
    fn agrees(&self, other: &Self, tolerance: f64) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => {
                a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs()
            }
            _ => self == other,
        }
    }
}

/// By everything but floats, and then by floats: these may differ a little.
fn compare(a: &[Cell], b: &[Cell]) -> Ordering {
    let exact = |row: &[Cell]| row.iter().map(|c| if let Cell::Text(t) = c { Some(t.clone()) } else { None }).collect();
    let (x, y): (Vec<_>, Vec<_>) = (exact(a), exact(b));
    let float = |cell: &Cell| if let Cell::Float(value) = cell { *value } else { f64::NEG_INFINITY };
    let floats = || a.iter().zip(b).map(|(a, b)| float(a).total_cmp(&float(b))).find(|o| o.is_ne());
    x.cmp(&y).then_with(|| floats().unwrap_or(Ordering::Equal))
}

fn first_difference(
    expected: &[Vec<Cell>],
    got: &[Vec<Cell>],
    same: impl Fn(&[Cell], &[Cell]) -> bool,
) -> Option<String> {
    let row = (0..expected.len().max(got.len())).find(|&row| match (expected.get(row), got.get(row)) {
        (Some(expected), Some(got)) => !same(expected, got),
        _ => true,
    })?;
    let show = |rows: &[Vec<Cell>]| match rows.get(row) {
        Some(cells) => cells.iter().map(Cell::to_string).collect::<Vec<_>>().join(" | "),
        None => "no such row".to_owned(),
    };
    Some(format!(
        "row {} ({} rows expected, {} came)\n  expected: {}\n  came:     {}",
        row + 1,
        expected.len(),
        got.len(),
        show(expected),
        show(got)
    ))
}

fn all_matched(expected: &[Vec<Cell>], mut got: Vec<Vec<Cell>>, same: impl Fn(&[Cell], &[Cell]) -> bool) -> bool {
    expected.iter().all(|row| match got.iter().position(|came| same(row, came)) {
        Some(found) => {
            got.swap_remove(found);
            true
        }
        None => false,
    })
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{Float64Array, Int64Array, RecordBatch, StringArray},
        datatypes::{Field, Schema},
    };
    use std::sync::Arc;

    fn rows(values: &[(Option<i64>, f64)]) -> Rows {
        let n = Int64Array::from_iter(values.iter().map(|v| v.0));
        let x = Float64Array::from_iter_values(values.iter().map(|v| v.1));
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("x", DataType::Float64, true)];
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(n), Arc::new(x)]).unwrap();
        Rows { schema, batches: vec![batch], tasks: Vec::new(), stages: String::new() }
    }

    fn table(values: &[(Option<i64>, f64)]) -> Table {
        Table::of(&rows(values)).unwrap()
    }

    #[test]
    fn order_matters_only_where_there_is_one() {
        let (a, b) = (table(&[(Some(1), 0.5), (None, 1.5)]), table(&[(None, 1.5), (Some(1), 0.5)]));
        assert_eq!(a.difference(&b, false, 0.0), None);
        let difference = a.difference(&b, true, 0.0).unwrap();
        assert_eq!(difference, "row 1 (2 rows expected, 2 came)\n  expected: 1 | 0.5\n  came:     NULL | 1.5");
    }

    #[test]
    fn a_row_twice_does_not_stand_for_another() {
        let (a, b) = (table(&[(Some(1), 0.0), (Some(2), 0.0)]), table(&[(Some(1), 0.0), (Some(1), 0.0)]));
        assert!(a.difference(&b, false, 0.0).is_some());
        assert!(a.difference(&table(&[(Some(1), 0.0)]), false, 0.0).unwrap().contains("no such row"));
        assert!(table(&[]).difference(&a, true, 0.0).unwrap().contains("0 rows expected, 2 came"));
    }

    #[test]
    fn floats_agree_within_the_tolerance_even_where_they_sort_apart() {
        let nan = f64::NAN;
        let a = table(&[(None, 1.0), (None, 1.000_000_1), (None, nan), (None, f64::INFINITY)]);
        let b = table(&[(None, 1.000_000_2), (None, 1.0), (None, nan), (None, f64::INFINITY)]);
        assert_eq!(a.difference(&b, false, 1e-6), None);
        assert!(a.difference(&b, false, 1e-9).is_some());
        assert!(table(&[(None, 0.0)]).difference(&table(&[(None, 1e-12)]), false, 1e-6).is_some());
        assert_eq!(table(&[(None, 0.0)]).difference(&table(&[(None, -0.0)]), true, 0.0), None);
    }

    #[test]
    fn names_and_types_count() {
        let a = table(&[(Some(1), 0.5)]);
        let mut other = a.clone();
        other.columns[0].0 = "m".into();
        assert!(a.difference(&other, true, 0.0).unwrap().starts_with("columns"));
        other.columns[0] = ("n".into(), DataType::Int32);
        assert!(a.difference(&other, true, 0.0).unwrap().contains("n: Int32"));
    }

    #[test]
    fn a_batch_of_other_types_than_said_is_found() {
        let mut lie = rows(&[(Some(1), 0.5)]);
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Utf8, true)]));
        lie.batches.push(RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec!["x"]))]).unwrap());
        assert!(Table::of(&lie).unwrap_err().contains("types Utf8 where Int64, Float64 were said"));
    }
}
