//! What processes wrote down at their failpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// One firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired(BTreeMap<String, String>);

impl Fired {
    fn parse(line: &str) -> Self {
        let pairs = line.split(' ').filter_map(|word| word.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// What was known there; nothing of what was not.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.get("pid").parse().expect("a firing has a process")
    }

    fn is_note(&self) -> bool {
        self.get("deed") == "Note"
    }

    /// Whether it was something that goes wrong. A pause is none.
    fn is_fault(&self) -> bool {
        !self.is_note() && !self.get("deed").starts_with("Sleep")
    }

    /// Milliseconds since the epoch.
    pub fn at(&self) -> u64 {
        self.get("at").parse().expect("a firing has a time")
    }

    /// The application, by the directory of its executor.
    fn application(&self) -> &str {
        self.get("dir").split('/').find(|part| part.starts_with("app-")).unwrap_or("")
    }

    /// Which partition of which stage.
    fn place(&self) -> (String, String, String) {
        let get = |key| self.get(key).to_owned();
        (self.application().to_owned(), get("stage"), get("partition"))
    }
}

/// All firings, in the order of their times.
pub(super) fn read(dir: &Path) -> Vec<Fired> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let fired = files.filter(|file| file.file_name().to_string_lossy().starts_with("fired-"));
    let mut fired: Vec<_> =
        fired.map(|file| Fired::parse(&fs::read_to_string(file.path()).expect("a firing is there whole"))).collect();
    fired.sort_by_key(Fired::at);
    fired
}

/// Firings that were faults.
pub(super) fn faults(all: &[Fired]) -> Vec<Fired> {
    all.iter().filter(|fired| fired.is_fault()).cloned().collect()
}

/// Attempts that started beyond the first of each partition.
pub(super) fn run_again(all: &[Fired]) -> usize {
    let started: Vec<_> = notes(all, "task.start").map(Fired::place).collect();
    started.len() - started.iter().collect::<BTreeSet<_>>().len()
}

/// Attempts that had started and not ended on these processes.
pub(super) fn lost_with(all: &[Fired], pids: &BTreeSet<u32>) -> usize {
    let of = |point| {
        let on = notes(all, point).filter(|fired| pids.contains(&fired.pid()));
        on.map(|fired| (fired.application().to_owned(), fired.get("task").to_owned())).collect::<BTreeSet<_>>()
    };
    of("task.start").difference(&of("task.end")).count()
}

/// Attempts that had started on these processes, whether they had ended or not.
pub(super) fn written_by(all: &[Fired], pids: &BTreeSet<u32>) -> usize {
    notes(all, "task.start").filter(|fired| pids.contains(&fired.pid())).count()
}

/// Attempts of the stage that had most.
pub(super) fn attempts(all: &[Fired]) -> u32 {
    let of = notes(all, "task.start").map(|fired| fired.get("stage_attempt").parse::<u32>().expect("a number") + 1);
    of.max().unwrap_or(0)
}

/// How often each partition of a stage was started.
pub(super) fn starts(all: &[Fired]) -> BTreeMap<(u32, u32), usize> {
    let mut starts = BTreeMap::new();
    for fired in notes(all, "task.start") {
        let number = |key| fired.get(key).parse().expect("a number");
        *starts.entry((number("stage"), number("partition"))).or_default() += 1;
    }
    starts
}

fn notes<'a>(all: &'a [Fired], point: &'static str) -> impl Iterator<Item = &'a Fired> {
    all.iter().filter(move |fired| fired.is_note() && fired.get("point") == point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(point: &str, pid: u32, task: u32, partition: u32) -> Fired {
        Fired::parse(&format!(
            "point={point} deed=Note pid={pid} at=1 task={task} stage=0 partition={partition} dir=/x/app-1/0"
        ))
    }

    #[test]
    fn what_ran_again_and_what_was_lost_are_counted() {
        let all = [
            note("task.start", 1, 10, 0),
            note("task.start", 2, 11, 1),
            note("task.end", 2, 11, 1),
            note("task.start", 2, 12, 2),
            Fired::parse("point=x deed=Kill pid=2 at=2"),
            note("task.start", 1, 13, 2),
        ];
        assert_eq!(run_again(&all), 1);
        assert_eq!(lost_with(&all, &BTreeSet::from([2])), 1);
        assert_eq!(faults(&all).len(), 1);
        assert_eq!(starts(&all)[&(0, 2)], 2);
    }
}
