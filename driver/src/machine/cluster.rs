//! Executors that come and go, and what the master says.

use super::{Driver, Effect, JobNews, failure::JobFailure, tasks::RunningTask};
use hearth_core::{
    ExecutorId, ExecutorState, Level, LinkId, Mutant, Now, Refusal, WorkerId,
    messages::{
        VERSION,
        application::{AppDown, AppUp},
        task::{EXIT_WITHOUT_DRIVER, ExecutorRegistration, TaskDown, TaskUp},
    },
};

/// An executor that ended abnormally.
pub(super) struct Crash {
    now: Now,
    exit_code: i32,
}

impl Crash {
    /// Exit codes of a process that somebody else ended, 128 and SIGKILL or SIGTERM: an operator, the kernel that runs
    /// out of memory, a machine that shuts down. A task can hardly do that to its own process; one that makes the kernel
    /// do it is bounded as a loss. Nor is it to blame when we could not be heard.
    const ENDED_BY_OTHERS: [i32; 3] = [137, 143, EXIT_WITHOUT_DRIVER];

    /// For people, after "executor 1". The end of its log is in the log already, once, and need not be said again for
    /// each of its tasks.
    fn how(&self) -> String {
        match self.exit_code {
            EXIT_WITHOUT_DRIVER => format!("heard nothing of its driver (exit code {EXIT_WITHOUT_DRIVER})"),
            code @ 129..=192 => format!("died of signal {} (exit code {code})", code - 128),
            code => format!("ended with exit code {code}"),
        }
    }
}

impl Driver {
    pub(super) fn executor_said(&mut self, now: Now, link: LinkId, message: TaskUp, fx: &mut Vec<Effect>) {
        let speaker = self.executors.heard(now, link);
        match (speaker, message) {
            (None, TaskUp::Register(said)) => self.executor_registers(now, link, said, fx),
            (None, _) => fx.push(Effect::CloseExecutorLink { link }), // It was lost, or did not say who it is.
            (Some(id), TaskUp::Register(_)) => {
                let text = format!("executor {id} registered twice on one link; the second one is ignored");
                fx.push(Effect::Log { level: Level::Warn, text });
            }
            // The executor wants to hear that its driver lives.
            (Some(id), TaskUp::Heartbeat) => self.executors.tell(id, TaskDown::Heartbeat, fx),
            (Some(id), TaskUp::Statuses(news)) => self.statuses(now, id, news, fx),
            (Some(id), TaskUp::Leaving { reason }) => {
                fx.push(Effect::Log { level: Level::Info, text: format!("executor {id} leaves: {reason}") });
                self.drop_executor(id, None, fx);
            }
        }
    }

    fn executor_registers(&mut self, now: Now, link: LinkId, said: ExecutorRegistration, fx: &mut Vec<Effect>) {
        if self.master.is_nameless() {
            // It was quicker than the master's word on whose it is. It comes again.
            return fx.push(Effect::CloseExecutorLink { link });
        }
        if let Err(refusal) = self.vet(&said) {
            let text = format!("executor {} at {} was refused: {refusal}", said.executor, said.host);
            fx.push(Effect::Log { level: Level::Warn, text });
            fx.push(Effect::ToExecutor { link, message: TaskDown::Refused(refusal) });
            fx.push(Effect::CloseExecutorLink { link });
            return;
        }
        let (id, claimed) = (said.executor, said.running.clone());
        let text = format!("executor {id} at {} is here with {} slots", said.host, said.cores);
        fx.push(Effect::Log { level: Level::Debug, text });
        if let Some(old) = self.executors.connected(now, link, said) {
            fx.push(Effect::CloseExecutorLink { link: old });
        }
        fx.push(Effect::ToExecutor { link, message: TaskDown::Registered });
        // What we think runs there and does not is lost; what runs there and should not is ended.
        let ours = self.executors.tasks_of(id);
        for task in ours.iter().filter(|task| !claimed.contains(task)) {
            self.executors.release(id, *task);
            let lost = self.tasks.lost(*task);
            self.dag.task_lost(lost.set.stage);
        }
        for task in claimed {
            if !ours.contains(&task) || self.tasks.get(task).is_some_and(RunningTask::is_killed) {
                if !ours.contains(&task) && !Mutant::StraysNotCounted.is_on() {
                    self.executors.leaves(id, task, now.after(self.options.reap_timeout));
                }
                let reason = "the driver does not wait for it any more".to_owned();
                self.executors.tell(id, TaskDown::Kill { task, reason }, fx);
            }
        }
    }

    fn vet(&self, said: &ExecutorRegistration) -> Result<(), Refusal> {
        if said.version != VERSION {
            return Err(Refusal::VersionMismatch { theirs: said.version.clone(), ours: VERSION.into() });
        }
        if !self.master.is_ours(&said.application) && !Mutant::StrangersTaken.is_on() {
            return Err(Refusal::UnknownApplication(said.application.clone()));
        }
        if self.over.is_some() || self.executors.is_lost(said.executor) {
            return Err(Refusal::UnknownExecutor(said.executor));
        }
        if said.cores == 0 {
            return Err(Refusal::Malformed("an executor needs at least one core".into()));
        }
        match self.executors.get(said.executor) {
            Some(known) if known.used() > said.cores => {
                Err(Refusal::Malformed(format!("{} cores are fewer than it had before", said.cores)))
            }
            None if !self.executors.takes_strangers() => Err(Refusal::Full {
                what: "executors that the master has not spoken of".into(),
                limit: super::executors::MAX_UNGRANTED as u64,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn executor_link_closed(&mut self, now: Now, link: LinkId, fx: &mut Vec<Effect>) {
        if let Some(id) = self.executors.link_closed(now, link, self.options.link_grace) {
            fx.push(Effect::Log { level: Level::Debug, text: format!("the link of executor {id} closed") });
        }
    }

    /// Whoever has been away or silent for too long.
    pub(super) fn executors_tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        while let Some(id) = self.executors.next_overdue(now) {
            let text = format!("executor {id} did not come back; its tasks are queued again");
            fx.push(Effect::Log { level: Level::Warn, text });
            self.requeue_tasks(id);
        }
        for id in self.executors.silent(now, self.options.network_timeout) {
            let seconds = self.options.network_timeout.as_secs();
            self.give_up_executor(id, format!("silent for {seconds} s (spark.network.timeout)"), fx);
        }
        while let Some((task, id)) = self.tasks.next_unreaped(now).or_else(|| self.executors.next_unreaped(now)) {
            let seconds = self.options.reap_timeout.as_secs();
            let why = format!("task {task} did not end within {seconds} s of being killed (hearth.task.reapTimeout)");
            self.give_up_executor(id, why, fx);
        }
    }

    /// We give it up before anybody says that it is over.
    fn give_up_executor(&mut self, id: ExecutorId, reason: String, fx: &mut Vec<Effect>) {
        fx.push(Effect::Log { level: Level::Warn, text: format!("executor {id} is given up: {reason}") });
        self.drop_executor(id, None, fx);
        self.master.tell(AppUp::KillExecutors { executors: vec![id], reason }, fx);
    }

    /// The executor's tasks are queued again, and remembered as suspects.
    fn requeue_tasks(&mut self, id: ExecutorId) {
        for task in self.executors.tasks_of(id) {
            self.executors.release(id, task);
            let suspect = self.tasks.lost(task);
            self.dag.task_lost(suspect.set.stage);
            if let Some(executor) = self.executors.get_mut(id) {
                executor.suspects.push(suspect);
            }
        }
    }

    /// It is lost for good, and what it served itself with it. A crash counts against the tasks that it had, unless
    /// somebody else ended it.
    pub(super) fn drop_executor(&mut self, id: ExecutorId, crash: Option<Crash>, fx: &mut Vec<Effect>) {
        self.requeue_tasks(id);
        let place = self.place(id);
        let Some((executor, link)) = self.executors.lose(id) else { return };
        if let Some(link) = link {
            fx.push(Effect::CloseExecutorLink { link });
        }
        if let Some(crash) = crash {
            let own_fault = !Crash::ENDED_BY_OTHERS.contains(&crash.exit_code);
            for suspect in executor.suspects {
                let verdict = self.tasks.crashed(suspect, own_fault, crash.how(), &place);
                self.act_on(crash.now, verdict, fx);
            }
        }
        self.dag.executor_lost(id, self.options.stage_max_attempts);
    }

    pub(super) fn master_said(&mut self, now: Now, message: AppDown, fx: &mut Vec<Effect>) {
        match message {
            AppDown::Registered { application, term } => {
                let failure = self.master.registered(now, application, term, fx);
                self.end_if(failure, fx);
            }
            AppDown::Refused { refusal, term } => {
                let failure = self.master.refused(now, refusal, term, fx);
                self.end_if(failure, fx);
            }
            AppDown::ExecutorGranted(grant) => {
                let executor = grant.executor;
                if self.executors.granted(now, grant) {
                    self.waiting = None;
                } else {
                    // It was given up while no master could be told.
                    let (executors, reason) = (vec![executor], "the driver has given it up".to_owned());
                    self.master.tell(AppUp::KillExecutors { executors, reason }, fx);
                }
            }
            AppDown::ExecutorChanged { executor, state, message, exit_code } => {
                if state.is_final() {
                    self.executor_over(now, executor, state, message, exit_code, fx);
                }
            }
            AppDown::WorkerRemoved { worker, reason } => self.worker_removed(&worker, &reason, fx),
            AppDown::Waiting { reason } => self.wait(reason, fx),
            AppDown::Ended { state, reason } => self.end_if(Some(JobFailure::Ended { state, reason }), fx),
        }
    }

    fn executor_over(
        &mut self,
        now: Now,
        id: ExecutorId,
        state: ExecutorState,
        message: String,
        exit_code: Option<i32>,
        fx: &mut Vec<Effect>,
    ) {
        if self.executors.is_lost(id) {
            return;
        }
        let code = exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        let level = if state == ExecutorState::Failed { Level::Warn } else { Level::Info };
        fx.push(Effect::Log { level, text: format!("executor {id} is {state}{code}: {message}") });
        // Who could not even be started, or was ended by somebody, says nothing about the tasks.
        let crash = exit_code.filter(|code| state == ExecutorState::Failed && *code != 0);
        let crash = crash.map(|exit_code| Crash { now, exit_code });
        self.drop_executor(id, crash, fx);
    }

    fn worker_removed(&mut self, worker: &WorkerId, reason: &str, fx: &mut Vec<Effect>) {
        fx.push(Effect::Log { level: Level::Warn, text: format!("worker {worker} is gone: {reason}") });
        for id in self.executors.on_worker(worker) {
            self.drop_executor(id, None, fx);
        }
        self.dag.worker_removed(worker, self.options.stage_max_attempts);
    }

    /// The master has nothing (more) for us. That matters when we have nothing at all.
    fn wait(&mut self, reason: String, fx: &mut Vec<Effect>) {
        if self.executors.has_connected() {
            fx.push(Effect::Log { level: Level::Debug, text: format!("no more executors: {reason}") });
        } else {
            fx.push(Effect::Log { level: Level::Warn, text: format!("waiting for executors: {reason}") });
            for job in self.dag.open_jobs() {
                fx.push(Effect::Job { job, news: JobNews::Waiting { reason: reason.clone() } });
            }
        }
        self.waiting = Some(reason);
    }
}
