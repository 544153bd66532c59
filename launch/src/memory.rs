//! How much memory a child had, and whether the kernel killed it for that.
//!
//! The kernel tells nobody why it sent SIGKILL. It counts, though: in the control group of the process that it killed, and
//! for the whole machine. A child that dies of SIGKILL just when such a count grows was killed for memory, if nobody else is
//! counted there; else that is likely, and no more is said. How much a process had at its peak is known as long as it lives, so
//! that is looked up again and again.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the counts are looked up.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
/// How many counts are kept of a process that has memory: the oldest is from before anything that can have killed one which is
/// gone now. Who is killed lets go of its memory at once; a second later it was somebody else that was counted.
const KEPT: usize = 3;
/// For how many looks a process may be without memory and not be gone: a large one takes a while to be torn down. The counts
/// stay those of before.
const TEARDOWN: usize = 60;

/// Whether the kernel killed for memory when a child died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelKill {
    /// No.
    #[default]
    None,
    /// It killed a process of this machine, whose control groups do not count.
    OnMachine,
    /// It killed a process of the child's control group, in which there are others.
    InGroup,
    /// It killed the child, which had its control group for itself.
    Child,
}

/// What a child's end was, as far as memory goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryEnd {
    /// The most that it had at once, in KiB, up to half a second before its end.
    pub peak_kib: Option<u64>,
    /// What it and those in its control group could have together, in KiB; nothing where only the machine has an end.
    pub limit_kib: Option<u64>,
    /// The machine's memory, in KiB.
    pub machine_kib: Option<u64>,
    /// Whether the kernel killed for memory just then.
    pub kernel: KernelKill,
}

/// Where the system says such things; tests put files there.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) proc: PathBuf,
    pub(crate) groups: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { proc: "/proc".into(), groups: "/sys/fs/cgroup".into() }
    }
}

/// Processes that were killed for memory so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kills {
    group: Option<u64>,
    machine: Option<u64>,
}

/// A child's control group, as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    events: PathBuf,
    limit: PathBuf,
    processes: PathBuf,
}

impl Group {
    fn of(dir: &Path, events: &str, limit: &str) -> Self {
        Self { events: dir.join(events), limit: dir.join(limit), processes: dir.join("cgroup.procs") }
    }
}

/// Looks after one child.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    system: System,
    pid: u32,
    process: PathBuf,
    group: Option<Group>,
    peak_kib: Option<u64>,
    kills: VecDeque<Kills>,
    /// Looks since it was seen with memory.
    without: usize,
}

impl MemoryWatch {
    pub(crate) fn new(system: System, pid: u32) -> Self {
        let process = system.proc.join(pid.to_string());
        let mut watch = Self { system, pid, process, group: None, peak_kib: None, kills: VecDeque::new(), without: 0 };
        watch.look();
        watch
    }

    /// To be called while the child lives.
    pub(crate) fn look(&mut self) {
        let kib = number_of(&self.process.join("status"), "VmHWM:");
        self.peak_kib = self.peak_kib.max(kib);
        self.without = if kib.is_some() { 0 } else { self.without + 1 };
        if self.peak_kib.is_some() && (1..=TEARDOWN).contains(&self.without) {
            return;
        }
        let group = fs::read_to_string(self.process.join("cgroup")).ok();
        let group = group.and_then(|text| group_of(&text, &self.system.groups));
        // Of a process that is about to be gone the system says nothing, or another group.
        if group.is_some() && group != self.group && self.peak_kib.is_some() {
            self.group = group;
            self.kills.clear();
        }
        if self.kills.len() == KEPT {
            self.kills.pop_front();
        }
        self.kills.push_back(self.kills_now());
    }

    /// To be called once it is dead.
    pub(crate) fn end(&self) -> MemoryEnd {
        let before = self.kills.front().copied();
        let now = self.kills_now();
        let grew = |before: Option<u64>, now: Option<u64>| Some(now? > before?);
        let kernel = match before.map(|before| (grew(before.group, now.group), grew(before.machine, now.machine))) {
            Some((Some(true), _)) if self.is_alone() => KernelKill::Child,
            Some((Some(true), _)) => KernelKill::InGroup,
            Some((None, Some(true))) => KernelKill::OnMachine,
            _ => KernelKill::None,
        };
        let limit = self.group.as_ref().and_then(|group| fs::read_to_string(&group.limit).ok());
        let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
        let machine_kib = number_of(&self.system.proc.join("meminfo"), "MemTotal:");
        // Without a limit version 1 gives the largest number of pages, and version 2 the word "max".
        let limit_kib = limit.map(|bytes| bytes >> 10).filter(|kib| machine_kib.is_none_or(|machine| *kib < machine));
        MemoryEnd { peak_kib: self.peak_kib, limit_kib, machine_kib, kernel }
    }

    /// Whether nobody else is in the child's control group.
    fn is_alone(&self) -> bool {
        let processes = self.group.as_ref().and_then(|group| fs::read_to_string(&group.processes).ok());
        let own = self.pid.to_string();
        processes.is_some_and(|pids| pids.split_whitespace().all(|pid| pid == own))
    }

    fn kills_now(&self) -> Kills {
        let group = self.group.as_ref().and_then(|group| number_of(&group.events, "oom_kill"));
        Kills { group, machine: number_of(&self.system.proc.join("vmstat"), "oom_kill") }
    }
}

/// The control group with a say in memory: of version 1, or of version 2.
fn group_of(text: &str, groups: &Path) -> Option<Group> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let below = |root: PathBuf, path: &str| root.join(path.trim_start_matches('/'));
    if let Some((_, path)) = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory")) {
        let group = below(groups.join("memory"), path);
        return Some(Group::of(&group, "memory.oom_control", "memory.limit_in_bytes"));
    }
    let (_, path) = lines().find(|(controllers, _)| controllers.is_empty())?;
    let group = below(groups.to_owned(), path);
    Some(Group::of(&group, "memory.events", "memory.max"))
}

/// The number behind a word at a line's begin.
fn number_of(path: &Path, word: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next()? == word).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake {
        dir: tempfile::TempDir,
        cgroup: &'static str,
        events: &'static str,
        limit: &'static str,
    }

    impl Fake {
        fn new(cgroup: &'static str, events: &'static str, limit: &'static str) -> Self {
            let fake = Self { dir: tempfile::tempdir().unwrap(), cgroup, events, limit };
            fake.write("proc/7/status", "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t  2048 kB\n");
            fake.write("proc/7/cgroup", cgroup);
            fake.write("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
            fake.write("proc/vmstat", "oom_kill_x 9\noom_kill 3\n");
            fake
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn watch(&self) -> MemoryWatch {
            let system = System { proc: self.dir.path().join("proc"), groups: self.dir.path().join("groups") };
            MemoryWatch::new(system, 7)
        }
    }

    const V1: &str = "5:devices:/\n4:cpu,memory:/a/b\n0::/\n";
    const V2: &str = "0::/a/b\n";

    #[test]
    fn a_kill_in_the_childs_group_is_seen_in_both_versions() {
        for (fake, none, one, limit) in [
            (
                Fake::new(V1, "groups/memory/a/b/memory.oom_control", "groups/memory/a/b/memory.limit_in_bytes"),
                "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
                "9223372036854771712\n",
            ),
            (
                Fake::new(V2, "groups/a/b/memory.events", "groups/a/b/memory.max"),
                "low 0\noom 4\noom_kill 0\n",
                "low 0\noom 5\noom_kill 1\n",
                "max\n",
            ),
        ] {
            fake.write(fake.events, none);
            fake.write(fake.limit, limit);
            let mut watch = fake.watch();
            let alive =
                MemoryEnd { peak_kib: Some(2048), limit_kib: None, machine_kib: Some(16384), kernel: KernelKill::None };
            assert_eq!(watch.end(), alive, "{}", fake.cgroup);
            fake.write("proc/vmstat", "oom_kill 4\n");
            assert_eq!(watch.end().kernel, KernelKill::None, "somebody else's: the group says so");
            fake.write("proc/7/status", "VmHWM: 4096 kB\n");
            watch.look();
            // The dead have neither memory nor a group.
            fake.write("proc/7/status", "State: Z\n");
            fake.write("proc/7/cgroup", "4:memory:/\n0::/\n");
            fake.write(fake.events, one);
            fake.write(fake.limit, "8388608\n");
            let end = MemoryEnd { peak_kib: Some(4096), limit_kib: Some(8192), kernel: KernelKill::InGroup, ..alive };
            assert_eq!(watch.end(), end, "{}: who was there is not known", fake.cgroup);
            let processes = Path::new(fake.events).with_file_name("cgroup.procs");
            for (pids, kernel) in [("6\n7\n", KernelKill::InGroup), ("7\n", KernelKill::Child), ("", KernelKill::Child)]
            {
                fake.write(processes.to_str().unwrap(), pids);
                assert_eq!(watch.end().kernel, kernel, "{}: {pids:?}", fake.cgroup);
            }
        }
    }

    #[test]
    fn without_a_group_that_counts_the_machine_says() {
        let fake = Fake::new("0::/\n", "", "");
        let watch = fake.watch();
        assert_eq!(watch.end().kernel, KernelKill::None);
        fake.write("proc/vmstat", "oom_kill 4\n");
        assert_eq!(watch.end().kernel, KernelKill::OnMachine);
    }

    #[test]
    fn a_kill_of_a_second_ago_is_somebody_elses() {
        let fake = Fake::new("0::/\n", "", "");
        let mut watch = fake.watch();
        fake.write("proc/vmstat", "oom_kill 4\n");
        assert!(INTERVAL * 3 <= Duration::from_millis(1500));
        (0..3).for_each(|_| watch.look());
        assert_eq!(watch.end().kernel, KernelKill::None);
    }

    #[test]
    fn a_process_that_takes_long_to_be_torn_down_was_killed_when_it_lost_its_memory() {
        let fake = Fake::new("0::/\n", "", "");
        let mut watch = fake.watch();
        fake.write("proc/vmstat", "oom_kill 4\n");
        watch.look();
        fake.write("proc/7/status", "State: X\n");
        (0..TEARDOWN).for_each(|_| watch.look());
        assert_eq!(watch.end().kernel, KernelKill::OnMachine);
        // One without memory that lives on for good.
        (0..KEPT).for_each(|_| watch.look());
        assert_eq!(watch.end().kernel, KernelKill::None);
    }

    #[test]
    fn a_system_that_says_nothing_is_no_error() {
        let nowhere = System { proc: "/nowhere".into(), groups: "/nowhere".into() };
        let mut watch = MemoryWatch::new(nowhere, 7);
        watch.look();
        assert_eq!(watch.end(), MemoryEnd::default());
    }

    #[test]
    fn this_process_has_memory() {
        let end = MemoryWatch::new(System::default(), std::process::id()).end();
        assert!(end.peak_kib.unwrap() > 500 && end.machine_kib.unwrap() > 10_000, "{end:?}");
    }
}
