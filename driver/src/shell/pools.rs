//! The pools of an application, as `spark.scheduler.allocation.file` sets them up.
//!
//! The file is Spark's `fairscheduler.xml`:
//!
//! ```xml
//! <allocations>
//!   <pool name="reports">
//!     <schedulingMode>FAIR</schedulingMode>
//!     <weight>2</weight>
//!     <minShare>4</minShare>
//!   </pool>
//! </allocations>
//! ```

use super::Error;
use crate::machine::{Pool, Pools};
use hearth_core::conf::{Conf, SchedulingMode, keys};
use serde::Deserialize;
use std::{fs, path::Path};

#[derive(Deserialize)]
struct Allocations {
    #[serde(rename = "pool", default)]
    pools: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "schedulingMode")]
    mode: Option<String>,
    weight: Option<u32>,
    #[serde(rename = "minShare")]
    min_share: Option<u32>,
}

impl Pools {
    /// As configured.
    pub(super) fn from_conf(conf: &Conf) -> Result<Self, Error> {
        let mut pools = Self { mode: conf.get(&keys::SCHEDULER_MODE), ..Self::default() };
        if let Some(file) = conf.get(&keys::SCHEDULER_ALLOCATION_FILE) {
            pools.named = read(&file).map_err(|reason| Error::Pools { file: file.clone(), reason })?;
        }
        Ok(pools)
    }
}

fn read(file: &Path) -> Result<std::collections::BTreeMap<String, Pool>, String> {
    let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
    let allocations: Allocations = quick_xml::de::from_str(&text).map_err(|e| e.to_string())?;
    let pool = |entry: Entry| {
        let Entry { name, mode, weight, min_share } = entry;
        let mode = match mode.as_deref() {
            None | Some("FIFO") => SchedulingMode::Fifo,
            Some("FAIR") => SchedulingMode::Fair,
            Some(other) => return Err(format!("pool {name:?}: schedulingMode {other:?} is neither FIFO nor FAIR")),
        };
        let weight = weight.unwrap_or(1);
        if weight == 0 {
            return Err(format!("pool {name:?}: its weight is 0; it must be at least 1"));
        }
        Ok((name, Pool { mode, weight, min_share: min_share.unwrap_or(0) }))
    };
    allocations.pools.into_iter().map(pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(xml: &str) -> Result<Pools, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fairscheduler.xml");
        fs::write(&file, xml).unwrap();
        let pairs = [("spark.scheduler.mode", "FAIR"), ("spark.scheduler.allocation.file", file.to_str().unwrap())];
        Pools::from_conf(&Conf::from_pairs(pairs).unwrap()).map_err(|e| e.to_string())
    }

    /// The file is the example of Spark's page on job scheduling.
    #[test]
    fn the_file_is_that_of_spark() {
        let read = pools(
            r#"<?xml version="1.0"?>
            <allocations>
              <pool name="production">
                <schedulingMode>FAIR</schedulingMode>
                <weight>1</weight>
                <minShare>2</minShare>
              </pool>
              <pool name="test">
                <schedulingMode>FIFO</schedulingMode>
                <weight>2</weight>
                <minShare>3</minShare>
              </pool>
              <pool name="plain"/>
            </allocations>"#,
        )
        .unwrap();
        assert_eq!(read.mode, SchedulingMode::Fair);
        let pool = |name: &str| read.named[name];
        assert_eq!(pool("production"), Pool { mode: SchedulingMode::Fair, weight: 1, min_share: 2 });
        assert_eq!(pool("test"), Pool { mode: SchedulingMode::Fifo, weight: 2, min_share: 3 });
        assert_eq!(pool("plain"), Pool::default());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (xml, words) in [
            ("<allocations><pool name='a'><weight>0</weight></pool></allocations>", "its weight is 0"),
            ("<allocations><pool name='a'><schedulingMode>LIFO</schedulingMode></pool></allocations>", "\"LIFO\""),
            ("<allocations><pool name='a'><wieght>1</wieght></pool></allocations>", "wieght"),
            ("<allocations><pool><weight>1</weight></pool></allocations>", "name"),
            ("no xml", ""),
        ] {
            let error = pools(xml).unwrap_err();
            assert!(error.contains("fairscheduler.xml") && error.contains(words), "{error}");
        }
        let missing = Conf::from_pairs([("spark.scheduler.allocation.file", "/nowhere.xml")]).unwrap();
        assert!(Pools::from_conf(&missing).unwrap_err().to_string().contains("/nowhere.xml"));
    }
}
