//! News of children, and orders about them.

use super::{Child, Effect, executors::Key, log, reports::Report, worker::Worker};
use hearth_core::{
    ApplicationId, ExecutorState, Level, Mutant, Now, Resources,
    messages::worker::{ExecutorLaunch, LiveExecutor, WorkerUp},
};

/// Bytes of a failed executor's log that its report carries: some lines, for a message that crosses two links.
const MAX_TAIL: usize = 2 * 1024;

/// What an exit code says, in the words that `128 + signal` stands for.
fn describe(exit_code: i32) -> String {
    match exit_code {
        0 => "Exited".to_owned(),
        129..=192 => format!("Caught fatal signal {}", exit_code - 128),
        code => format!("Exited with error status {code}"),
    }
}

/// What an exit code says, with what else is known of the end, and the end of the log.
pub(super) fn describe_with_log(exit_code: i32, cause: Option<&str>, tail: &str) -> String {
    let mut what = describe(exit_code);
    if let Some(cause) = cause {
        what = format!("{what}: {cause}");
    }
    let tail = tail.trim();
    let mut from = tail.len().saturating_sub(MAX_TAIL);
    while !tail.is_char_boundary(from) {
        from += 1;
    }
    match &tail[from..] {
        "" => what,
        end => format!("{what}; the end of its log:\n{end}"),
    }
}

impl Worker {
    /// Starts an executor, unless that makes no sense.
    pub(super) fn launch(&mut self, now: Now, launch: ExecutorLaunch, fx: &mut Vec<Effect>) {
        let key = (launch.application.clone(), launch.executor);
        let child = Child::Executor(key.0.clone(), key.1);
        if self.executors.is_live(&key) {
            return log(fx, Level::Debug, format!("{child} is launched already"));
        }
        if let Some(report) = self.reports.of(&key) {
            // Ids are never used twice, so this is the same order again.
            let message = report.message();
            return self.say(message, fx);
        }
        if self.is_stopping() || self.executors.is_finished(&key.0) {
            let why = if self.is_stopping() { "the worker is stopping" } else { "the application is over" };
            return self.refuse(now, ended(key, ExecutorState::Killed, why), fx);
        }
        let free = self.free();
        if !free.fits(&launch.resources) {
            let why = format!("{child} wants {}, but only {free} are free on this worker", launch.resources);
            log(fx, Level::Warn, why.clone());
            return self.refuse(now, ended(key, ExecutorState::Failed, &why), fx);
        }
        log(fx, Level::Info, format!("starting {child} with {}", launch.resources));
        self.executors.add(key, launch.resources);
        fx.push(Effect::SpawnExecutor(launch));
    }

    /// Ends an executor.
    pub(super) fn kill(&mut self, now: Now, key: &Key, reason: &str, fx: &mut Vec<Effect>) {
        let child = Child::Executor(key.0.clone(), key.1);
        if self.executors.kill(now, key, reason, self.options.kill_grace, fx) {
            return log(fx, Level::Info, format!("ending {child}: {reason}"));
        }
        let message = match self.reports.of(key) {
            Some(report) => report.message(),
            None => ended(key.clone(), ExecutorState::Killed, "it is not on this worker").message(),
        };
        self.say(message, fx);
    }

    /// An application is over.
    pub(super) fn finish(&mut self, now: Now, application: ApplicationId, fx: &mut Vec<Effect>) {
        log(fx, Level::Info, format!("{application} is over"));
        let none_lives = self.executors.finish(now, &application, self.options.kill_grace, fx);
        if none_lives && !Mutant::FilesKept.is_on() {
            self.executors.forget(&application);
            fx.push(Effect::RemoveApplicationFiles { application });
        }
    }

    /// A child runs.
    pub(super) fn child_started(&mut self, now: Now, child: Child, pid: u32, port: u16, fx: &mut Vec<Effect>) {
        match child {
            Child::BlockService => {
                let started = self.blocks.started(now, port, self.options.kill_grace, fx);
                if let Err(hopeless) = started {
                    return self.give_up(now, hopeless.0, fx);
                }
                self.dial_first(fx);
            }
            Child::Executor(application, executor) => {
                let key = (application, executor);
                if self.executors.started(now, &key, self.options.kill_grace, fx) {
                    log(fx, Level::Info, format!("executor {}/{} runs as process {pid}", key.0, key.1));
                    if self.registered().is_some() {
                        self.say_running(fx);
                    }
                }
            }
        }
    }

    /// A child is over, or never was.
    pub(super) fn child_over(&mut self, now: Now, child: Child, end: End, fx: &mut Vec<Effect>) {
        match child {
            Child::BlockService => {
                let why = match end {
                    End::NeverStarted(message) => message,
                    End::Exited { exit_code, cause, tail } => describe_with_log(exit_code, cause.as_deref(), &tail),
                };
                let (limit, settled) = (self.options.block_service_deaths, self.options.block_service_settled);
                if let Err(hopeless) = self.blocks.died(now, &why, limit, settled, fx) {
                    self.give_up(now, hopeless.0, fx);
                }
            }
            Child::Executor(application, executor) => self.executor_over(now, (application, executor), end, fx),
        }
        self.stop_further(now, fx);
    }

    fn executor_over(&mut self, now: Now, executor: Key, end: End, fx: &mut Vec<Effect>) {
        let Some(remains) = self.executors.remove(&executor) else { return };
        let exit_code = match &end {
            End::NeverStarted(_) => None,
            End::Exited { exit_code, .. } => Some(*exit_code),
        };
        let (state, message) = match (remains.killed, end) {
            (Some(reason), _) => (ExecutorState::Killed, reason),
            (None, End::NeverStarted(message)) => (ExecutorState::Failed, message),
            (None, End::Exited { exit_code: 0, .. }) => (ExecutorState::Exited, describe(0)),
            (None, End::Exited { exit_code, cause, tail }) => {
                (ExecutorState::Failed, describe_with_log(exit_code, cause.as_deref(), &tail))
            }
        };
        let (application, id) = &executor;
        let level = if state == ExecutorState::Failed { Level::Warn } else { Level::Info };
        log(fx, level, format!("executor {application}/{id} is {state}: {message}"));
        let application = application.clone();
        self.report(now, Report { executor, state, message, exit_code }, remains.was, fx);
        if remains.last_of_finished {
            self.executors.forget(&application);
            fx.push(Effect::RemoveApplicationFiles { application });
        }
    }

    /// What no executor holds.
    pub(super) fn free(&self) -> Resources {
        self.options.resources.minus(&self.executors.used()).unwrap_or_default()
    }

    /// Says the end of an executor that the master wants and that never was.
    fn refuse(&mut self, now: Now, report: Report, fx: &mut Vec<Effect>) {
        self.say(report.message(), fx);
        self.reports.keep_said(now, report);
    }

    /// Says a final state, now or as soon as there is a link.
    fn report(&mut self, now: Now, report: Report, was: LiveExecutor, fx: &mut Vec<Effect>) {
        if self.registered().is_some() {
            self.say(report.message(), fx);
            self.reports.keep_said(now, report);
        } else {
            self.reports.keep_unsaid(report, was);
        }
    }

    /// Says which executors run that the master does not know to run.
    pub(super) fn say_running(&mut self, fx: &mut Vec<Effect>) {
        for (application, executor) in self.executors.tell_new() {
            let message = WorkerUp::ExecutorChanged {
                application,
                executor,
                state: ExecutorState::Running,
                message: String::new(),
                exit_code: None,
            };
            self.say(message, fx);
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(super) enum End {
    /// It could not be started: why.
    NeverStarted(String),
    /// It ran.
    Exited {
        /// Its exit code.
        exit_code: i32,
        /// What else is known of its end.
        cause: Option<String>,
        /// The end of its log.
        tail: String,
    },
}

/// The end of an executor that never was.
fn ended(executor: Key, state: ExecutorState, message: &str) -> Report {
    Report { executor, state, message: message.to_owned(), exit_code: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_in_words() {
        assert_eq!(describe(0), "Exited");
        assert_eq!(describe(3), "Exited with error status 3");
        assert_eq!(describe(128), "Exited with error status 128");
        assert_eq!(describe(137), "Caught fatal signal 9");
        assert_eq!(describe(255), "Exited with error status 255");
    }

    #[test]
    fn tails_are_cut_between_characters() {
        assert_eq!(describe_with_log(1, None, " \n"), "Exited with error status 1");
        assert_eq!(describe_with_log(1, None, "boom\n"), "Exited with error status 1; the end of its log:\nboom");
        assert_eq!(
            describe_with_log(137, Some("by the kernel"), "boom"),
            "Caught fatal signal 9: by the kernel; the end of its log:\nboom"
        );
        // 2048 is no multiple of 3: a cut by bytes would split a character.
        let long = describe_with_log(1, None, &"€".repeat(1000));
        assert_eq!(long.matches('€').count(), 682);
    }
}
