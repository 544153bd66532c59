//! The executors that live on this worker.

use super::{Child, Effect, life::Life};
use hearth_core::{ApplicationId, ExecutorId, ExecutorState, Now, Resources, messages::worker::LiveExecutor};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// An executor's name in the cluster.
pub(super) type Key = (ApplicationId, ExecutorId);

fn child(key: &Key) -> Child {
    Child::Executor(key.0.clone(), key.1)
}

#[derive(Debug)]
struct Executor {
    resources: Resources,
    life: Life,
    /// Why it was asked to end.
    killed: Option<String>,
    /// Whether the master knows that it runs, on the link of today.
    told: bool,
}

/// An executor, as a registration lists it.
fn listed(key: &Key, executor: &Executor) -> LiveExecutor {
    let state = if executor.life.has_started() { ExecutorState::Running } else { ExecutorState::Launching };
    LiveExecutor { application: key.0.clone(), executor: key.1, resources: executor.resources, state }
}

/// The executors that live, and the applications that had some here.
#[derive(Debug, Default)]
pub(super) struct Executors {
    live: BTreeMap<Key, Executor>,
    /// Applications of which files are kept: shuffle files outlive executors. A master has a bounded number of
    /// applications at a time, and whatever is over goes with the news of it, at the next registration at the latest.
    kept: BTreeSet<ApplicationId>,
    /// Those of them that are over and wait for their executors to end.
    finished: BTreeSet<ApplicationId>,
}

/// What is left of an executor.
#[derive(Debug)]
pub(super) struct Remains {
    /// Why it was asked to end, when it was.
    pub(super) killed: Option<String>,
    /// It was the last of an application that is over.
    pub(super) last_of_finished: bool,
    /// What it was.
    pub(super) was: LiveExecutor,
}

impl Executors {
    /// Whether this one lives.
    pub(super) fn is_live(&self, key: &Key) -> bool {
        self.live.contains_key(key)
    }

    /// Whether this application waits for its executors to end.
    pub(super) fn is_finished(&self, application: &ApplicationId) -> bool {
        self.finished.contains(application)
    }

    /// Applications of which files are kept.
    pub(super) const fn kept(&self) -> &BTreeSet<ApplicationId> {
        &self.kept
    }

    /// Those of them that are not known to be over.
    pub(super) fn not_over(&self) -> Vec<ApplicationId> {
        self.kept.difference(&self.finished).cloned().collect()
    }

    /// The files of an application are removed.
    pub(super) fn forget(&mut self, application: &ApplicationId) {
        self.kept.remove(application);
    }

    /// Whether none lives.
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Panics when anything is left of any application.
    pub(super) fn assert_empty(&self) {
        assert!(self.live.is_empty(), "executors live on: {:?}", self.live.keys().collect::<Vec<_>>());
        assert!(self.kept.is_empty() && self.finished.is_empty(), "files are kept: {:?}", self.kept);
    }

    /// What they hold.
    pub(super) fn used(&self) -> Resources {
        self.live.values().fold(Resources::default(), |sum, executor| sum.plus(&executor.resources))
    }

    /// One is being started.
    pub(super) fn add(&mut self, key: Key, resources: Resources) {
        self.kept.insert(key.0.clone());
        self.live.insert(key, Executor { resources, life: Life::default(), killed: None, told: false });
    }

    /// One runs. Gives whether it is known.
    pub(super) fn started(&mut self, now: Now, key: &Key, grace: Duration, fx: &mut Vec<Effect>) -> bool {
        let Some(executor) = self.live.get_mut(key) else { return false };
        executor.life.start(now, &child(key), grace, fx);
        true
    }

    /// One is over.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Remains> {
        let executor = self.live.remove(key)?;
        let last = !self.has_any(&key.0);
        let last_of_finished = last && self.finished.remove(&key.0);
        Some(Remains { was: listed(key, &executor), killed: executor.killed, last_of_finished })
    }

    /// Asks one to end. Gives whether it lives.
    pub(super) fn kill(&mut self, now: Now, key: &Key, reason: &str, grace: Duration, fx: &mut Vec<Effect>) -> bool {
        let Some(executor) = self.live.get_mut(key) else { return false };
        executor.killed.get_or_insert_with(|| reason.to_owned());
        executor.life.end(now, &child(key), grace, fx);
        true
    }

    /// Asks all to end.
    pub(super) fn kill_all(&mut self, now: Now, reason: &str, grace: Duration, fx: &mut Vec<Effect>) {
        let keys: Vec<Key> = self.live.keys().cloned().collect();
        for key in keys {
            self.kill(now, &key, reason, grace, fx);
        }
    }

    /// Whether each was asked to end.
    pub(super) fn all_ending(&self) -> bool {
        self.live.values().all(|executor| executor.life.is_ending())
    }

    /// Gives those that are ending no more time.
    pub(super) fn hasten(&mut self, fx: &mut Vec<Effect>) {
        for (key, executor) in &mut self.live {
            executor.life.hasten(&child(key), fx);
        }
    }

    /// An application is over: asks its executors to end. Gives whether none lives, so that its files can go at once.
    pub(super) fn finish(
        &mut self,
        now: Now,
        application: &ApplicationId,
        grace: Duration,
        fx: &mut Vec<Effect>,
    ) -> bool {
        let keys: Vec<Key> = self.live.keys().filter(|key| key.0 == *application).cloned().collect();
        for key in &keys {
            self.kill(now, key, "the application is over", grace, fx);
        }
        if !keys.is_empty() {
            self.finished.insert(application.clone());
        }
        keys.is_empty()
    }

    /// The list for a registration, which tells the master of all that run.
    pub(super) fn tell(&mut self) -> Vec<LiveExecutor> {
        self.live
            .iter_mut()
            .map(|(key, executor)| {
                executor.told = executor.life.has_started();
                listed(key, executor)
            })
            .collect()
    }

    /// Those that run and of which the master was not told; it is now.
    pub(super) fn tell_new(&mut self) -> Vec<Key> {
        let new = self.live.iter_mut().filter(|(_, executor)| executor.life.has_started() && !executor.told);
        new.map(|(key, executor)| {
            executor.told = true;
            key.clone()
        })
        .collect()
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.live.values().filter_map(|executor| executor.life.deadline()).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        for (key, executor) in &mut self.live {
            executor.life.tick(now, &child(key), fx);
        }
    }

    /// Panics if they contradict themselves.
    pub(super) fn check(&self, total: &Resources) {
        let used = self.used();
        assert!(total.fits(&used), "the executors hold {used} of {total}");
        for (key, executor) in &self.live {
            executor.life.check();
            assert!(self.kept.contains(&key.0), "{key:?} lives where no files are kept");
            let ending = executor.life.is_ending();
            assert_eq!(ending, executor.killed.is_some(), "{key:?} is ended with a reason");
            assert!(ending || !self.finished.contains(&key.0), "{key:?} of an application that is over is not ended");
        }
        for application in &self.finished {
            assert!(self.has_any(application), "{application} waits for executors that it has not");
        }
    }

    fn has_any(&self, application: &ApplicationId) -> bool {
        self.live.keys().any(|key| key.0 == *application)
    }
}
