//! The executor's machine: task slots, what tasks need before they run, and the link to the driver.
//!
//! ```text
//!                  LinkOpened                  Registered
//! CONNECTING ────────────────> REGISTERING ────────────────> REGISTERED ──┐
//!     ^  │                          │ closed                     │ closed │ Stop, StopAsked: EXITED 0
//!     │  └ DialFailed               v                            v        │ Refused:        EXITED 1
//!     └──────────────────────── RECONNECTING (pauses of 100 ms doubling to 2 s) ── 20 s without a link: EXITED 1
//!
//! task:   Launch ──> WAITING ──(payload and map statuses are here)──> RUNNING ──TaskEnded──> reported, slot free
//!                       │ Kill, Forget, refused answer                  │ Kill
//!                       v                                               v
//!                    reported as failed                             CANCELLING ──TaskEnded──> reported, slot free
//! ```
//!
//! Invariants ([`Executor::check`](hearth_core::Machine::check)):
//! - Tasks that wait, run or are being cancelled hold the slots that their launches say; never more than there are.
//! - A task waits only for something that was asked for; each thing is asked for once at a time.
//! - News of tasks leaves in one message a step (more only where its size demands it). Without a registered link it is kept, the last of each task only, and
//!   goes out right after the next registration.
//! - A registration names every task whose last news the driver cannot have: those in slots and those with news kept.
//!   So a driver may take a task that is not named for lost, whatever became of messages on the old link.
//! - Once exited, nothing happens any more.
//!
//! Read `tests/tasks.rs` first.

mod cache;
mod event;
mod link;
mod options;
mod supplies;
mod tasks;
#[cfg(test)]
mod tests;

pub use event::{Effect, Event};
pub use options::ExecutorOptions;

use cache::Cache;
use hearth_core::{
    Level, LinkId, Machine, Mutant, Now, Refusal,
    messages::{
        VERSION,
        task::{EXIT_WITHOUT_DRIVER, ExecutorRegistration, TaskDown, TaskUp},
    },
};
use link::{DriverLink, Due};
use supplies::Supplies;
use tasks::Tasks;

/// One executor.
#[derive(Debug)]
pub struct Executor {
    options: ExecutorOptions,
    link: DriverLink,
    tasks: Tasks,
    supplies: Supplies,
    exited: bool,
}

impl Executor {
    /// Starts by dialing the driver.
    pub fn start(now: Now, options: ExecutorOptions, fx: &mut Vec<Effect>) -> Self {
        let link = DriverLink::start(now, &options, fx);
        let supplies = Supplies::new(&options);
        Self { tasks: Tasks::new(options.cores), options, link, supplies, exited: false }
    }

    /// Panics unless nothing is left of any job: the state after the last `Forget`.
    pub fn assert_empty(&self) {
        self.tasks.assert_empty();
        assert!(self.supplies.is_empty(), "payloads, map statuses or questions are left: {:?}", self.supplies);
    }

    fn register(&self, link: LinkId, fx: &mut Vec<Effect>) {
        let ExecutorOptions { application, executor, worker, host, cores, blocks, .. } = &self.options;
        let registration = ExecutorRegistration {
            version: VERSION.into(),
            application: application.clone(),
            executor: *executor,
            worker: worker.clone(),
            host: host.clone(),
            cores: *cores,
            blocks: blocks.clone(),
            running: if Mutant::RunningTasksNotNamed.is_on() { Vec::new() } else { self.tasks.unreported() },
        };
        fx.push(Effect::ToDriver { link, message: TaskUp::Register(registration) });
    }

    fn driver_said(&mut self, now: Now, link: LinkId, message: TaskDown, fx: &mut Vec<Effect>) {
        if !self.link.is_open(link) {
            return;
        }
        self.link.heard(now);
        match message {
            TaskDown::Registered => {
                if self.link.answered(now) {
                    self.link.heard(now);
                    log(fx, Level::Info, "registered with the driver");
                }
            }
            TaskDown::Refused(refusal) => self.exit(1, refused(&refusal), fx),
            TaskDown::Stop { reason } => self.exit(0, format!("the driver said stop: {reason}"), fx),
            _ if self.link.registered().is_none() => {
                log(fx, Level::Warn, "the driver gave orders before it answered the registration; they are dropped");
            }
            TaskDown::Heartbeat => {}
            TaskDown::Launch(launches) => {
                for launch in launches {
                    self.tasks.launch(launch, &mut self.supplies, fx);
                }
            }
            TaskDown::Kill { task, reason } => self.tasks.kill(task, reason, fx),
            TaskDown::Forget { payloads, shuffles, results } => {
                self.supplies.forget(&payloads, &shuffles);
                self.tasks.forget(&payloads, &shuffles);
                if !shuffles.is_empty() || !results.is_empty() {
                    fx.push(Effect::RemoveFiles { shuffles, results });
                }
            }
        }
    }

    /// What every step ends with.
    fn settle(&mut self, fx: &mut Vec<Effect>) {
        if self.exited {
            return;
        }
        self.tasks.start_ready(&mut self.supplies, fx);
        self.supplies.trim(self.tasks.launches());
        if let Some(link) = self.link.registered() {
            self.tasks.send_news(link, fx);
        }
    }

    fn stop(&mut self, reason: String, fx: &mut Vec<Effect>) {
        if let Some(link) = self.link.registered() {
            self.tasks.send_news(link, fx);
            fx.push(Effect::ToDriver { link, message: TaskUp::Leaving { reason: reason.clone() } });
        }
        self.exit(0, reason, fx);
    }

    /// Does not wait for its tasks: nobody wants what they give.
    fn exit(&mut self, code: i32, reason: String, fx: &mut Vec<Effect>) {
        self.tasks.cancel_all(&reason, fx);
        self.supplies.clear();
        self.exited = true;
        fx.push(Effect::Exit { code, reason });
    }
}

impl Machine for Executor {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Now, event: Event, fx: &mut Vec<Effect>) {
        if self.exited {
            return;
        }
        match event {
            Event::LinkOpened { link } => {
                if self.link.opened(link) {
                    self.register(link, fx);
                }
            }
            Event::DialFailed { reason } => {
                if self.link.dial_failed(now) {
                    log(fx, Level::Warn, format!("cannot reach the driver: {reason}"));
                }
            }
            Event::LinkClosed { link } => {
                if self.link.is_open(link) {
                    self.link.closed(now);
                    log(fx, Level::Warn, "the link to the driver is closed; opening another");
                }
            }
            Event::DriverSaid { link, message } => self.driver_said(now, link, message, fx),
            Event::PayloadArrived { hash, answer } => {
                let denied = self.supplies.payload_arrived(hash, answer);
                self.tasks.answered(denied, &mut self.supplies, fx);
            }
            Event::MapStatusesArrived { shuffle, answer } => {
                let denied = self.supplies.statuses_arrived(shuffle, answer);
                self.tasks.answered(denied, &mut self.supplies, fx);
            }
            Event::TaskEnded { task, result } => self.tasks.ended(task, result, fx),
            Event::StopAsked { reason } => self.stop(reason, fx),
        }
        self.settle(fx);
    }

    fn deadline(&self) -> Option<Now> {
        (!self.exited).then(|| self.link.deadline())
    }

    fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        if self.exited {
            return;
        }
        match self.link.due(now) {
            None => {}
            Some(Due::Heartbeat(link)) => fx.push(Effect::ToDriver { link, message: TaskUp::Heartbeat }),
            Some(Due::Dial) => fx.push(Effect::Dial),
            Some(Due::Alone) => {
                let seconds = self.options.driver_timeout.as_secs_f64();
                let why = format!("the driver has said nothing for {seconds} s (hearth.executor.driverTimeout)");
                self.exit(EXIT_WITHOUT_DRIVER, why, fx);
            }
        }
    }

    fn check(&self) {
        self.tasks.check(&self.supplies, self.link.registered().is_some());
        self.supplies.check(self.tasks.launches());
        if self.exited {
            self.assert_empty();
        }
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("the driver refused the registration: {refusal}")
}

fn log(fx: &mut Vec<Effect>, level: Level, text: impl Into<String>) {
    fx.push(Effect::Log { level, text: text.into() });
}
