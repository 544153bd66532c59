//! Configuration: one table of [`keys`], values checked when they are set.
//!
//! ```text
//! conf/hearth-defaults.conf  <  --properties-file  <  --conf  <  flags        (Layers::build)
//!                                     |
//!                                   Conf  --pairs-->  registration, launch  --from_pairs-->  Conf of an executor
//!                                     |
//!                              get(&keys::X): T
//! ```
//!
//! Keys that Spark has keep Spark's name, meaning and unit; what is Hearth's own is `hearth.*`. A name that begins with
//! `hearth.` and is not in the table is an error, since it can only be a mistake; one that begins with `spark.` is kept,
//! with one warning, since programs written for Spark set many.
//!
//! Invariant: a [`Conf`] holds no value that its key's type does not take, so [`Conf::get`] cannot fail.

pub mod duration;
mod error;
mod key;
pub mod keys;
mod layers;
pub mod master_url;
mod nearest;
mod properties;
mod quantity;
pub mod secret;
pub mod size;
mod value;

#[cfg(test)]
mod docs;

pub use error::{ConfError, Warning};
pub use key::{Entry, Key, Reader};
pub use layers::Layers;
pub use value::{Fuse, RangeSort, SchedulingMode, ShufflePartitions};

use std::{collections::BTreeMap, fmt};

/// Keys that may be set: several times what Spark has in all.
const MAX_PAIRS: usize = 4096;
/// Bytes of a name; the longest of Spark's have about 80.
const MAX_NAME: usize = 256;
/// Bytes of a value.
const MAX_VALUE: usize = 64 << 10;
/// Bytes of all names and values: a configuration travels with each registration and each launch of an executor.
const MAX_BYTES: usize = 1 << 20;

/// A checked configuration: what was set, over the defaults of the table.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Conf {
    pairs: BTreeMap<String, String>,
}

impl Conf {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`Conf::pairs`] of another process gave.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut conf = Self::new();
        for (name, value) in pairs {
            conf.set(name.as_ref(), value.as_ref())?;
        }
        conf.check_together()?;
        Ok(conf)
    }

    /// Sets a key, over what it had before. Gives a warning the first time that a key is set which Hearth does not have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Option<Warning>, ConfError> {
        let value = value.trim();
        if name.len() > MAX_NAME || value.len() > MAX_VALUE {
            return Err(ConfError::too_long(name, value));
        }
        let warning = match keys::find(name) {
            Some(entry) => {
                (entry.check)(value).map_err(|expected| ConfError::bad_value(name, value, expected))?;
                None
            }
            None if name.starts_with("hearth.") => return Err(ConfError::unknown(name)),
            None if keys::is_of_family(name) => None,
            None if name.starts_with("spark.") => (!self.pairs.contains_key(name)).then(|| Warning::unsupported(name)),
            // Nobody can ask for it, so it is not kept.
            None => return Ok(Some(Warning::foreign(name))),
        };
        let before = self.pairs.insert(name.to_owned(), value.to_owned());
        if let Err(error) = bounds(self.pairs()) {
            match before {
                Some(before) => self.pairs.insert(name.to_owned(), before),
                None => self.pairs.remove(name),
            };
            return Err(error);
        }
        Ok(warning)
    }

    /// The value of a key: what was set, else its default.
    pub fn get<T>(&self, key: &Key<T>) -> T {
        let text = self.pairs.get(key.name()).map_or(key.default(), String::as_str);
        key.parse(text).unwrap_or_else(|e| unreachable!("{}={text:?} was checked when it was set: {e}", key.name()))
    }

    /// Whether a key was set, to whatever value.
    pub fn is_set<T>(&self, key: &Key<T>) -> bool {
        self.pairs.contains_key(key.name())
    }

    /// What was set, in the order of the names.
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// The same without secrets: what may be shown, and what others than the driver may know.
    pub fn public_pairs(&self) -> BTreeMap<String, String> {
        let public = self.pairs.iter().filter(|(name, _)| !secret::is_secret(name));
        public.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Refuses values that are legal alone and not together.
    pub fn check_together(&self) -> Result<(), ConfError> {
        let (interval, timeout) = (self.get(&keys::EXECUTOR_HEARTBEAT_INTERVAL), self.get(&keys::NETWORK_TIMEOUT));
        if interval >= timeout {
            return Err(self.conflict(
                &keys::EXECUTOR_HEARTBEAT_INTERVAL,
                &keys::NETWORK_TIMEOUT,
                "the first must be shorter than the second, or living executors count as lost",
            ));
        }
        if let (Some(cores), Some(max)) = (self.get(&keys::EXECUTOR_CORES), self.get(&keys::CORES_MAX))
            && cores > max
        {
            return Err(self.conflict(
                &keys::EXECUTOR_CORES,
                &keys::CORES_MAX,
                "the first must not be above the second, or no executor can ever be granted",
            ));
        }
        Ok(())
    }

    fn conflict<A, B>(&self, a: &Key<A>, b: &Key<B>, why: &'static str) -> ConfError {
        let show =
            |name: &'static str, default: &str| (name, self.pairs.get(name).map_or(default, String::as_str).to_owned());
        ConfError::Conflict { a: show(a.name(), a.default()), b: show(b.name(), b.default()), why }
    }
}

impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, value| if secret::is_secret(name) { secret::REDACTED } else { value };
        f.debug_map().entries(self.pairs.iter().map(|(name, value)| (name, shown(name, value)))).finish()
    }
}

/// Checks the number and the lengths of names and values, wherever they come from.
pub(crate) fn bounds(pairs: &BTreeMap<String, String>) -> Result<(), ConfError> {
    if pairs.len() > MAX_PAIRS {
        return Err(ConfError::TooMuch { what: "keys", limit: MAX_PAIRS });
    }
    let mut bytes = 0;
    for (name, value) in pairs {
        if name.len() > MAX_NAME || value.len() > MAX_VALUE {
            return Err(ConfError::too_long(name, value));
        }
        bytes += name.len() + value.len();
    }
    if bytes > MAX_BYTES {
        return Err(ConfError::TooMuch { what: "bytes of names and values", limit: MAX_BYTES });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_set_stands_over_the_defaults() {
        let mut conf = Conf::new();
        assert_eq!(conf.get(&keys::EXECUTOR_MEMORY), 1024);
        assert_eq!(conf.get(&keys::CORES_MAX), None);
        assert!(!conf.is_set(&keys::EXECUTOR_MEMORY));
        assert_eq!(conf.set("spark.executor.memory", "2g"), Ok(None));
        assert_eq!(conf.set("spark.cores.max", " 8 "), Ok(None));
        assert_eq!(conf.get(&keys::EXECUTOR_MEMORY), 2048);
        assert_eq!(conf.get(&keys::CORES_MAX), Some(8));
        assert!(conf.is_set(&keys::EXECUTOR_MEMORY));
        // Empty is unset, for a key that may be.
        assert_eq!(conf.set("spark.cores.max", ""), Ok(None));
        assert_eq!(conf.get(&keys::CORES_MAX), None);
    }

    #[test]
    fn pairs_make_the_same_configuration_elsewhere() {
        let mut conf = Conf::new();
        conf.set("spark.network.timeout", "90").unwrap();
        conf.set("spark.hadoop.fs.x", "y").unwrap();
        let there = Conf::from_pairs(conf.pairs()).unwrap();
        assert_eq!(there, conf);
        assert_eq!(there.get(&keys::NETWORK_TIMEOUT), Duration::from_secs(90));
    }

    #[test]
    fn unknown_names_are_told_apart() {
        let mut conf = Conf::new();
        let error = conf.set("hearth.sql.batchsize", "9").unwrap_err();
        assert_eq!(
            error.to_string(),
            "hearth.sql.batchsize is not a configuration key; did you mean hearth.sql.batchSize?"
        );
        assert!(conf.pairs().is_empty());

        let warning = conf.set("spark.eventLog.enabled", "true").unwrap().unwrap();
        assert_eq!(warning.to_string(), "spark.eventLog.enabled is not implemented and has no effect");
        // One warning a key; it is kept for those who ask for it by name.
        assert_eq!(conf.set("spark.eventLog.enabled", "false"), Ok(None));
        assert_eq!(conf.pairs()["spark.eventLog.enabled"], "false");

        let warning = conf.set("spark.executor.memroy", "1g").unwrap().unwrap();
        assert!(warning.to_string().ends_with("did you mean spark.executor.memory?"), "{warning}");

        let warning = conf.set("java.io.tmpdir", "/x").unwrap().unwrap();
        assert!(warning.to_string().starts_with("java.io.tmpdir is ignored"), "{warning}");
        assert!(!conf.pairs().contains_key("java.io.tmpdir"));
    }

    #[test]
    fn a_bad_value_changes_nothing_and_says_what_is_expected() {
        let mut conf = Conf::new();
        conf.set("spark.executor.memory", "2g").unwrap();
        let error = conf.set("spark.executor.memory", "lots").unwrap_err();
        assert_eq!(
            error.to_string(),
            "spark.executor.memory=\"lots\": expected a size of at least 1m, such as 512m or 2g; a plain number is MiB"
        );
        assert_eq!(conf.get(&keys::EXECUTOR_MEMORY), 2048);
    }

    #[test]
    fn bad_values_are_refused_by_every_kind_of_key() {
        let table = [
            ("spark.app.name", ["", " ", "a\nb"].as_slice()),
            ("spark.master", &["", "yarn", "local[0]", "hearth://"]),
            ("spark.cores.max", &["0", "-1", "1.5", "many", "4294967296", "+1"]),
            ("spark.executor.cores", &["0", "65537"]),
            ("spark.executor.memory", &["0", "1k", "1.5g", "-1g", "99999999p", "g"]),
            ("spark.executor.instances", &["0", "x"]),
            ("spark.sql.shuffle.partitions", &["0", "automatic", "1000001", ""]),
            ("spark.shuffle.service.enabled", &["yes", "1", ""]),
            ("spark.shuffle.io.retryWait", &["-1s", "5x", "", "1.5s", "999999d"]),
            ("spark.network.timeout", &["0", "0s"]),
            ("spark.driver.host", &["", "a b", "http://x"]),
            ("spark.driver.port", &["-1", "65536", "http"]),
            ("spark.driver.maxResultSize", &["x", "-1"]),
            ("spark.local.dir", &["relative", "/a/../b"]),
            ("hearth.sql.batchSize", &["0", "1000000000"]),
        ];
        for (name, values) in table {
            for value in values {
                let error = Conf::new().set(name, value).expect_err(&format!("{name}={value}")).to_string();
                assert!(error.contains(name) && error.contains("expected ") && error.contains("such as "), "{error}");
            }
        }
    }

    #[test]
    fn secrets_are_kept_and_not_shown() {
        let mut conf = Conf::new();
        for name in ["spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.bucket.b.secret.key"] {
            assert_eq!(conf.set(name, "hunter2"), Ok(None), "{name}");
        }
        conf.set("spark.hadoop.fs.s3a.endpoint", "http://127.0.0.1:9000").unwrap();
        assert_eq!(conf.get(&keys::S3A_SECRET_KEY).as_deref(), Some("hunter2"));
        assert!(!format!("{conf:?}").contains("hunter2"));
        assert_eq!(conf.public_pairs().into_keys().collect::<Vec<_>>(), ["spark.hadoop.fs.s3a.endpoint"]);
        let error = conf.set("spark.hadoop.fs.s3a.secret.key", "hunter\n2").unwrap_err().to_string();
        assert!(error.contains("redacted") && !error.contains("hunter"), "{error}");
    }

    #[test]
    fn some_values_exclude_one_another() {
        let together = |pairs: &[(&str, &str)]| Conf::from_pairs(pairs.iter().copied());
        let error = together(&[("spark.executor.cores", "4"), ("spark.cores.max", "2")]).unwrap_err().to_string();
        assert!(error.starts_with("spark.executor.cores=4 and spark.cores.max=2"), "{error}");
        let error = together(&[("spark.network.timeout", "5s")]).unwrap_err().to_string();
        assert!(error.starts_with("spark.executor.heartbeatInterval=10s and spark.network.timeout=5s"), "{error}");
        assert!(together(&[("spark.executor.cores", "2"), ("spark.cores.max", "2")]).is_ok());
    }

    #[test]
    fn a_configuration_is_bounded() {
        let mut conf = Conf::new();
        assert!(conf.set(&format!("spark.{}", "x".repeat(MAX_NAME)), "1").is_err());
        assert!(conf.set("spark.x", &"x".repeat(MAX_VALUE + 1)).is_err());
        let large = "x".repeat(MAX_VALUE - 100);
        let mut set = 0;
        while conf.set(&format!("spark.x{set}"), &large).is_ok() {
            set += 1;
            assert!(set < 100, "the bound on all bytes holds");
        }
        // What was refused has left no trace.
        assert_eq!(conf.pairs().len(), set);
        assert_eq!(bounds(conf.pairs()), Ok(()));
    }
}
