//! What drivers say, and how applications end.

use super::{
    Effect, Master, Record, admission,
    application::{Application, Completed, Presence},
};
use hearth_core::messages::{
    application::{AppDown, AppUp, ApplicationSpec, ExecutorGrant},
    worker::WorkerDown,
};
use hearth_core::{ApplicationId, ApplicationState, ExecutorId, ExecutorState, Level, LinkId, Now, Refusal, WallTime};
use std::collections::BTreeSet;

/// Characters kept of what a driver said when it ended.
const MESSAGE_CHARS: usize = 4000;

impl Master {
    pub(super) fn application_said(
        &mut self,
        now: Now,
        link: LinkId,
        wall: WallTime,
        message: AppUp,
        fx: &mut Vec<Effect>,
    ) {
        let known = self.application_links.get(&link).copied();
        match (message, known) {
            (AppUp::Register(spec), None) => self.register_application(now, link, wall, spec, fx),
            (AppUp::Reconnect { application, executors, spec }, None) => {
                self.reconnect(link, &application, &executors, spec, fx);
            }
            (AppUp::Register(_) | AppUp::Reconnect { .. }, Some(serial)) => {
                let id = &self.applications[&serial].id;
                fx.push(Effect::log(Level::Warn, format!("{id} registers a second time on its link; ignored")));
            }
            (_, None) => {
                let what = "the first message on a driver's link must be a registration".into();
                self.refuse_driver(link, Refusal::Malformed(what), fx);
            }
            (AppUp::LimitExecutors { max_executors }, Some(serial)) => {
                self.application_mut(serial).spec.max_executors = max_executors;
                self.dirty = true;
            }
            (AppUp::KillExecutors { executors, reason }, Some(serial)) => {
                self.kill_executors(serial, &executors, &reason, fx);
            }
            (AppUp::Unregister { state, message }, Some(serial)) => {
                if state.is_final() {
                    self.end_application(now, serial, state, message, false, fx);
                } else {
                    let refusal = Refusal::Malformed(format!("an application cannot end as {state}"));
                    let term = self.options.term;
                    fx.push(Effect::ToApplication { link, message: AppDown::Refused { refusal, term } });
                }
            }
            // A driver's life is its link's; heartbeats only keep what lies between from closing it as idle.
            (AppUp::Heartbeat, Some(_)) => {}
        }
    }

    pub(super) fn application_link_closed(&mut self, now: Now, link: LinkId, fx: &mut Vec<Effect>) {
        let Some(serial) = self.application_links.remove(&link) else { return };
        let grace = self.options.driver_grace;
        let application = self.application_mut(serial);
        application.presence = Presence::Away { since: now };
        let text = format!("{}: its driver's link broke; it has {grace:?} to come back", application.id);
        fx.push(Effect::log(Level::Info, text));
        self.dirty = true;
    }

    fn register_application(
        &mut self,
        now: Now,
        link: LinkId,
        wall: WallTime,
        spec: ApplicationSpec,
        fx: &mut Vec<Effect>,
    ) {
        let counter = match self.may_register_application(&spec) {
            Ok(counter) => counter,
            Err(refusal) => {
                fx.push(Effect::log(Level::Warn, format!("application {} is refused: {refusal}", named(&spec.name))));
                return self.refuse_driver(link, refusal, fx);
            }
        };
        self.last_serial = counter;
        let id = ApplicationId::new(self.stamp(wall), counter);
        fx.push(Effect::Persist(Record::ApplicationRegistered {
            application: id.clone(),
            counter,
            submitted: wall,
            asked: (&spec).into(),
        }));
        let text = format!("{id} {} of {} registered", named(&spec.name), named(&spec.user));
        fx.push(Effect::log(Level::Info, text));
        let message = AppDown::Registered { application: id.clone(), term: self.options.term };
        fx.push(Effect::ToApplication { link, message });
        self.serials.insert(id.clone(), counter);
        self.applications.insert(counter, Application::new(id, spec, link, now, wall));
        self.application_links.insert(link, counter);
        self.dirty = true;
    }

    /// The time in a new application's name: never before this reign, which began after all that earlier ones named. Masters
    /// that are started again count from 1 again, perhaps in the same second, or after the clock was put back.
    fn stamp(&self, wall: WallTime) -> WallTime {
        wall.max(WallTime(self.options.term.saturating_mul(1000)))
    }

    /// The number of a new application, or why there can be none.
    fn may_register_application(&self, spec: &ApplicationSpec) -> Result<u32, Refusal> {
        admission::application(spec)?;
        let limit = self.options.max_applications;
        let full = |limit| Refusal::Full { what: "the number of applications".into(), limit };
        if self.applications.len() >= limit {
            return Err(full(u64::try_from(limit).unwrap_or(u64::MAX)));
        }
        self.last_serial.checked_add(1).ok_or_else(|| full(u64::from(u32::MAX)))
    }

    /// Takes a driver back whose link broke, and tells it what it missed.
    fn reconnect(
        &mut self,
        link: LinkId,
        application: &ApplicationId,
        executors: &[ExecutorId],
        spec: ApplicationSpec,
        fx: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = admission::application(&spec) {
            return self.refuse_driver(link, refusal, fx);
        }
        let Some(&serial) = self.serials.get(application) else {
            return self.refuse_driver(link, Refusal::UnknownApplication(application.clone()), fx);
        };
        let target = self.applications.get_mut(&serial).expect("serials name applications");
        let before = std::mem::replace(&mut target.presence, Presence::Linked(link));
        // Its limits may have changed on a link that broke before it could say so.
        target.spec = spec;
        if let Presence::Linked(old) = before {
            self.application_links.remove(&old);
            fx.push(Effect::CloseLink { link: old });
        }
        self.application_links.insert(link, serial);
        fx.push(Effect::log(Level::Info, format!("{application}: its driver is back")));
        let message = AppDown::Registered { application: application.clone(), term: self.options.term };
        fx.push(Effect::ToApplication { link, message });
        self.tell_missed(serial, link, executors, fx);
        self.dirty = true;
    }

    /// Tells a driver the difference between the executors it believes in and those it has.
    fn tell_missed(&self, serial: u32, link: LinkId, believed: &[ExecutorId], fx: &mut Vec<Effect>) {
        let application = &self.applications[&serial];
        let mut tell = |message| fx.push(Effect::ToApplication { link, message });
        for (id, held) in &application.executors {
            let worker = &self.workers[&held.worker];
            if !believed.contains(id) {
                let host = worker.address.host.clone();
                let (worker, resources) = (held.worker.clone(), held.resources);
                tell(AppDown::ExecutorGranted(ExecutorGrant { executor: *id, worker, host, resources }));
            }
            let state = worker.executors()[&(application.id.clone(), *id)].state;
            if state == ExecutorState::Running {
                tell(AppDown::ExecutorChanged { executor: *id, state, message: String::new(), exit_code: None });
            }
        }
        let gone: BTreeSet<_> = believed.iter().filter(|id| !application.executors.contains_key(id)).collect();
        for &executor in gone {
            let end = application.ends.of(executor);
            tell(AppDown::ExecutorChanged {
                executor,
                state: end.map_or(ExecutorState::Lost, |end| end.state),
                message: end.map_or_else(|| "it ended while the driver was away".into(), |end| end.message.clone()),
                exit_code: None,
            });
        }
        for id in &application.workers {
            if !self.workers.get(id).is_some_and(super::worker::Worker::is_alive) {
                tell(AppDown::WorkerRemoved { worker: id.clone(), reason: "it is gone".into() });
            }
        }
    }

    fn kill_executors(&mut self, serial: u32, executors: &[ExecutorId], reason: &str, fx: &mut Vec<Effect>) {
        let application = self.applications[&serial].id.clone();
        for (id, worker) in self.executors_of(serial) {
            if executors.contains(&id) {
                self.kill_executor(&worker, &(application.clone(), id), reason, fx);
            }
        }
    }

    /// Ends an application: its executors are killed, its workers forget it, its place in the queue is free.
    pub(super) fn end_application(
        &mut self,
        now: Now,
        serial: u32,
        state: ApplicationState,
        mut message: String,
        tell: bool,
        fx: &mut Vec<Effect>,
    ) {
        if let Some((cut, _)) = message.char_indices().nth(MESSAGE_CHARS) {
            message.truncate(cut);
        }
        let view = self.application_view(now, &self.applications[&serial], Some((state, &message)));
        let executors = self.executors_of(serial);
        let application = self.applications.remove(&serial).expect("it was there");
        let id = application.id.clone();
        self.serials.remove(&id);
        fx.push(Effect::Persist(Record::ApplicationEnded { application: id.clone(), state, message: message.clone() }));
        let text = format!("{id} is over: {state}{}{message}", if message.is_empty() { "" } else { ": " });
        fx.push(Effect::log(Level::Info, text));
        if let Some(link) = application.link() {
            self.application_links.remove(&link);
            if tell {
                let message = AppDown::Ended { state, reason: message };
                fx.push(Effect::ToApplication { link, message });
            }
            fx.push(Effect::CloseLink { link });
        }
        for (executor, worker) in executors {
            self.kill_executor(&worker, &(id.clone(), executor), "its application is over", fx);
        }
        // A worker that is away lists the application when it comes back, and is told then.
        for link in application.workers.iter().filter_map(|worker| self.workers.get(worker)?.link()) {
            let message = WorkerDown::ApplicationFinished { application: id.clone() };
            fx.push(Effect::ToWorker { link, message });
        }
        let ever_had = application.ever_had();
        self.completed.push_back(Completed { view, ends: application.ends, ever_had });
        while self.completed.len() > self.options.retained_applications {
            self.completed.pop_front();
        }
        self.dirty = true;
    }

    /// Ends the applications whose drivers have been away for too long.
    pub(super) fn sweep_applications(&mut self, now: Now, fx: &mut Vec<Effect>) {
        let options = &self.options;
        let expired = |application: &Application| application.expires(options).is_some_and(|at| at <= now);
        let over: Vec<_> = self.applications.iter().filter(|(_, a)| expired(a)).map(|(serial, _)| *serial).collect();
        let message = format!("its driver went away and did not come back within {:?}", self.options.driver_grace);
        for serial in over {
            self.end_application(now, serial, ApplicationState::Killed, message.clone(), false, fx);
        }
        for application in self.applications.values_mut() {
            self.dirty |= application.retries.resume(now);
        }
    }

    fn application_mut(&mut self, serial: u32) -> &mut Application {
        self.applications.get_mut(&serial).expect("serials name applications")
    }

    fn refuse_driver(&self, link: LinkId, refusal: Refusal, fx: &mut Vec<Effect>) {
        let term = self.options.term;
        fx.push(Effect::ToApplication { link, message: AppDown::Refused { refusal, term } });
        fx.push(Effect::CloseLink { link });
    }

    /// Panics if applications and their links contradict each other.
    pub(super) fn check_applications(&self) {
        assert_eq!(self.serials.len(), self.applications.len(), "an application has two names, or none");
        for (serial, application) in &self.applications {
            application.check(&self.options);
            assert!(*serial <= self.last_serial, "{} has a future number", application.id);
            assert_eq!(self.serials.get(&application.id), Some(serial), "{} is not known by its id", application.id);
            if let Some(link) = application.link() {
                assert_eq!(
                    self.application_links.get(&link),
                    Some(serial),
                    "{}: its link is not known",
                    application.id
                );
            }
            for (executor, held) in &application.executors {
                let key = (application.id.clone(), *executor);
                let there = self.workers.get(&held.worker).is_some_and(|worker| worker.executors().contains_key(&key));
                assert!(there, "{key:?} is not on {}", held.worker);
            }
        }
        let linked = self.applications.values().filter(|a| a.link().is_some()).count();
        assert_eq!(linked, self.application_links.len(), "a link of no application is kept");
        assert!(self.completed.len() <= self.options.retained_applications, "too many applications are kept");
        assert!(self.completed.iter().all(|c| c.view.state.is_final()), "an application is completed and not over");
    }
}

/// A name that people gave, fit for a line of a log: quoted, escaped, and not too long.
pub(super) fn named(name: &str) -> String {
    const SHOWN: usize = 80;
    let short: String = name.chars().take(SHOWN).collect();
    format!("{short:?}{}", if short.len() < name.len() { "…" } else { "" })
}
