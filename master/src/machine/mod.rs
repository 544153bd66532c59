//! The master's machine: who is there, who holds what, who gets what next.
//!
//! ```text
//! worker       Linked ──link closed──> Away ──registers again──> Linked, with all it had
//!                │  silent 60 s          │ 2 s
//!                │  or says it leaves    │
//!                └──────────> Dead <─────┘      Dead ──registers──> Linked, with nothing: what it still runs is killed
//!
//! application  Register ──> WAITING ──first grant──> RUNNING ──Unregister──> as its driver says
//!                              └──────────┴──link closed, 10 s──> KILLED
//!                              └──────────┴──10 failed executors in a row and none running──> FAILED
//!
//! executor     granted: LAUNCHING ──worker's report──> RUNNING ──report, or worker dead──> a final state, forgotten
//! ```
//!
//! An event changes tables (`worker_link`, `application_link`, `executor`); when it changed something that placement
//! looks at, placement runs at the end of the same step (`placement` plans, `executor` applies), and applications that
//! are left with nothing are told why (`explain`).
//!
//! Invariants, asserted by [`Machine::check`]:
//!
//! - cores and memory are accounted for on the worker, by executor, until that worker reports the executor's end or is
//!   dead; no worker is oversubscribed, also while killed executors still die;
//! - an executor on a worker is its application's, or it is being killed;
//! - what could be granted is granted: after each step a placement finds nothing to do;
//! - an application that has nothing and wants something has a stated reason, and was told;
//! - ids of executors are never used twice; a final state is never left; each link is one worker's or one driver's.
//!
//! Read `tests::an_application_gets_executors_and_gives_them_back` first.

mod admission;
mod application;
mod application_link;
mod ends;
mod event;
mod executor;
mod explain;
mod options;
pub mod placement;
mod record;
mod retry;
mod status;
mod worker;
mod worker_link;

pub use event::{Answer, Effect, Event};
pub use explain::{Holder, WaitReason};
pub use options::MasterOptions;
pub use record::{Asked, Record};

use application::{Application, Completed};
use hearth_core::messages::application::AppDown;
use hearth_core::{ApplicationId, LinkId, Machine, Now, WorkerId};
use placement::{Grant, Offer};
use std::collections::{BTreeMap, VecDeque};
use worker::Worker;

/// The master.
#[derive(Debug)]
pub struct Master {
    options: MasterOptions,
    workers: BTreeMap<WorkerId, Worker>,
    worker_links: BTreeMap<LinkId, WorkerId>,
    /// Those that are not over, by the order of their registration.
    applications: BTreeMap<u32, Application>,
    serials: BTreeMap<ApplicationId, u32>,
    application_links: BTreeMap<LinkId, u32>,
    completed: VecDeque<Completed>,
    last_serial: u32,
    /// Something changed that placement looks at.
    dirty: bool,
}

impl Master {
    /// A master that knows nobody yet.
    pub const fn new(options: MasterOptions) -> Self {
        Self {
            options,
            workers: BTreeMap::new(),
            worker_links: BTreeMap::new(),
            applications: BTreeMap::new(),
            serials: BTreeMap::new(),
            application_links: BTreeMap::new(),
            completed: VecDeque::new(),
            last_serial: 0,
            dirty: false,
        }
    }

    /// Panics unless the last application is over and nothing is left of it: for tests, after the last job.
    pub fn assert_empty(&self) {
        assert!(self.applications.is_empty(), "applications are left: {:?}", self.serials.keys().collect::<Vec<_>>());
        assert!(
            self.serials.is_empty() && self.application_links.is_empty(),
            "names or links of applications are left"
        );
        for (id, worker) in &self.workers {
            let left: Vec<_> = worker.executors().keys().collect();
            assert!(left.is_empty(), "executors are left on {id}: {left:?}");
            assert_eq!(worker.used(), hearth_core::Resources::default(), "{id} is still used");
        }
        assert!(!self.dirty, "a placement is due");
    }

    /// Places what can be placed, and tells those that are left with nothing why.
    fn settle(&mut self, now: Now, fx: &mut Vec<Effect>) {
        if std::mem::take(&mut self.dirty) {
            for grant in self.plan() {
                self.grant(grant, fx);
            }
        }
        self.tell_waiting(now, fx);
    }

    /// What placement would grant.
    fn plan(&self) -> Vec<Grant> {
        let demands: Vec<_> = self.applications.values().filter_map(|a| a.demand(&self.options)).collect();
        if demands.is_empty() {
            return Vec::new();
        }
        let usable = self.workers.iter().filter(|(_, worker)| worker.link().is_some() && worker.free().cores > 0);
        let offers = usable.map(|(id, worker)| Offer { worker: id.clone(), free: worker.free() }).collect();
        placement::place(self.options.spread_out, offers, &demands)
    }

    /// Tells the applications that have nothing why: at once, and then once a period.
    fn tell_waiting(&mut self, now: Now, fx: &mut Vec<Effect>) {
        let next = now.after(self.options.waiting_log_period);
        let mut told = Vec::new();
        for (serial, application) in &mut self.applications {
            let link = application.link().filter(|_| application.is_starved(&self.options));
            match (link, application.next_notice) {
                (None, _) => application.next_notice = None,
                (Some(_), Some(at)) if at > now => {}
                (Some(link), _) => {
                    application.next_notice = Some(next);
                    told.push((*serial, link));
                }
            }
        }
        for (serial, link) in told {
            if let Some(reason) = self.wait_reason(now, &self.applications[&serial]) {
                let message = AppDown::Waiting { reason: reason.to_string() };
                fx.push(Effect::ToApplication { link, message });
            }
        }
    }
}

impl Machine for Master {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Now, event: Event, fx: &mut Vec<Effect>) {
        match event {
            Event::WorkerSaid { link, message, .. } => self.worker_said(now, link, message, fx),
            Event::WorkerLinkClosed { link } => self.worker_link_closed(now, link, fx),
            Event::ApplicationSaid { link, wall, message } => self.application_said(now, link, wall, message, fx),
            Event::ApplicationLinkClosed { link } => self.application_link_closed(now, link, fx),
            Event::StatusAsked { reply, .. } => {
                fx.push(Effect::Answer { reply, answer: Answer::Status(self.status(now)) });
            }
            Event::ExplainAsked { reply, id, .. } => {
                let answer = self.explain(now, &id).map_or_else(Answer::Refused, Answer::Explanation);
                fx.push(Effect::Answer { reply, answer });
            }
        }
        if self.dirty {
            self.settle(now, fx);
        }
    }

    fn deadline(&self) -> Option<Now> {
        let workers = self.workers.values().filter_map(|worker| worker.expires(&self.options));
        let applications = self.applications.values().flat_map(|application| {
            [application.expires(&self.options), application.retries.pause_until, application.next_notice]
        });
        workers.chain(applications.flatten()).min()
    }

    fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        self.sweep_workers(now, fx);
        self.sweep_applications(now, fx);
        self.settle(now, fx);
    }

    fn check(&self) {
        self.check_workers();
        self.check_applications();
        assert!(!self.dirty, "a placement is due");
        let plan = self.plan();
        assert!(plan.is_empty(), "something could be granted and is not: {plan:?}");
        for application in self.applications.values().filter(|a| a.is_starved(&self.options)) {
            // The time only decides how long a pause still lasts, not whether there is a reason.
            let reason = self.wait_reason(Now::default(), application);
            assert!(reason.is_some(), "{} waits and nobody can say why", application.id);
        }
    }
}

#[cfg(test)]
mod tests;
