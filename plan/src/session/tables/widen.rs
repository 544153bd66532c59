//! The type that the values of two types fit into.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// The type that the values of both fit into, if there is one. In text, whole numbers and fractions are numbers.
pub(super) fn widen(a: &DataType, b: &DataType, text: bool) -> Option<DataType> {
    use DataType as T;
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (T::Null, other) | (other, T::Null) => return Some(other.clone()),
        (T::Decimal128(p, s), T::Decimal128(q, t)) => return decimal((*p, *s), (*q, *t)),
        (T::Timestamp(u, zone), T::Timestamp(v, other)) if zone == other => {
            return Some(T::Timestamp(finer(*u, *v), zone.clone()));
        }
        _ => {}
    }
    if let (Some(x), Some(y)) = (bits(a), bits(b)) {
        return integer(x, y);
    }
    if let (Some(x), Some(y)) = (precision(a, text), precision(b, text)) {
        return Some(if x.max(y) > 24 { T::Float64 } else { T::Float32 });
    }
    let strings = [T::Utf8, T::LargeUtf8, T::Utf8View];
    if strings.contains(a) && strings.contains(b) {
        return Some(if [a, b].contains(&&T::Utf8View) { T::Utf8View } else { T::LargeUtf8 });
    }
    let bytes = [T::Binary, T::LargeBinary, T::BinaryView];
    if bytes.contains(a) && bytes.contains(b) {
        return Some(if [a, b].contains(&&T::BinaryView) { T::BinaryView } else { T::LargeBinary });
    }
    nested(a, b)
}

/// Lists and structs as Arrow itself merges them: parts that are missing come in.
fn nested(a: &DataType, b: &DataType) -> Option<DataType> {
    let mut merged = Field::new("", a.clone(), true);
    merged.try_merge(&Field::new("", b.clone(), true)).ok()?;
    Some(merged.data_type().clone())
}

/// Bits of a whole number, and whether it has a sign.
const fn bits(of: &DataType) -> Option<(u32, bool)> {
    Some(match of {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

fn integer((x, x_signed): (u32, bool), (y, y_signed): (u32, bool)) -> Option<DataType> {
    let signed = x_signed || y_signed;
    // A number without a sign needs one more bit with one.
    let needs = |bits: u32, has: bool| if signed && !has { bits * 2 } else { bits };
    Some(match (needs(x, x_signed).max(needs(y, y_signed)), signed) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return None,
    })
}

/// Bits that a fraction must keep of a number's digits.
fn precision(of: &DataType, text: bool) -> Option<u32> {
    match of {
        DataType::Float16 => Some(11),
        DataType::Float32 => Some(24),
        DataType::Float64 => Some(53),
        other => bits(other).map(|(bits, _)| bits).filter(|bits| text || *bits <= 32),
    }
}

fn decimal((p, s): (u8, i8), (q, t): (u8, i8)) -> Option<DataType> {
    let scale = s.max(t);
    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
    let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|p| *p <= 38)?;
    Some(DataType::Decimal128(precision, scale))
}

const fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    match (a, b) {
        (TimeUnit::Nanosecond, _) | (_, TimeUnit::Nanosecond) => TimeUnit::Nanosecond,
        (TimeUnit::Microsecond, _) | (_, TimeUnit::Microsecond) => TimeUnit::Microsecond,
        (TimeUnit::Millisecond, _) | (_, TimeUnit::Millisecond) => TimeUnit::Millisecond,
        _ => TimeUnit::Second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType as T;

    #[test]
    fn values_of_both_types_fit() {
        let table = [
            (T::Int32, T::Int64, Some(T::Int64)),
            (T::UInt8, T::Int8, Some(T::Int16)),
            (T::UInt32, T::Int8, Some(T::Int64)),
            (T::UInt64, T::Int8, None),
            (T::Null, T::Utf8, Some(T::Utf8)),
            (T::Float32, T::Float64, Some(T::Float64)),
            (T::Int16, T::Float32, Some(T::Float32)),
            (T::Int32, T::Float32, Some(T::Float64)),
            (T::Int64, T::Float64, None),
            (T::Utf8, T::Utf8View, Some(T::Utf8View)),
            (T::Utf8, T::Int64, None),
            (T::Boolean, T::Int64, None),
            (T::Decimal128(10, 2), T::Decimal128(12, 4), Some(T::Decimal128(12, 4))),
            (T::Decimal128(10, 0), T::Decimal128(12, 4), Some(T::Decimal128(14, 4))),
            (T::Decimal128(38, 0), T::Decimal128(38, 10), None),
        ];
        for (a, b, both) in table {
            assert_eq!(widen(&a, &b, false), both, "{a} {b}");
            assert_eq!(widen(&b, &a, false), both, "{b} {a}");
        }
        assert_eq!(widen(&T::Int64, &T::Float64, true), Some(T::Float64));
        let zoned = |unit| T::Timestamp(unit, None);
        let finer = zoned(TimeUnit::Microsecond);
        assert_eq!(widen(&zoned(TimeUnit::Millisecond), &finer, false), Some(finer));
    }

    #[test]
    fn structs_get_what_they_lack() {
        let of =
            |names: &[&str]| T::Struct(names.iter().map(|n| Field::new(*n, T::Int64, true)).collect::<Vec<_>>().into());
        assert_eq!(widen(&of(&["a"]), &of(&["a", "b"]), false), Some(of(&["a", "b"])));
    }
}
