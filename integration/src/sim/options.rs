//! What a simulated cluster is made of, all of it from one seed.

use super::{chance::Chance, faults::Kind, graph::Wanted};
use hearth_core::{Resources, conf::SchedulingMode, messages::application::ApplicationSpec};

use std::time::Duration;

/// Tasks of a run, at least: without a failure each starts once.
pub(super) const TASKS: u32 = 210;
/// Stages of a run, at least.
pub(super) const STAGES: usize = 4;
/// Faults of a run that must fire.
pub(super) const FAULTS: u64 = 3;

/// What a simulation is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// The workers.
    pub workers: Vec<Resources>,
    /// The applications.
    pub applications: Vec<Application>,
    /// Messages take up to this many milliseconds.
    pub slowest_millis: u64,
    /// One task attempt in so many fails; 0 for none.
    pub fail_once_in: u64,
    /// Times that a task tries again to read what cannot be reached, and how long it waits before.
    pub fetch_retries: u32,
    /// See above.
    pub retry_wait: Duration,
    /// How many faults there are.
    pub faults: u32,
    /// All of them are of this kind, and no job may fail because of them.
    pub only: Option<Kind>,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// Whether the machines check themselves; the checks from outside are always made.
    pub checked: bool,
    /// Whether the log's lines are kept.
    pub logged: bool,
}

/// Ways to break the cluster on purpose, to show that the checkers can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Workers believe, and tell the master, that they have twice their cores.
    CoresCountedTwice,
    /// Executors believe that they have twice their cores.
    SlotsCountedTwice,
    /// News of finished tasks never reaches the drivers.
    StatusesLost,
}

/// One application of a simulation.
#[derive(Clone, Debug)]
pub struct Application {
    /// When its driver starts.
    pub starts: Duration,
    /// Cores of one executor.
    pub cores_per_executor: Option<u32>,
    /// Cores in all.
    pub max_cores: Option<u32>,
    /// Tasks that take too long get a second attempt.
    pub speculates: bool,
    /// Its executors serve their outputs themselves; else the block services do.
    pub serves_itself: bool,
    /// One result in so many is stored at its executor; 0 for none.
    pub store_once_in: u64,
    /// Executors and workers where tasks fail are left out.
    pub excludes: bool,
    /// Whether jobs share by pools.
    pub mode: SchedulingMode,
    /// Jobs that run at once.
    pub parallel: usize,
    /// Its jobs.
    pub jobs: Vec<Wanted>,
}

impl Application {
    fn random(chance: &mut Chance, starts: Duration, smallest: u32, tasks: u32) -> Self {
        let cores_per_executor = [None, Some(1), Some(smallest)][chance.index(2)];
        let jobs = chance.number(1, 3);
        Self {
            starts,
            cores_per_executor,
            max_cores: chance.once_in(2).then(|| chance.number(smallest, 8)),
            speculates: chance.once_in(3),
            serves_itself: chance.once_in(3),
            store_once_in: [0, 2, 8][chance.index(2)],
            excludes: chance.once_in(5),
            mode: if chance.once_in(3) { SchedulingMode::Fair } else { SchedulingMode::Fifo },
            parallel: 1 + chance.index(2),
            jobs: (0..jobs).map(|_| Wanted::random(chance, tasks / jobs, cores_per_executor.unwrap_or(1))).collect(),
        }
    }

    /// What its driver tells the master.
    pub(super) fn spec(&self, url: String) -> ApplicationSpec {
        ApplicationSpec {
            version: hearth_core::messages::VERSION.into(),
            name: "simulated".into(),
            user: "sim".into(),
            driver_url: url,
            cores_per_executor: self.cores_per_executor,
            memory_per_executor_mib: 512,
            max_cores: self.max_cores,
            max_executors: None,
            conf: Default::default(),
        }
    }

    fn tasks(&self) -> u32 {
        // Of a job that must fail nobody knows how many run.
        let whole = self.jobs.iter().filter(|job| job.poison.is_none());
        whole.flat_map(|job| &job.graph.stages).map(|stage| stage.tasks).sum()
    }
}

impl Options {
    /// The cluster of this seed: 3 to 5 workers of 2 to 6 cores, 2 or 3 applications, at least 210 tasks, 4 to 9 faults.
    pub fn of_seed(seed: u64) -> Self {
        let chance = &mut Chance::new(seed ^ 0xfeed_0000);
        let workers: Vec<_> = (0..chance.number(3, 5)).map(|_| Resources::new(chance.number(2, 6), 8192)).collect();
        let smallest = workers.iter().map(|w| w.cores).min().unwrap_or(1);
        let count = chance.number(2, 3);
        let mut applications: Vec<Application> = Vec::new();
        for place in 0..count {
            let starts = chance.millis(0, 1500);
            let share = if place + 1 < count { TASKS / count } else { TASKS - 2 * TASKS / 3 };
            applications.push(Application::random(chance, starts, smallest, share));
        }
        let mut options = Self {
            seed,
            workers,
            applications,
            slowest_millis: [1, 5, 20, 100][chance.index(3)],
            fail_once_in: [0, 0, 40][chance.index(2)],
            fetch_retries: 3,
            retry_wait: [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)][chance.index(2)],
            faults: chance.number(4, 9),
            only: None,
            sabotage: None,
            checked: true,
            logged: false,
        };
        options.fill_up(chance, smallest);
        options
    }

    /// The cluster of this seed, in which one fault happens and nothing else goes wrong: no job may fail.
    pub fn strict(seed: u64, only: Kind) -> Self {
        let mut options = Self { faults: 1, only: Some(only), fail_once_in: 0, ..Self::of_seed(seed) };
        options.applications.iter_mut().for_each(|application| application.jobs.retain(|job| job.poison.is_none()));
        options
    }

    /// Tasks of all jobs that need not fail: each runs once when nothing goes wrong.
    pub fn tasks(&self) -> u64 {
        self.applications.iter().map(|application| u64::from(application.tasks())).sum()
    }

    /// More jobs, until there are enough tasks and stages.
    fn fill_up(&mut self, chance: &mut Chance, smallest: u32) {
        loop {
            let tasks: u32 = self.applications.iter().map(Application::tasks).sum();
            let stages: usize = self.applications.iter().flat_map(|a| &a.jobs).map(|job| job.graph.stages.len()).sum();
            if tasks >= TASKS && stages >= STAGES {
                return;
            }
            let place = chance.index(self.applications.len() - 1);
            let application = &mut self.applications[place];
            let slots = application.cores_per_executor.unwrap_or(1).min(smallest);
            application.jobs.push(Wanted::random(chance, TASKS.saturating_sub(tasks).max(16), slots));
        }
    }
}
