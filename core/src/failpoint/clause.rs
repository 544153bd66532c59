//! What a test wants to happen, and where.

use std::{path::PathBuf, time::Duration};

/// Everything that the variable says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) seed: u64,
    pub(super) clauses: Vec<Clause>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) point: String,
    pub(super) tests: Vec<Test>,
    pub(super) action: Action,
    /// How often in all processes together.
    pub(super) budget: Option<u32>,
    /// How likely, in percent.
    pub(super) percent: u8,
}

/// What a fact must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) key: String,
    pub(super) like: Like,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Like {
    Equal(String),
    Contains(String),
    AtLeast(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Note,
    Error,
    NoSpace,
    Io,
    Panic,
    Abort,
    Segv,
    Overflow,
    Kill,
    Stop,
    Sleep(Duration),
    Hang,
    Flip,
    Duplicate,
    Delay(Duration),
    Drop,
}

impl Plan {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self { dir: PathBuf::new(), seed: 0, clauses: Vec::new() };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if let Some(dir) = part.strip_prefix("dir=") {
                plan.dir = dir.into();
            } else if let Some(seed) = part.strip_prefix("seed=") {
                plan.seed = seed.parse().map_err(|e| format!("seed={seed}: {e}"))?;
            } else {
                plan.clauses.push(
                    Clause::parse(part)
                        .ok_or_else(|| format!("{part:?} is not POINT[KEY=VALUE,…]=DEED*TIMES%PERCENT"))?,
                );
            }
        }
        if plan.dir.is_absolute() {
            Ok(plan)
        } else {
            Err(format!("dir={} is not an absolute path", plan.dir.display()))
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (point, tests, deed) = match text.split_once('[') {
            Some((point, rest)) => {
                let (tests, deed) = rest.split_once("]=")?;
                (point, tests.split(',').map(Test::parse).collect::<Option<_>>()?, deed)
            }
            None => {
                let (point, deed) = text.split_once('=')?;
                (point, Vec::new(), deed)
            }
        };
        let (deed, percent) = match deed.split_once('%') {
            Some((deed, percent)) => (deed, percent.parse().ok().filter(|p| *p <= 100)?),
            None => (deed, 100),
        };
        let (deed, budget) = match deed.split_once('*') {
            Some((deed, times)) => (deed, Some(times.parse().ok()?)),
            None => (deed, None),
        };
        Some(Self { point: point.into(), tests, action: Action::parse(deed)?, budget, percent })
    }

    /// Whether it is meant for a point of which this is known.
    pub(super) fn fits(&self, point: &str, known: impl Fn(&str) -> Option<String>) -> bool {
        self.point == point && self.tests.iter().all(|test| known(&test.key).is_some_and(|value| test.like.is(&value)))
    }
}

impl Test {
    fn parse(text: &str) -> Option<Self> {
        let test = |key: &str, like| Some(Self { key: key.into(), like });
        if let Some((key, least)) = text.split_once(">=") {
            test(key, Like::AtLeast(least.parse().ok()?))
        } else if let Some((key, part)) = text.split_once('~') {
            test(key, Like::Contains(part.into()))
        } else {
            let (key, value) = text.split_once('=')?;
            test(key, Like::Equal(value.into()))
        }
    }
}

impl Like {
    fn is(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => wanted == value,
            Self::Contains(part) => value.contains(part.as_str()),
            Self::AtLeast(least) => value.parse::<u64>().is_ok_and(|value| value >= *least),
        }
    }
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        let millis = |text: &str| text.strip_suffix(')')?.parse().ok().map(Duration::from_millis);
        Some(match text {
            "note" => Self::Note,
            "error" => Self::Error,
            "nospace" => Self::NoSpace,
            "io" => Self::Io,
            "panic" => Self::Panic,
            "abort" => Self::Abort,
            "segv" => Self::Segv,
            "overflow" => Self::Overflow,
            "kill" => Self::Kill,
            "stop" => Self::Stop,
            "hang" => Self::Hang,
            "flip" => Self::Flip,
            "duplicate" => Self::Duplicate,
            "drop" => Self::Drop,
            _ => match text.split_once('(')? {
                ("sleep", rest) => Self::Sleep(millis(rest)?),
                ("delay", rest) => Self::Delay(millis(rest)?),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read() {
        let text = "dir=/tmp/x; seed=7; task.chunk[kind=map,n>=3,dir~worker-1]=kill*1; a=note; b=delay(20)*3%50";
        let plan = Plan::parse(text).unwrap();
        assert_eq!((plan.dir, plan.seed, plan.clauses.len()), (PathBuf::from("/tmp/x"), 7, 3));
        let kill = &plan.clauses[0];
        assert_eq!(
            (kill.point.as_str(), kill.action, kill.budget, kill.percent),
            ("task.chunk", Action::Kill, Some(1), 100)
        );
        let known = |kind: &'static str, n: &'static str| {
            move |key: &str| {
                Some(
                    match key {
                        "kind" => kind,
                        "n" => n,
                        _ => "/w/worker-1/app",
                    }
                    .to_owned(),
                )
            }
        };
        assert!(kill.fits("task.chunk", known("map", "10")));
        assert!(!kill.fits("task.start", known("map", "10")) && !kill.fits("task.chunk", known("map", "2")));
        assert!(!kill.fits("task.chunk", known("result", "3")) && !kill.fits("task.chunk", |_| None));
        assert_eq!(plan.clauses[2].action, Action::Delay(Duration::from_millis(20)));
        assert_eq!((plan.clauses[2].budget, plan.clauses[2].percent), (Some(3), 50));
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for bad in [
            "",
            "dir=x",
            "dir=/x;a",
            "dir=/x;a=b",
            "dir=/x;a=kill*x",
            "dir=/x;a=kill%101",
            "dir=/x;a[b=kill",
            "dir=/x;a[b]=kill",
            "dir=/x;seed=a",
            "dir=/x;a=sleep(1",
        ] {
            assert!(Plan::parse(bad).is_err(), "{bad}");
        }
    }
}
