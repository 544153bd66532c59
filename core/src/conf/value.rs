//! How values are read. Each function gives the value, or what is expected, with an example.

use super::{
    duration,
    master_url::{self, MasterUrl},
    size::{self, Unit},
};
use crate::{messages::worker::Address, stage::MAX_PARTITIONS};
use std::{fmt, path::PathBuf, time::Duration};

/// `spark.sql.shuffle.partitions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShufflePartitions {
    /// One for each core that the application may use, and more where they would be too large.
    Auto,
    /// As many.
    Fixed(u32),
}

/// `hearth.sql.fuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuse {
    /// A query is one task where the only executor is known to be one.
    Auto,
    /// Queries are always cut into stages.
    Never,
}

/// `spark.scheduler.mode`: which of an application's jobs gets slots first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedulingMode {
    /// The one that came first.
    #[default]
    Fifo,
    /// The one that has least.
    Fair,
}

/// `hearth.sql.rangeSort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeSort {
    /// Where much is to be sorted.
    #[default]
    Auto,
    /// Wherever it can be done.
    Always,
    /// Nowhere.
    Never,
}

/// An empty text is an unset value.
pub(super) fn optional<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// A number in digits alone: the standard library's parser would take a sign.
pub(super) fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn count<const MIN: u32, const MAX: u32>(text: &str) -> Result<u32, String> {
    digits(text)
        .filter(|n| (MIN..=MAX).contains(n))
        .ok_or_else(|| format!("a whole number from {MIN} to {MAX}, such as {}", MIN.max(4).min(MAX)))
}

/// A number with up to three decimals, in thousandths.
pub(super) fn thousandths<const MIN: u32, const MAX: u32>(text: &str) -> Result<u32, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let fits = !whole.is_empty() && (1..=3).contains(&decimals.len());
    let parse = || digits::<u32>(whole)?.checked_mul(1000)?.checked_add(digits::<u32>(&format!("{decimals:0<3}"))?);
    fits.then(parse).flatten().filter(|n| (MIN..=MAX).contains(n)).ok_or_else(|| {
        let (min, max) = (f64::from(MIN) / 1000.0, f64::from(MAX) / 1000.0);
        format!(
            "a number from {min} to {max} with up to three decimals, such as {}",
            if MAX <= 1000 { 0.75 } else { 1.5 }
        )
    })
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false, such as true".into()),
    }
}

/// A line of text.
pub(super) fn line(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a line of text, such as nightly report".into());
    }
    Ok(text.to_owned())
}

pub(super) fn host(text: &str) -> Result<String, String> {
    if Address::is_host(text) {
        Ok(text.to_owned())
    } else {
        Err("a host name or an IP address, such as 127.0.0.1".into())
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    digits(text).ok_or_else(|| "a port from 0 to 65535, such as 0 for any free one".into())
}

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let fits = text.starts_with('/') && text.split('/').all(|c| c != "..") && !text.contains(['\0', ',']);
    if fits { Ok(text.into()) } else { Err("one absolute directory without `..`, such as /var/tmp".into()) }
}

/// One directory or several, with commas between them.
pub(super) fn directories(text: &str) -> Result<Vec<PathBuf>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let all: Result<Vec<_>, _> = text.split(',').map(str::trim).map(directory).collect();
    all.map_err(|_| "absolute directories without `..`, with commas between them, such as /disk1/tmp,/disk2/tmp".into())
}

/// A file; relative to where the program runs.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    line(text).map(PathBuf::from).map_err(|_| "the path of a file, such as /etc/hearth/fairscheduler.xml".into())
}

fn a_size(least: &str, unit: Unit) -> String {
    format!("a size of at least {least}, such as 512m or 2g; a plain number is {unit}")
}

/// Bytes; a plain number is bytes.
pub(super) fn bytes_in_bytes(text: &str) -> Result<u64, String> {
    size::parse(text, Unit::Byte).map_err(|_| a_size("0", Unit::Byte))
}

/// Whole MiB, at least one; a plain number is MiB.
pub(super) fn memory_mib(text: &str) -> Result<u64, String> {
    match size::parse(text, Unit::MiB) {
        // What is less than a MiB would be none.
        Ok(bytes) if bytes >= 1 << 20 => Ok(bytes >> 20),
        _ => Err(a_size("1m", Unit::MiB)),
    }
}

/// Bytes, at least a MiB; a plain number is MiB.
pub(super) fn bytes_in_mib(text: &str) -> Result<u64, String> {
    memory_mib(text)?;
    size::parse(text, Unit::MiB).map_err(|_| a_size("1m", Unit::MiB))
}

/// Bytes, where 0 is no limit.
pub(super) fn limit_in_bytes(text: &str) -> Result<Option<u64>, String> {
    Ok(Some(bytes_in_bytes(text)?).filter(|&limit| limit > 0))
}

fn time(text: &str, unit: duration::Unit, least: Duration) -> Result<Duration, String> {
    duration::parse(text, unit).ok().filter(|&d| d >= least).ok_or_else(|| {
        let positive = if least.is_zero() { "a duration" } else { "a duration above 0" };
        format!("{positive}, such as 500ms, 30s or 2min; a plain number is {unit}")
    })
}

/// A pause; may be none.
pub(super) fn pause_in_seconds(text: &str) -> Result<Duration, String> {
    time(text, duration::Unit::Seconds, Duration::ZERO)
}

/// A time that must pass.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, duration::Unit::Seconds, Duration::from_millis(1))
}

/// A time that must pass; a plain number is milliseconds.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    time(text, duration::Unit::Millis, Duration::from_millis(1))
}

pub(super) fn master(text: &str) -> Result<MasterUrl, String> {
    text.parse().map_err(|_| master_url::EXPECTED.into())
}

pub(super) fn fuse(text: &str) -> Result<Fuse, String> {
    match text {
        "auto" => Ok(Fuse::Auto),
        "never" => Ok(Fuse::Never),
        _ => Err("auto or never, such as auto".into()),
    }
}

/// Bytes, where -1 turns off what they bound.
pub(super) fn bytes_or_off(text: &str) -> Result<Option<u64>, String> {
    match text {
        "-1" => Ok(None),
        _ => bytes_in_bytes(text).map(Some).map_err(|e| format!("{e}; or -1 for never")),
    }
}

pub(super) fn shuffle_partitions(text: &str) -> Result<ShufflePartitions, String> {
    match text {
        "auto" => Ok(ShufflePartitions::Auto),
        _ => count::<1, MAX_PARTITIONS>(text).map(ShufflePartitions::Fixed).map_err(|e| format!("auto, or {e}")),
    }
}

impl fmt::Display for ShufflePartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Fixed(n) => fmt::Display::fmt(n, f),
        }
    }
}

pub(super) fn range_sort(text: &str) -> Result<RangeSort, String> {
    match text {
        "auto" => Ok(RangeSort::Auto),
        "always" => Ok(RangeSort::Always),
        "never" => Ok(RangeSort::Never),
        _ => Err("auto, always or never, such as auto".into()),
    }
}

pub(super) fn scheduling_mode(text: &str) -> Result<SchedulingMode, String> {
    match text {
        "FIFO" => Ok(SchedulingMode::Fifo),
        "FAIR" => Ok(SchedulingMode::Fair),
        _ => Err("FIFO or FAIR, such as FAIR".into()),
    }
}
