//! The memory of an engine: of its process and of all that it started.
//!
//! What is told is the sum of each process's own highest resident memory (`VmHWM`), which the kernel keeps, so that nothing has
//! to be sampled while a query runs. Memory that processes share counts in each, and highest moments may lie apart: it is an
//! upper bound of what the engine held at once. It is read after every run; a process that is over by then does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// The highest memory of each process that an engine has had.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    /// By id: what it is, and KiB.
    processes: BTreeMap<i32, (String, u64)>,
}

/// The memory of all processes of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    /// What they are, such as `executor`.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: usize,
    /// Their sum.
    pub(crate) mib: u64,
}

impl Peak {
    /// Looks at these processes and everything below them.
    pub(crate) fn look(&mut self, roots: impl IntoIterator<Item = i32>) {
        for pid in tree(roots.into_iter().collect(), &parents()) {
            // It may end while it is looked at.
            if let Some(kib) = high_water_kib(pid) {
                let kind = fs::read(format!("/proc/{pid}/cmdline")).map(|line| kind(&line)).unwrap_or_default();
                self.processes.insert(pid, (kind, kib));
            }
        }
    }

    /// All together, in MiB.
    pub(crate) fn mib(&self) -> u64 {
        self.processes.values().map(|(_, kib)| kib).sum::<u64>() >> 10
    }

    /// By kind of process.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let mut kinds: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for (kind, kib) in self.processes.values() {
            let (count, sum) = kinds.entry(kind).or_default();
            (*count, *sum) = (*count + 1, *sum + kib);
        }
        let share = |(kind, (count, kib)): (&str, (usize, u64))| Share { kind: kind.to_owned(), count, mib: kib >> 10 };
        kinds.into_iter().map(share).collect()
    }
}

/// The processes of one kind below this one.
pub(crate) fn below(root: i32, wanted: &str) -> Vec<i32> {
    let is = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| kind(&line) == wanted);
    tree(BTreeSet::from([root]), &parents()).into_iter().filter(is).collect()
}

/// Every process's parent.
fn parents() -> BTreeMap<i32, i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parent = |pid: i32| field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "PPid:")?.try_into().ok();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect()
}

/// The roots and everything below them.
fn tree(roots: BTreeSet<i32>, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let mut found = roots;
    loop {
        let children: Vec<_> =
            parents.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid)).collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children.into_iter().map(|(pid, _)| *pid));
    }
}

fn high_water_kib(pid: i32) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// What a process is, by its arguments.
fn kind(cmdline: &[u8]) -> String {
    let line = String::from_utf8_lossy(cmdline);
    let words: Vec<&str> = line.split('\0').collect();
    let program = words[0].rsplit('/').next().unwrap_or_default();
    let role = words.get(1).copied().unwrap_or_default();
    match program {
        "bench" if role == "serve" => "driver".to_owned(),
        "hearth" | "bench" => role.to_owned(),
        "java" => words.iter().find_map(|word| spark_role(word)).unwrap_or(program).to_owned(),
        other => other.to_owned(),
    }
}

/// What a process of Spark is, by its main class.
fn spark_role(class: &str) -> Option<&'static str> {
    Some(match class.strip_prefix("org.apache.spark.")? {
        "deploy.master.Master" => "master",
        "deploy.worker.Worker" => "worker",
        "deploy.SparkSubmit" => "driver",
        "executor.CoarseGrainedExecutorBackend" => "executor",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_child_are_seen() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut peak = Peak::default();
        let own = i32::try_from(std::process::id()).unwrap();
        peak.look([own]);
        child.kill().unwrap();
        child.wait().unwrap();
        let shares = peak.shares();
        // The child may not have become `sleep` yet.
        assert!(peak.processes.contains_key(&i32::try_from(child.id()).unwrap()), "{shares:?}");
        assert!(peak.processes[&own].1 > 1000);
        assert!(peak.mib() >= shares.iter().map(|share| share.mib).sum());
    }

    #[test]
    fn a_tree_is_all_generations() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 5)]);
        assert_eq!(tree(BTreeSet::from([2]), &parents), BTreeSet::from([2, 3, 4]));
        assert_eq!(tree(BTreeSet::from([2, 6]), &parents), BTreeSet::from([2, 3, 4, 6]));
    }

    #[test]
    fn processes_have_kinds() {
        for (line, name) in [
            ("/x/hearth\0executor\0app-1\0", "executor"),
            ("/x/bench\0serve\0", "driver"),
            ("/usr/bin/java\0-cp\0x\0org.apache.spark.executor.CoarseGrainedExecutorBackend\0", "executor"),
            ("/usr/bin/java\0-version\0", "java"),
            ("/venv/bin/python\0peer.py\0", "python"),
        ] {
            assert_eq!(kind(line.as_bytes()), name);
        }
    }
}
