//! Rows as DataFusion's sqllogictest files write them.
//!
//! | value | text |
//! |---|---|
//! | NULL | `NULL` |
//! | an empty string | `(empty)` |
//! | floats | plain digits, at most twelve after the point, half to even; `NaN`, `Infinity`, `-Infinity` |
//! | decimals | plain digits without zeros at the end |
//! | text | as it is, without line ends at its end, and `\0` for a NUL |
//! | everything else | as Arrow prints it, NULL inside as `NULL` |
//!
//! A last cell of several lines, as of a plan, becomes a row for each line, numbered, its indent as hyphens: the files do not
//! keep white space.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Schema},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use sqllogictest::ColumnType;

/// Digits after the point of a float that count.
const FLOAT_DIGITS: usize = 12;

/// A column's type, as the letter after `query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter(char);

impl ColumnType for Letter {
    fn from_char(value: char) -> Option<Self> {
        Some(Self(if "BDIPRT".contains(value) { value } else { '?' }))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// The letters of a schema's columns.
pub fn letters(schema: &Schema) -> Vec<Letter> {
    schema.fields().iter().map(|field| Letter(letter(field.data_type()))).collect()
}

fn letter(data_type: &DataType) -> char {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match data_type {
        DataType::Boolean => 'B',
        t if t.is_integer() => 'I',
        t if t.is_floating() || t.is_decimal() => 'R',
        t if is_text(t) => 'T',
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => 'D',
        DataType::Timestamp(..) => 'P',
        DataType::Dictionary(_, values) if is_text(values) => 'T',
        _ => '?',
    }
}

/// The rows of some batches.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| cell(column, row)).collect::<Result<Vec<_>, _>>()?;
            in_lines(cells, &mut rows);
        }
    }
    Ok(rows)
}

fn cell(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) {
        return Ok("NULL".into());
    }
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        return cell(dictionary.values(), dictionary.normalized_keys()[row]);
    }
    let options = FormatOptions::new().with_null("NULL");
    let text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).try_to_string()?;
    Ok(match letter(column.data_type()) {
        'R' if column.data_type().is_floating() => float(column, row, &text),
        'R' => without_zeros(&text),
        'T' if text.is_empty() => "(empty)".into(),
        'T' => text.trim_end_matches('\n').replace('\0', "\\0"),
        _ => text,
    })
}

/// A float in plain digits. Arrow would write large ones with an exponent.
fn float(column: &ArrayRef, row: usize, printed: &str) -> String {
    use arrow::datatypes::{Float32Type, Float64Type};
    let double = column.as_primitive_opt::<Float64Type>().map(|values| values.value(row).to_string());
    let single = || column.as_primitive_opt::<Float32Type>().map(|values| values.value(row).to_string());
    let plain = double.or_else(single).or_else(|| printed.parse::<f32>().ok().map(|value| value.to_string()));
    match plain.as_deref() {
        Some("inf") => "Infinity".into(),
        Some("-inf") => "-Infinity".into(),
        // Its sign means nothing.
        Some("NaN" | "-NaN") => "NaN".into(),
        Some(plain) => without_zeros(&rounded(plain, FLOAT_DIGITS)),
        None => printed.to_owned(),
    }
}

/// A plain decimal number with at most so many digits after its point, half to even.
fn rounded(plain: &str, digits: usize) -> String {
    let Some((whole, fraction)) = plain.split_once('.').filter(|(_, fraction)| fraction.len() > digits) else {
        return plain.to_owned();
    };
    let (kept, cut) = fraction.split_at(digits);
    let mut all: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let is_odd = all.last().is_some_and(|digit| digit % 2 == 1);
    let up = match cut.trim_end_matches('0') {
        "5" => is_odd,
        rest => rest.as_bytes().first().is_some_and(|&digit| digit >= b'5'),
    };
    if up {
        increase(&mut all);
    }
    let point = all.len() - digits;
    let text: String = all.into_iter().map(char::from).collect();
    format!("{}.{}", &text[..point], &text[point..])
}

/// Adds one to the last digit of a number whose sign, if any, comes first.
fn increase(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        match digit {
            b'9' => *digit = b'0',
            b'0'..=b'8' => {
                *digit += 1;
                return;
            }
            _ => break,
        }
    }
    let first = usize::from(digits.first() == Some(&b'-'));
    digits.insert(first, b'1');
}

/// The same number without zeros after its last digit, or a sign of nothing.
fn without_zeros(plain: &str) -> String {
    let short = match plain.contains('.') {
        true => plain.trim_end_matches('0').trim_end_matches('.'),
        false => plain,
    };
    if short == "-0" { "0".into() } else { short.into() }
}

fn in_lines(mut cells: Vec<String>, rows: &mut Vec<Vec<String>>) {
    match cells.pop() {
        Some(last) if last.contains('\n') => {
            rows.push(cells);
            rows.extend(last.split('\n').enumerate().map(|(at, line)| {
                let content = line.trim_start();
                let indent = "-".repeat(line.len() - content.len());
                vec![format!("{:02}){indent}{content}", at + 1)]
            }));
        }
        last => {
            cells.extend(last);
            rows.push(cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Decimal128Array, Float16Array, Float32Array, Float64Array, Int32Array, StringArray, StringDictionaryBuilder,
    };
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    fn texts(column: impl Array + 'static) -> Vec<String> {
        let column: ArrayRef = Arc::new(column);
        (0..column.len()).map(|row| cell(&column, row).unwrap()).collect()
    }

    #[test]
    fn floats_are_plain_and_rounded_half_to_even() {
        let values =
            [1.0, -0.0, 0.1 + 0.2, 1e20, -2.5e-13, 1e-12, 99.999_999_999_999_9, f64::NAN, f64::INFINITY, -1e300];
        let big = format!("-1{}", "0".repeat(300));
        let expected =
            ["1", "0", "0.3", "100000000000000000000", "0", "0.000000000001", "100", "NaN", "Infinity", &big];
        assert_eq!(texts(Float64Array::from(values.to_vec())), expected);
        assert_eq!(texts(Float32Array::from(vec![0.1, f32::NEG_INFINITY])), ["0.1", "-Infinity"]);
        for (number, even) in
            [("0.25", "0.2"), ("0.35", "0.4"), ("-0.251", "-0.3"), ("9.95", "10.0"), ("-9.96", "-10.0")]
        {
            assert_eq!(rounded(number, 1), even, "{number}");
        }
        assert_eq!(rounded("12.5", 1), "12.5");
    }

    #[test]
    fn decimals_lose_their_zeros_and_half_floats_are_read() {
        let decimals = Decimal128Array::from(vec![Some(1250), Some(-100), Some(0), None]);
        let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
        assert_eq!(texts(decimals), ["12.5", "-1", "0", "NULL"]);
        assert_eq!(texts(Float16Array::from(vec![None])), ["NULL"]);
    }

    #[test]
    fn text_is_escaped_and_dictionaries_are_looked_up() {
        assert_eq!(
            texts(StringArray::from(vec![Some(""), Some("a b\n"), Some("\0"), None])),
            ["(empty)", "a b", "\\0", "NULL"]
        );
        let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
        dictionary.append_value("x");
        dictionary.append_value("");
        dictionary.append_null();
        assert_eq!(texts(dictionary.finish()), ["x", "(empty)", "NULL"]);
    }

    #[test]
    fn letters_are_those_of_datafusion() {
        use arrow::datatypes::{Field, TimeUnit};
        let types = [
            DataType::Boolean,
            DataType::UInt8,
            DataType::Float16,
            DataType::Decimal256(20, 2),
            DataType::Utf8View,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Second, None),
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int8)),
            DataType::Binary,
        ];
        let schema = Schema::new(types.into_iter().map(|t| Field::new("", t, true)).collect::<Vec<_>>());
        assert_eq!(letters(&schema).iter().map(ColumnType::to_char).collect::<String>(), "BIRRTDPT??");
        assert_eq!(Letter::from_char('X').unwrap().to_char(), '?');
    }

    #[test]
    fn a_last_cell_of_several_lines_becomes_rows() {
        let kind: ArrayRef = Arc::new(StringArray::from(vec!["plan"]));
        let plan: ArrayRef = Arc::new(StringArray::from(vec!["Sort: a\n  Scan: t"]));
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("n", number), ("k", kind), ("p", plan)]).unwrap();
        assert_eq!(rows(&[batch]).unwrap(), [vec!["1", "plan"], vec!["01)Sort: a"], vec!["02)--Scan: t"]]);
    }
}
