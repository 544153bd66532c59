//! The checks that every field from outside goes through. Each names the field in its error: `TaskLaunch.payload`.

use crate::{
    BadId, conf,
    messages::worker::Address,
    stage::{MAX_PARTITIONS, MAX_SLOTS},
};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Why a message from outside makes no sense: names the message, the field and its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) String);

/// Bytes of a text for people: room for an error with the tail of a log, and four of them still fit into a log line that
/// a person can read.
pub(super) const MAX_TEXT: usize = 64 << 10;
/// Bytes of a name: of a version, a user, a label.
const MAX_NAME: usize = 1 << 10;
/// Bytes of a path, by Linux's own limit.
const MAX_PATH: usize = 4096;
/// Things in one batch: more than the slots of the largest machine, and few enough that two bytes each (the smallest
/// message) do not become gigabytes when they are decoded.
pub(super) const MAX_BATCH: usize = 1 << 16;
/// Cores of one machine: far above what is built, far below what overflows when a cluster's are added up.
const MAX_CORES: u32 = MAX_SLOTS;
/// Memory of one machine, 1 EiB: for the same reason.
const MAX_MEMORY_MIB: u64 = 1 << 40;
/// Bytes of one block, or any other quantity of one task, 1 PiB: those of 10 000 tasks still add up in 64 bits.
pub(super) const MAX_QUANTITY: u64 = 1 << 50;

/// The value of a bad field as its error shows it: escaped, and cut to what a log line bears.
const SHOWN: usize = 100;

pub(super) fn missing(field: &str) -> Malformed {
    Malformed(format!("{field} is missing"))
}

pub(super) fn bad(field: &str, value: &dyn fmt::Debug, expected: &dyn fmt::Display) -> Malformed {
    let mut shown = format!("{value:?}");
    if let Some((cut, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(cut);
        shown.push('…');
    }
    Malformed(format!("{field} is {shown}; expected {expected}"))
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| missing(field))
}

pub(super) fn id<T: FromStr<Err = BadId>>(field: &str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|e: BadId| Malformed(format!("{field}: {e}")))
}

fn short(field: &str, text: String, limit: usize) -> Result<String, Malformed> {
    if text.len() > limit {
        return Err(Malformed(format!("{field} is {} bytes long; expected at most {limit}", text.len())));
    }
    Ok(text)
}

/// A text for people; may be empty.
pub(super) fn text(field: &str, text: String) -> Result<String, Malformed> {
    short(field, text, MAX_TEXT)
}

/// A name; may be empty.
pub(super) fn name(field: &str, text: String) -> Result<String, Malformed> {
    short(field, text, MAX_NAME)
}

/// Cuts a text for people to what the other side takes, at a character's border, and says so.
pub(super) fn clip(text: String) -> String {
    clip_to(text, MAX_TEXT)
}

pub(super) fn clip_to(mut text: String, limit: usize) -> String {
    const MARK: &str = " … (cut)";
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - MARK.len()));
        text.push_str(MARK);
    }
    text
}

/// Not more than `limit` of something.
pub(super) fn counted<T>(field: &str, items: Vec<T>, limit: usize) -> Result<Vec<T>, Malformed> {
    if items.len() > limit {
        return Err(Malformed(format!("{field} has {} entries; expected at most {limit}", items.len())));
    }
    Ok(items)
}

/// Converts each of not more than `limit` messages.
pub(super) fn each<P, T>(field: &str, items: Vec<P>, limit: usize) -> Result<Vec<T>, Malformed>
where
    T: TryFrom<P, Error = Malformed>,
{
    counted(field, items, limit)?.into_iter().map(T::try_from).collect()
}

pub(super) fn host(field: &str, host: String) -> Result<String, Malformed> {
    if Address::is_host(&host) { Ok(host) } else { Err(bad(field, &host, &"a host name or an IP address")) }
}

pub(super) fn port(field: &str, port: u32) -> Result<u16, Malformed> {
    u16::try_from(port).map_err(|_| bad(field, &port, &"a port, 0 to 65535"))
}

/// `http://host:port`.
pub(super) fn url(field: &str, url: String) -> Result<String, Malformed> {
    let parsed = url.strip_prefix("http://").and_then(|rest| rest.parse::<Address>().ok());
    match parsed {
        Some(address) if address.port != 0 => Ok(url),
        _ => Err(bad(field, &url, &"http://HOST:PORT")),
    }
}

/// An absolute path that stays below where it begins.
pub(super) fn path(field: &str, path: String) -> Result<String, Malformed> {
    let fits = path.starts_with('/')
        && path.len() <= MAX_PATH
        && !path.contains('\0')
        && path.split('/').all(|component| component != "..");
    if fits { Ok(path) } else { Err(bad(field, &path, &"an absolute path without `..`")) }
}

pub(super) fn cores(field: &str, cores: u32) -> Result<u32, Malformed> {
    if (1..=MAX_CORES).contains(&cores) {
        Ok(cores)
    } else {
        Err(bad(field, &cores, &format_args!("1 to {MAX_CORES} cores")))
    }
}

pub(super) fn memory_mib(field: &str, mib: u64) -> Result<u64, Malformed> {
    if (1..=MAX_MEMORY_MIB).contains(&mib) {
        Ok(mib)
    } else {
        Err(bad(field, &mib, &format_args!("1 to {MAX_MEMORY_MIB} MiB")))
    }
}

/// A count of at least one.
pub(super) fn positive(field: &str, count: u32) -> Result<u32, Malformed> {
    if count > 0 { Ok(count) } else { Err(bad(field, &count, &"at least 1")) }
}

/// The number of a partition.
pub(super) fn partition(field: &str, partition: u32) -> Result<u32, Malformed> {
    if partition < MAX_PARTITIONS {
        Ok(partition)
    } else {
        Err(bad(field, &partition, &format_args!("a partition below {MAX_PARTITIONS}")))
    }
}

/// A count of partitions.
pub(super) fn partitions(field: &str, partitions: u32) -> Result<u32, Malformed> {
    if (1..=MAX_PARTITIONS).contains(&partitions) {
        Ok(partitions)
    } else {
        Err(bad(field, &partitions, &format_args!("1 to {MAX_PARTITIONS} partitions")))
    }
}

/// A count of bytes, rows or milliseconds of one task.
pub(super) fn quantity(field: &str, quantity: u64) -> Result<u64, Malformed> {
    if quantity <= MAX_QUANTITY {
        Ok(quantity)
    } else {
        Err(bad(field, &quantity, &format_args!("at most {MAX_QUANTITY}")))
    }
}

/// Configuration, within the bounds that [`conf::Conf`] keeps.
pub(super) fn conf(field: &str, conf: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Malformed> {
    conf::bounds(&conf).map_err(|e| Malformed(format!("{field}: {e}")))?;
    Ok(conf)
}
