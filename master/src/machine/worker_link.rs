//! What workers say, and what becomes of workers that say nothing.

use super::{
    Effect, Master, Record, admission,
    executor::{End, kill},
    explain::counted,
    worker::{Executor, Standing, Worker},
};
use hearth_core::messages::{
    application::AppDown,
    worker::{WorkerDown, WorkerRegistration, WorkerUp},
};
use hearth_core::{ExecutorState, Level, LinkId, Now, Refusal, WorkerId, WorkerState};
use std::collections::BTreeSet;

impl Master {
    pub(super) fn worker_said(&mut self, now: Now, link: LinkId, message: WorkerUp, fx: &mut Vec<Effect>) {
        if let WorkerUp::Register(registration) = message {
            return self.register_worker(now, link, &registration, fx);
        }
        let Some(id) = self.worker_links.get(&link).cloned() else {
            let refusal = Refusal::Malformed("the first message on a worker's link must be its registration".into());
            return self.refuse_worker(link, refusal, fx);
        };
        let worker = self.workers.get_mut(&id).expect("links name workers");
        worker.last_heard = now;
        if let Standing::Dead { told, .. } = &mut worker.standing {
            // It was given up for its silence and is back. Told once: a second registration would find new launches.
            if !std::mem::replace(told, true) {
                fx.push(Effect::ToWorker { link, message: WorkerDown::Reregister });
            }
            return;
        }
        match message {
            WorkerUp::Register(_) | WorkerUp::Heartbeat => {}
            WorkerUp::ExecutorChanged { application, executor, state, message, exit_code } => {
                let end = End { state, message, exit_code };
                self.executor_reported(now, &id, &(application, executor), end, fx);
            }
            WorkerUp::Leaving { reason } => self.drop_worker(now, &id, &format!("it leaves: {reason}"), true, fx),
        }
    }

    pub(super) fn worker_link_closed(&mut self, now: Now, link: LinkId, fx: &mut Vec<Effect>) {
        let Some(id) = self.worker_links.remove(&link) else { return };
        let worker = self.workers.get_mut(&id).expect("links name workers");
        match &mut worker.standing {
            Standing::Linked(_) => {
                let grace = self.options.worker_link_grace;
                fx.push(Effect::log(Level::Info, format!("{id}: its link broke; it has {grace:?} to come back")));
                worker.standing = Standing::Away { since: now };
                self.dirty = true;
            }
            Standing::Dead { link, .. } => *link = None,
            Standing::Away { .. } => unreachable!("a worker that is away has no link"),
        }
    }

    fn register_worker(&mut self, now: Now, link: LinkId, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let id = &registration.worker;
        if let Err(refusal) = self.may_register(link, registration) {
            fx.push(Effect::log(Level::Warn, format!("{id} at {} is refused: {refusal}", registration.address)));
            return self.refuse_worker(link, refusal, fx);
        }
        self.drop_rivals(now, registration, fx);
        match self.workers.get(id).map(|worker| &worker.standing) {
            Some(Standing::Linked(_)) => self.tell_registered(link, fx),
            Some(Standing::Away { .. }) => self.rejoin(now, link, registration, fx),
            Some(Standing::Dead { .. }) | None => self.join(now, link, registration, fx),
        }
    }

    /// Whether a registration can be taken. One that is refused changes nothing.
    fn may_register(&self, link: LinkId, registration: &WorkerRegistration) -> Result<(), Refusal> {
        admission::worker(registration)?;
        if self.worker_links.get(&link).is_some_and(|id| *id != registration.worker) {
            return Err(Refusal::Malformed("another worker is registered on this link".into()));
        }
        for (id, worker) in &self.workers {
            let rival = *id == registration.worker || worker.address == registration.address;
            if rival && worker.link().is_some_and(|theirs| theirs != link) {
                return Err(Refusal::DuplicateWorker { worker: id.clone(), address: worker.address.to_string() });
            }
        }
        let known = self.workers.get(&registration.worker).is_some_and(Worker::is_alive);
        let alive = self.workers.values().filter(|worker| worker.is_alive()).count();
        if !known && alive >= self.options.max_workers {
            let limit = u64::try_from(self.options.max_workers).unwrap_or(u64::MAX);
            return Err(Refusal::Full { what: "the number of workers".into(), limit });
        }
        Ok(())
    }

    /// Gives up whoever is away and cannot come back any more: this worker as it was, or another one at its address.
    fn drop_rivals(&mut self, now: Now, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let rivals: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, worker)| matches!(worker.standing, Standing::Away { .. }))
            .filter(|(id, worker)| {
                let same = worker.address == registration.address;
                if **id == registration.worker { !same || worker.total != registration.resources } else { same }
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in rivals {
            let reason =
                if id == registration.worker { "it came back as another" } else { "another worker has its address" };
            self.drop_worker(now, &id, reason, false, fx);
        }
    }

    /// Takes a worker that is new, or was given up.
    fn join(&mut self, now: Now, link: LinkId, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let id = &registration.worker;
        fx.push(Effect::Persist(Record::worker_registered(registration)));
        let text = format!("{id} at {} registered with {}", registration.address, registration.resources);
        fx.push(Effect::log(Level::Info, text));
        let before = self.workers.insert(id.clone(), Worker::new(now, link, registration));
        if let Some(Standing::Dead { link: Some(old), .. }) = before.map(|worker| worker.standing)
            && old != link
        {
            self.worker_links.remove(&old);
            fx.push(Effect::CloseLink { link: old });
        }
        self.worker_links.insert(link, id.clone());
        self.tell_registered(link, fx);
        self.kill_unknown(link, registration, fx);
        self.tell_over(link, registration, fx);
        self.dirty = true;
    }

    /// Takes back a worker whose link broke, with the executors it still has.
    fn rejoin(&mut self, now: Now, link: LinkId, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let id = &registration.worker;
        let worker = self.workers.get_mut(id).expect("it is away");
        worker.standing = Standing::Linked(link);
        worker.last_heard = now;
        worker.labels.clone_from(&registration.labels);
        let known: Vec<_> = worker.executors().iter().map(|(key, e)| (key.clone(), e.kill.clone())).collect();
        self.worker_links.insert(link, id.clone());
        fx.push(Effect::log(Level::Info, format!("{id} is back")));
        self.tell_registered(link, fx);

        for (key, killed) in known {
            let there = registration.executors.iter().find(|e| (&e.application, e.executor) == (&key.0, key.1));
            match (there, killed) {
                (Some(_), Some(reason)) => fx.push(kill(link, &key, &reason)),
                (Some(e), None) => {
                    if e.state == ExecutorState::Running {
                        let news = End { state: e.state, message: String::new(), exit_code: None };
                        self.executor_reported(now, id, &key, news, fx);
                    }
                }
                (None, Some(message)) => {
                    let end = End { state: ExecutorState::Killed, message, exit_code: None };
                    self.executor_over(now, id, &key, end, fx);
                }
                (None, None) => self.executor_over(now, id, &key, End::lost("its worker came back without it"), fx),
            }
        }
        self.kill_unknown(link, registration, fx);
        self.tell_over(link, registration, fx);
        self.dirty = true;
    }

    fn tell_registered(&self, link: LinkId, fx: &mut Vec<Effect>) {
        let heartbeat_millis = u64::try_from(self.options.heartbeat.as_millis()).unwrap_or(u64::MAX);
        let message = WorkerDown::Registered { term: self.options.term, heartbeat_millis };
        fx.push(Effect::ToWorker { link, message });
    }

    /// Kills what a worker has and nobody granted, and accounts for it until it is over.
    fn kill_unknown(&mut self, link: LinkId, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let worker = self.workers.get_mut(&registration.worker).expect("it has just been registered");
        let mut seen = BTreeSet::new();
        for live in &registration.executors {
            let key = (live.application.clone(), live.executor);
            if worker.executors().contains_key(&key) || !seen.insert(key.clone()) {
                continue;
            }
            let reason = "the master does not know it";
            fx.push(kill(link, &key, reason));
            // Neither running nor its application's: it only fills its place. One that does not fit beside what was
            // granted cannot be accounted for, it can only be killed.
            let dying = Executor {
                resources: live.resources,
                state: ExecutorState::Launching,
                running_since: None,
                kill: Some(reason.into()),
            };
            worker.hold(key, dying);
        }
    }

    /// Tells a worker which of the applications that it lists are over. They ended while it was not there, or this master
    /// has never known them; either way nobody will ask for their files.
    fn tell_over(&self, link: LinkId, registration: &WorkerRegistration, fx: &mut Vec<Effect>) {
        let running = registration.executors.iter().map(|live| &live.application);
        let listed: BTreeSet<_> = registration.applications.iter().chain(running).collect();
        for application in listed.into_iter().filter(|id| !self.serials.contains_key(id)) {
            let message = WorkerDown::ApplicationFinished { application: application.clone() };
            fx.push(Effect::ToWorker { link, message });
        }
    }

    /// Gives a worker up: its executors are lost, the drivers that had some are told.
    pub(super) fn drop_worker(&mut self, now: Now, id: &WorkerId, reason: &str, leaving: bool, fx: &mut Vec<Effect>) {
        let worker = self.workers.get_mut(id).expect("only a worker that is known can be given up");
        let link = worker.link();
        let lost: Vec<_> = worker.executors().keys().cloned().collect();
        fx.push(Effect::Persist(Record::WorkerRemoved { worker: id.clone(), reason: reason.into() }));
        let text = format!("{id} is given up with {}: {reason}", counted(lost.len(), "executor"));
        fx.push(Effect::log(if leaving { Level::Info } else { Level::Warn }, text));
        worker.standing = Standing::Dead { since: now, link, told: leaving, left: leaving, reason: reason.into() };
        for key in lost {
            self.executor_over(now, id, &key, End::lost(format!("its worker {id} is gone: {reason}")), fx);
        }
        for application in self.applications.values().filter(|a| a.workers.contains(id)) {
            if let Some(link) = application.link() {
                let message = AppDown::WorkerRemoved { worker: id.clone(), reason: reason.into() };
                fx.push(Effect::ToApplication { link, message });
            }
        }
        self.dirty = true;
        self.forget_dead_workers(fx);
    }

    /// Forgets the longest dead workers above the bound.
    fn forget_dead_workers(&mut self, fx: &mut Vec<Effect>) {
        let mut dead: Vec<_> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| match worker.standing {
                Standing::Dead { since, link, .. } => Some((since, id.clone(), link)),
                _ => None,
            })
            .collect();
        let excess = dead.len().saturating_sub(self.options.retained_dead_workers);
        dead.sort();
        for (_, id, link) in dead.into_iter().take(excess) {
            self.workers.remove(&id);
            if let Some(link) = link {
                self.worker_links.remove(&link);
                fx.push(Effect::CloseLink { link });
            }
        }
    }

    /// Gives up the workers that have been silent or away for too long.
    pub(super) fn sweep_workers(&mut self, now: Now, fx: &mut Vec<Effect>) {
        let expired = |worker: &Worker| worker.expires(&self.options).is_some_and(|at| at <= now);
        let over: Vec<_> =
            self.workers.iter().filter(|(_, w)| expired(w)).map(|(id, w)| (id.clone(), w.link())).collect();
        for (id, link) in over {
            let reason = match link {
                Some(_) => format!("no heartbeat for {:?}", self.options.worker_timeout),
                None => format!("its link broke and did not come back within {:?}", self.options.worker_link_grace),
            };
            self.drop_worker(now, &id, &reason, false, fx);
        }
    }

    fn refuse_worker(&self, link: LinkId, refusal: Refusal, fx: &mut Vec<Effect>) {
        let term = self.options.term;
        fx.push(Effect::ToWorker { link, message: WorkerDown::Refused { refusal, term } });
        fx.push(Effect::CloseLink { link });
    }

    /// Panics if workers and their links contradict each other.
    pub(super) fn check_workers(&self) {
        for (id, worker) in &self.workers {
            worker.check(id);
            let link = match worker.standing {
                Standing::Linked(link) => Some(link),
                Standing::Dead { link, .. } => link,
                Standing::Away { .. } => None,
            };
            assert!(link.is_none_or(|link| self.worker_links.get(&link) == Some(id)), "the link of {id} is not known");
            for (key, executor) in worker.executors() {
                let holder = self.serials.get(&key.0).map(|serial| &self.applications[serial]);
                let held = holder.and_then(|h| h.executors.get(&key.1)).filter(|held| held.worker == *id);
                match held {
                    Some(held) => assert_eq!(held.resources, executor.resources, "{key:?} on {id}"),
                    None => {
                        assert!(executor.kill.is_some(), "{key:?} on {id} belongs to nobody and is not being killed")
                    }
                }
            }
        }
        let links = self.workers.values().filter(|w| match w.standing {
            Standing::Linked(_) => true,
            Standing::Dead { link, .. } => link.is_some(),
            Standing::Away { .. } => false,
        });
        assert_eq!(links.count(), self.worker_links.len(), "a link of no worker is kept");
        let dead = self.workers.values().filter(|w| w.state() == WorkerState::Dead).count();
        assert!(dead <= self.options.retained_dead_workers, "too many dead workers are kept");
    }
}
