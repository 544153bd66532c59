//! The life of executors: granted, reported on, killed, over.

use super::{
    Effect, Master, Record,
    application::Held,
    ends::Ended,
    placement::Grant,
    retry::Ending,
    worker::{Executor, ExecutorKey},
};
use hearth_core::messages::{
    application::{AppDown, ExecutorGrant},
    worker::{ExecutorLaunch, WorkerDown},
};
use hearth_core::{ApplicationState, ExecutorId, ExecutorState, Level, Mutant, Now, WorkerId};
use std::time::Duration;

/// How an executor ended.
pub(super) struct End {
    pub(super) state: ExecutorState,
    pub(super) message: String,
    pub(super) exit_code: Option<i32>,
}

impl End {
    pub(super) fn lost(message: impl Into<String>) -> Self {
        Self { state: ExecutorState::Lost, message: message.into(), exit_code: None }
    }

    /// What it means for the retries of its application.
    fn ending(&self, executor: &Executor) -> Ending {
        match (self.state, self.exit_code) {
            _ if executor.kill.is_some() => Ending::Excused,
            (ExecutorState::Exited, Some(0)) => Ending::Clean,
            (ExecutorState::Exited | ExecutorState::Failed, _) => Ending::Abnormal,
            _ => Ending::Excused,
        }
    }
}

impl Master {
    /// Applies a grant, if it still holds: the plan was made on a view, this is the cluster.
    pub(super) fn grant(&mut self, grant: Grant, fx: &mut Vec<Effect>) {
        let Grant { application, worker, resources } = grant;
        let target = self.serials.get(&application).and_then(|serial| self.applications.get_mut(serial));
        let host = self.workers.get_mut(&worker);
        let (Some(target), Some(host)) = (target, host) else { unreachable!("placement invented a name") };
        let (Some(driver), Some(link)) = (target.link(), host.link()) else {
            unreachable!("placement granted {resources} to or on what cannot be spoken to")
        };
        let open = target.demand(&self.options).is_some_and(|rest| rest.cores >= resources.cores);
        assert!(open, "placement gave {application} more than it may have");

        let id = target.take(Held { worker: worker.clone(), resources });
        let executor = Executor { resources, state: ExecutorState::Launching, running_since: None, kill: None };
        assert!(host.hold((application.clone(), id), executor), "placement oversubscribed {worker}");
        let spec = &target.spec;
        let launch = ExecutorLaunch {
            application: application.clone(),
            executor: id,
            resources,
            driver_url: spec.driver_url.clone(),
            conf: spec.conf.clone(),
        };
        let host = host.address.host.clone();
        let text = format!("{application}: executor {id} with {resources} on {worker}");
        let told = ExecutorGrant { executor: id, worker: worker.clone(), host, resources };
        fx.push(Effect::Persist(Record::ExecutorGranted { application, executor: id, worker, resources }));
        fx.push(Effect::log(Level::Info, text));
        // The driver first, so that it mostly knows an executor before that executor calls.
        fx.push(Effect::ToApplication { link: driver, message: AppDown::ExecutorGranted(told) });
        fx.push(Effect::ToWorker { link, message: WorkerDown::LaunchExecutor(launch) });
    }

    /// Takes a report on an executor from the worker that has it.
    pub(super) fn executor_reported(
        &mut self,
        now: Now,
        worker: &WorkerId,
        key: &ExecutorKey,
        end: End,
        fx: &mut Vec<Effect>,
    ) {
        let host = self.workers.get_mut(worker).expect("the worker that spoke is known");
        let link = host.link();
        let Some(executor) = host.executor_mut(key) else {
            let (application, id) = key;
            let text = format!("{worker} reports {} for executor {application}/{id}, which it has not", end.state);
            fx.push(Effect::log(Level::Debug, text));
            if let Some(link) = link.filter(|_| !end.state.is_final()) {
                // Whatever lives there holds cores that nobody granted.
                fx.push(kill(link, key, "the master does not know it"));
            }
            return;
        };
        let unheard = executor.kill.is_some() && Mutant::CoresNotReturned.is_on();
        if !executor.state.may_become(end.state) || unheard {
            return; // News that was told before.
        }
        if end.state == ExecutorState::Running {
            executor.state = ExecutorState::Running;
            executor.running_since = Some(now);
            self.tell_holder(worker, key, &end, fx);
        } else {
            self.executor_over(now, worker, key, end, fx);
        }
    }

    /// Takes an executor off its worker and its application, and tells the driver. Too many failures end the application.
    pub(super) fn executor_over(
        &mut self,
        now: Now,
        worker: &WorkerId,
        key: &ExecutorKey,
        end: End,
        fx: &mut Vec<Effect>,
    ) {
        let host = self.workers.get_mut(worker).expect("an executor lives on a worker");
        let executor = host.release(key).expect("only an executor that lives can end");
        self.dirty = true;
        self.tell_holder(worker, key, &end, fx);
        let (application, id) = key;
        let Some(&serial) = self.serials.get(application) else {
            if let Some(over) = self.completed.iter_mut().rev().find(|over| over.view.id == *application) {
                over.ends.remember(Ended {
                    executor: *id,
                    worker: worker.clone(),
                    state: end.state,
                    message: end.message,
                });
            }
            return;
        };
        let holder = self.applications.get_mut(&serial).expect("serials name applications");
        if holder.executors.get(id).is_none_or(|held| held.worker != *worker) {
            return;
        }
        holder.executors.remove(id);
        let ending = end.ending(&executor);
        if ending != Ending::Excused {
            let code = end.exit_code.map_or(String::new(), |code| format!(" with code {code}"));
            let text = format!("{application}: executor {id} on {worker} is over: {}{code}", end.state);
            fx.push(Effect::log(Level::Warn, text));
        }
        let ran = executor.running_since.map_or(Duration::ZERO, |since| now.since(since));
        holder.retries.ended(now, ran, ending, &self.options);
        let exhausted = ending == Ending::Abnormal && holder.retries.exhausted(&self.options);
        let reason = format!(
            "{} executors in a row failed within {:?} of their start and none is running; the last one, executor {id} on \
             {worker}: {}",
            holder.retries.failed, self.options.executor_settled, end.message
        );
        holder.ends.remember(Ended { executor: *id, worker: worker.clone(), state: end.state, message: end.message });
        if exhausted && !self.has_running(serial) {
            self.end_application(now, serial, ApplicationState::Failed, reason, true, fx);
        }
    }

    /// Whether an executor of an application runs.
    fn has_running(&self, serial: u32) -> bool {
        let application = &self.applications[&serial];
        application.executors.iter().any(|(id, held)| {
            let key = (application.id.clone(), *id);
            self.workers[&held.worker].executors()[&key].state == ExecutorState::Running
        })
    }

    /// Tells the driver of an executor, when it has one still.
    fn tell_holder(&self, worker: &WorkerId, key: &ExecutorKey, news: &End, fx: &mut Vec<Effect>) {
        let (application, executor) = key;
        let Some(holder) = self.serials.get(application).and_then(|serial| self.applications.get(serial)) else {
            return;
        };
        if holder.executors.get(executor).is_none_or(|held| held.worker != *worker) {
            return;
        }
        if let Some(link) = holder.link() {
            let message = AppDown::ExecutorChanged {
                executor: *executor,
                state: news.state,
                message: news.message.clone(),
                exit_code: news.exit_code,
            };
            fx.push(Effect::ToApplication { link, message });
        }
    }

    /// Kills an executor, once. Its share is free when its worker reports its end.
    pub(super) fn kill_executor(&mut self, worker: &WorkerId, key: &ExecutorKey, reason: &str, fx: &mut Vec<Effect>) {
        let host = self.workers.get_mut(worker).expect("an executor lives on a worker");
        let link = host.link();
        let executor = host.executor_mut(key).expect("it lives there");
        if executor.kill.is_some() {
            return;
        }
        executor.kill = Some(reason.to_owned());
        // A worker that is away is told when it comes back.
        if let Some(link) = link {
            fx.push(kill(link, key, reason));
        }
    }

    /// The executors of an application, each with its worker.
    pub(super) fn executors_of(&self, serial: u32) -> Vec<(ExecutorId, WorkerId)> {
        self.applications[&serial].executors.iter().map(|(id, held)| (*id, held.worker.clone())).collect()
    }
}

/// The order to kill an executor.
pub(super) fn kill(link: hearth_core::LinkId, key: &ExecutorKey, reason: &str) -> Effect {
    let (application, executor) = key.clone();
    Effect::ToWorker { link, message: WorkerDown::KillExecutor { application, executor, reason: reason.to_owned() } }
}
