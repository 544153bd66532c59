//! Durations as Spark writes them: `100ms`, `5s`, `1min`, `2h`.

use super::quantity;
use std::{fmt, time::Duration};

/// What a plain number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Millis => "milliseconds",
            Self::Seconds => "seconds",
        })
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: {problem}; write 500ms, 30s, 2min, 1h or 7d (a plain number is {unit})")]
pub struct BadDuration {
    text: String,
    problem: &'static str,
    unit: Unit,
}

/// The longest duration: who needs more means for ever, and sums of such still fit everywhere.
pub const MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The duration in a text; a plain number is a number of `unit`.
///
/// Units are `us`, `ms`, `s`, `m` or `min`, `h` and `d`, in either case. There are no fractions, as in Spark.
pub fn parse(text: &str, unit: Unit) -> Result<Duration, BadDuration> {
    let bad = |problem| BadDuration { text: text.chars().take(100).collect(), problem, unit };
    let (number, suffix) = quantity::split(text, "a duration has no fraction").map_err(bad)?;
    let micros: u64 = match (suffix.as_str(), unit) {
        ("us", _) => 1,
        ("ms", _) | ("", Unit::Millis) => 1_000,
        ("s", _) | ("", Unit::Seconds) => 1_000_000,
        ("m" | "min", _) => 60_000_000,
        ("h", _) => 3_600_000_000,
        ("d", _) => 86_400_000_000,
        _ => return Err(bad("its unit is not known")),
    };
    number
        .checked_mul(micros)
        .map(Duration::from_micros)
        .filter(|&duration| duration <= MAX)
        .ok_or_else(|| bad("it is above 3650d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_spark_reads_them() {
        let table = [
            ("0", 0),
            ("7", 7_000),
            ("5s", 5_000),
            ("5S", 5_000),
            (" 100 ms ", 100),
            ("2000us", 2),
            ("1m", 60_000),
            ("1min", 60_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text, Unit::Seconds), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("7", Unit::Millis), Ok(Duration::from_millis(7)));
        assert_eq!(parse("3650d", Unit::Millis), Ok(MAX));
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_the_reason() {
        let table = [
            ("", "does not begin with a digit"),
            ("s", "does not begin with a digit"),
            ("-5s", "does not begin with a digit"),
            ("1.5s", "has no fraction"),
            ("5x", "unit is not known"),
            ("5 seconds", "unit is not known"),
            ("5s5", "unit is not known"),
            ("3651d", "above 3650d"),
            ("99999999999999999999", "above 3650d"),
            ("18446744073709551615d", "above 3650d"),
        ];
        for (text, problem) in table {
            let error = parse(text, Unit::Seconds).expect_err(text).to_string();
            assert!(error.contains(problem) && error.contains("write 500ms"), "{error}");
        }
    }
}
