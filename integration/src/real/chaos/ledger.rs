//! What processes wrote down at their failpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// News of an attempt's end may die with its process, or come after the orders that follow from something else, for so many
/// milliseconds.
const NEWS: u64 = 250;

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

    fn number<N: std::str::FromStr>(&self, key: &str) -> N {
        self.get(key).parse().unwrap_or_else(|_| panic!("{key} of {self:?} is no number"))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.number("pid")
    }

    /// Milliseconds since the epoch.
    pub fn at(&self) -> u64 {
        self.number("at")
    }

    fn is_note(&self) -> bool {
        self.get("deed") == "Note"
    }

    /// Whether it was something that goes wrong. A pause is none.
    fn is_fault(&self) -> bool {
        !self.is_note() && !self.get("deed").starts_with("Sleep")
    }

    /// Whether its process ended by it.
    fn is_deadly(&self) -> bool {
        ["Abort", "Segv", "Overflow", "Kill"].contains(&self.get("deed"))
    }

    /// The application, by the directory of its executor.
    pub(super) fn application(&self) -> &str {
        self.get("dir").split('/').find(|part| part.starts_with("app-")).unwrap_or("")
    }

    /// The worker, by its directory.
    pub(super) fn worker(&self) -> Option<usize> {
        self.get("dir").split('/').find_map(|part| part.strip_prefix("worker-")?.parse().ok())
    }

    /// The executor, by its directory.
    pub(super) fn executor(&self) -> Option<u32> {
        self.get("dir").rsplit('/').next()?.parse().ok()
    }

    /// Which attempt of a task.
    fn attempt(&self) -> (&str, &str) {
        (self.application(), self.get("task"))
    }

    /// Which partition of which stage.
    fn place(&self) -> (&str, u32, u32) {
        (self.application(), self.number("stage"), self.number("partition"))
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

/// What became of attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Attempts beyond the first of each partition.
    pub(super) run_again: usize,
    /// Attempts that were lost, or whose output was.
    pub(super) lost: usize,
    /// Attempts that began where nothing was lost.
    pub(super) groundless: Vec<Fired>,
}

/// Each attempt but the first of its partition has a ground: the one before it failed, or ended with its process, or was of an
/// attempt of its stage that was over; or `is_gone` says of its start that the fault took it or its output.
pub(super) fn account(all: &[Fired], is_gone: impl Fn(&Fired) -> bool) -> Account {
    let deaths: BTreeMap<u32, u64> = all.iter().filter(|f| f.is_deadly()).map(|f| (f.pid(), f.at())).collect();
    let ends: BTreeMap<_, _> = notes(all, "task.end").map(|end| (end.attempt(), end)).collect();
    let mut places: BTreeMap<_, Vec<&Fired>> = BTreeMap::new();
    for start in notes(all, "task.start") {
        places.entry(start.place()).or_default().push(start);
    }
    let is_lost = |start: &Fired| match (ends.get(&start.attempt()), deaths.get(&start.pid())) {
        (Some(end), _) if end.get("ok") == "false" => true,
        (Some(end), Some(death)) => end.at() + NEWS > *death,
        (Some(_), None) => false,
        (None, death) => death.is_some(),
    };
    let is_stale = |start: &Fired, next: &Fired| {
        next.number::<u32>("stage_attempt") > start.number("stage_attempt")
            && ends.get(&start.attempt()).is_none_or(|end| end.at() + NEWS > next.at())
    };
    let mut account = Account::default();
    for starts in places.values() {
        for (i, start) in starts.iter().enumerate() {
            let next = starts.get(i + 1);
            let lost = is_gone(start) || is_lost(start) || next.is_some_and(|next| is_stale(start, next));
            account.lost += usize::from(lost);
            account.run_again += usize::from(next.is_some());
            account.groundless.extend(next.filter(|_| !lost).map(|next| (*next).clone()));
        }
    }
    account
}

/// Attempts that had ended so long before this time that their news were heard.
pub(super) fn heard_before(all: &[Fired], at: u64) -> BTreeSet<String> {
    let ended = notes(all, "task.end").filter(|end| end.at().saturating_add(NEWS) <= at);
    ended.map(|end| end.get("task").to_owned()).collect()
}

/// Attempts that had begun at this time and not ended.
pub(super) fn under_way(all: &[Fired], at: u64) -> BTreeSet<String> {
    let begun = notes(all, "task.start").filter(|start| start.at() <= at + NEWS);
    let begun: BTreeSet<_> = begun.map(|start| start.get("task").to_owned()).collect();
    begun.difference(&heard_before(all, at)).cloned().collect()
}

/// Attempts of the stage that had most.
pub(super) fn attempts(all: &[Fired]) -> u32 {
    notes(all, "task.start").map(|fired| fired.number::<u32>("stage_attempt") + 1).max().unwrap_or(0)
}

/// How often each partition of each stage was started.
pub(super) fn starts(all: &[Fired]) -> BTreeMap<(u32, u32), usize> {
    let mut starts = BTreeMap::new();
    for start in notes(all, "task.start") {
        let (_, stage, partition) = start.place();
        *starts.entry((stage, partition)).or_default() += 1;
    }
    starts
}

/// Milliseconds from the first start of a task to the last end, of each application.
pub(super) fn spans(all: &[Fired]) -> Vec<u64> {
    let mut spans: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for note in notes(all, "task.start").chain(notes(all, "task.end")) {
        let (first, last) = spans.entry(note.application()).or_insert((note.at(), note.at()));
        (*first, *last) = ((*first).min(note.at()), (*last).max(note.at()));
    }
    spans.values().map(|(first, last)| last - first).collect()
}

/// Notes of one point.
pub(super) fn notes<'a>(all: &'a [Fired], point: &str) -> impl Iterator<Item = &'a Fired> {
    all.iter().filter(move |fired| fired.is_note() && fired.get("point") == point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at: u64, what: &str, pid: u32, task: u32, place: (u32, u32)) -> Fired {
        let (partition, attempt) = place;
        Fired::parse(&format!(
            "point=task.{what} deed=Note pid={pid} at={at} task={task} stage=0 stage_attempt={attempt} partition={partition} \
             ok={} dir=/x/worker-{pid}/app-1/{pid}",
            what == "end"
        ))
    }

    #[test]
    fn an_attempt_more_has_a_ground_or_has_none() {
        let all = [
            note(1, "start", 1, 10, (0, 0)),
            note(1, "start", 2, 11, (1, 0)),
            note(400, "end", 2, 11, (1, 0)),
            note(401, "start", 2, 12, (2, 0)),
            Fired::parse("point=x deed=Kill pid=2 at=900"),
            // With its process.
            note(1000, "start", 1, 13, (2, 0)),
            // It had ended well, and long before.
            note(1000, "start", 1, 14, (1, 0)),
            // Of an attempt of the stage that is over.
            note(1000, "start", 3, 15, (0, 1)),
        ];
        let of = |account: &Account| {
            let groundless: Vec<_> = account.groundless.iter().map(|fired| fired.get("task").to_owned()).collect();
            (account.run_again, account.lost, groundless)
        };
        assert_eq!(of(&account(&all, |_| false)), (3, 2, vec!["14".to_owned()]));
        assert_eq!(of(&account(&all, |start| start.worker() == Some(2))), (3, 3, Vec::new()));
        assert_eq!(of(&account(&all[..4], |_| true)), (0, 3, Vec::new()));
        assert_eq!((faults(&all).len(), attempts(&all)), (1, 2));
        assert_eq!((all[0].worker(), all[0].executor()), (Some(1), Some(1)));
    }

    #[test]
    fn what_ended_just_before_its_process_was_not_heard_of() {
        let mut all = vec![note(1, "start", 2, 10, (0, 0)), note(800, "end", 2, 10, (0, 0))];
        all.push(Fired::parse("point=x deed=Abort pid=2 at=900"));
        all.push(note(1000, "start", 1, 11, (0, 0)));
        assert_eq!(account(&all, |_| false).groundless, []);
        assert_eq!(under_way(&all, 600), BTreeSet::from(["10".to_owned()]));
        assert_eq!(under_way(&all, 1100), BTreeSet::from(["11".to_owned()]));
        assert_eq!(spans(&all), [999]);
    }
}
