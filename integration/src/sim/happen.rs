//! The shells of the simulation, first half: what happens becomes events.

use super::{
    cluster::{Asking, Cluster, Message, Occurrence},
    faults::Note,
    network::LinkKind,
    node::{NodeId, Process},
};
use hearth_core::{LinkId, Machine};
use hearth_driver::machine as driver;
use hearth_executor::machine as executor;
use hearth_master::machine as master;
use hearth_worker::machine as worker;
use std::time::Duration;

impl Cluster {
    /// Lets one occurrence happen.
    pub(super) fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Tick(node) => self.tick(node),
            Occurrence::Deliver { link, side, message } => self.deliver(link, side, message),
            Occurrence::Opened { to, link } => self.opened(to, link),
            Occurrence::Closed { link, side } => self.closed(link, side),
            Occurrence::Look { link, side, episode } => self.look(link, side, episode),
            Occurrence::DialFailed { to } => self.dial_failed(to),
            Occurrence::Knocks { kind, from, to, knocks } => self.knock(kind, from, Some(to), knocks),
            Occurrence::MasterStarts => self.start_master(),
            Occurrence::WorkerStarts { place } => self.start_worker(place),
            Occurrence::DriverStarts { place } => self.start_driver(place),
            Occurrence::BlockServiceStarts { of, port } => self.start_block_service(of, port),
            Occurrence::ExecutorStarts { of, launch } => self.start_executor(of, launch),
            Occurrence::ChildFails { of, child } => {
                self.worker_event(of, worker::Event::SpawnFailed { child, message: "no more processes".into() });
            }
            Occurrence::ChildIsOver { of, child, exit_code } => {
                self.worker_event(
                    of,
                    worker::Event::ChildExited { child, exit_code, cause: None, tail: String::new() },
                );
            }
            Occurrence::Exits { node, exit_code } => self.executor_exits(node, exit_code),
            Occurrence::TaskReads { node, task } => self.task_reads(node, task),
            Occurrence::TaskEnds { node, task, result } => self.task_ends(node, task, result),
            Occurrence::Asks(asking) => self.ask(asking),
            Occurrence::Asked(asking) => self.asked(asking),
            Occurrence::PayloadCame { to, hash, answer } => {
                self.executor_event(to, executor::Event::PayloadArrived { hash, answer });
            }
            Occurrence::StatusesCame { to, shuffle, answer } => {
                self.executor_event(to, executor::Event::MapStatusesArrived { shuffle, answer });
            }
            Occurrence::Crashes { node } => self.crash(node, 134),
            Occurrence::ReaderTakes { node, job } => self.reader_takes(node, job),
            Occurrence::FaultIsDue { place } => self.fault_is_due(place),
            Occurrence::FaultIsOver { place } => self.fault_is_over(place),
        }
    }

    fn deliver(&mut self, link: LinkId, side: usize, message: Message) {
        if !self.network.is_heard(link, side, self.now) {
            self.outcome.messages_lost += 1;
            return;
        }
        let to = self.network.end(link, side);
        let wall = self.wall();
        match message {
            Message::WorkerUp(message) => {
                self.master_event(to, master::Event::WorkerSaid { link, wall, message });
            }
            Message::AppUp(message) => {
                self.master_event(to, master::Event::ApplicationSaid { link, wall, message });
            }
            Message::WorkerDown(message) => self.worker_event(to, worker::Event::MasterSaid { link, message }),
            Message::AppDown(message) => self.driver_event(to, driver::Event::MasterSaid { link, message }),
            Message::TaskUp(message) => self.driver_event(to, driver::Event::ExecutorSaid { link, message }),
            Message::TaskDown(message) => self.executor_event(to, executor::Event::DriverSaid { link, message }),
        }
    }

    fn opened(&mut self, to: NodeId, link: LinkId) {
        if !self.network.is_heard(link, 0, self.now) {
            return self.dial_failed(to); // It broke before anybody knew that it was there.
        }
        match self.network.kind(link) {
            LinkKind::Worker => self.worker_event(to, worker::Event::LinkOpened { link }),
            LinkKind::Application => self.driver_event(to, driver::Event::MasterLinkOpened { link }),
            LinkKind::Task => self.executor_event(to, executor::Event::LinkOpened { link }),
        }
    }

    fn closed(&mut self, link: LinkId, side: usize) {
        if !self.network.learned(link, side) {
            return;
        }
        let jitter = self.chance.jitter();
        let to = self.network.end(link, side);
        let reason = String::new();
        match (self.network.kind(link), side) {
            (LinkKind::Worker, 0) => self.worker_event(to, worker::Event::LinkClosed { link, reason, jitter }),
            (LinkKind::Worker, _) => self.master_event(to, master::Event::WorkerLinkClosed { link }),
            (LinkKind::Application, 0) => self.driver_event(to, driver::Event::MasterLinkClosed { link, jitter }),
            (LinkKind::Application, _) => self.master_event(to, master::Event::ApplicationLinkClosed { link }),
            (LinkKind::Task, 0) => self.executor_event(to, executor::Event::LinkClosed { link }),
            (LinkKind::Task, _) => self.driver_event(to, driver::Event::ExecutorLinkClosed { link }),
        }
    }

    fn look(&mut self, link: LinkId, side: usize, episode: u32) {
        let peer = &self.nodes[self.network.end(link, 1 - side).0];
        let hears = !peer.is_paused(self.now);
        let arrivals = self.network.look(self.now, link, side, episode, hears, &mut self.chance);
        self.arrive(link, arrivals);
    }

    fn dial_failed(&mut self, to: NodeId) {
        let (reason, jitter) = ("refused".to_owned(), self.chance.jitter());
        match &self.nodes[to.0].process {
            Process::Worker(_) => self.worker_event(to, worker::Event::DialFailed { reason, jitter }),
            Process::Driver(_) => self.driver_event(to, driver::Event::MasterDialFailed { reason, jitter }),
            Process::Executor(_) => self.executor_event(to, executor::Event::DialFailed { reason }),
            Process::Master(_) => unreachable!("the master dials nobody"),
            Process::Gone => {}
        }
    }

    /// Lets a machine take the passing of time.
    fn tick(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        // One that was queued for a later deadline and overtaken is not the one that is awaited.
        if node.tick_at.is_some_and(|at| at <= self.now) {
            node.tick_at = None;
        }
        let (now, checked) = (self.now, self.options.checked);
        match &mut node.process {
            Process::Master(machine) => {
                let fx = tick(&mut **machine, now, checked);
                self.perform_master(id, fx);
            }
            Process::Worker(process) => {
                let fx = tick(&mut process.machine, now, checked);
                self.perform_worker(id, fx);
            }
            Process::Driver(process) => {
                let fx = tick(&mut process.machine, now, checked);
                self.perform_driver(id, fx);
            }
            Process::Executor(process) => {
                let fx = tick(&mut process.machine, now, checked);
                self.perform_executor(id, fx);
            }
            Process::Gone => return,
        }
        self.schedule(id);
    }

    pub(super) fn master_event(&mut self, id: NodeId, event: master::Event) {
        if let Process::Master(machine) = &mut self.nodes[id.0].process {
            let fx = step(&mut **machine, self.now, event, self.options.checked);
            self.perform_master(id, fx);
            self.schedule(id);
        }
    }

    pub(super) fn worker_event(&mut self, id: NodeId, event: worker::Event) {
        if let Process::Worker(process) = &mut self.nodes[id.0].process {
            let fx = step(&mut process.machine, self.now, event, self.options.checked);
            self.perform_worker(id, fx);
            self.schedule(id);
        }
    }

    pub(super) fn driver_event(&mut self, id: NodeId, event: driver::Event) {
        if let Process::Driver(process) = &mut self.nodes[id.0].process {
            let fx = step(&mut process.machine, self.now, event, self.options.checked);
            self.perform_driver(id, fx);
            self.schedule(id);
        }
    }

    pub(super) fn executor_event(&mut self, id: NodeId, event: executor::Event) {
        if let Process::Executor(process) = &mut self.nodes[id.0].process {
            let fx = step(&mut process.machine, self.now, event, self.options.checked);
            self.perform_executor(id, fx);
            self.schedule(id);
        }
    }

    /// A process is gone all at once: what it said last may be lost.
    pub(super) fn vanish(&mut self, id: NodeId) {
        for link in self.network.links_of(id) {
            let arrivals = self.network.cut(self.now, link, None, &mut self.chance);
            self.arrive(link, arrivals);
        }
        self.nodes[id.0].process = Process::Gone;
    }

    pub(super) fn dial(&mut self, kind: LinkKind, from: NodeId, to: Option<NodeId>) {
        self.knock(kind, from, to, 0);
    }

    /// Knocks at a door, and again until the try has taken too long: as TCP does after 1 s and 3 s.
    fn knock(&mut self, kind: LinkKind, from: NodeId, to: Option<NodeId>, knocks: usize) {
        /// When to knock again, and when to give up.
        const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
        const LAST: Duration = Duration::from_secs(2);
        if self.nodes[from.0].is_gone() {
            return;
        }
        let delay = self.chance.millis(0, self.network.slowest_millis);
        let host = self.nodes[from.0].host;
        let target = to.filter(|to| !self.nodes[to.0].is_gone()).map(|to| (to, self.nodes[to.0].host));
        match target {
            None => self.later(delay, Occurrence::DialFailed { to: from }),
            Some((to, there))
                if self.network.reaches_both_ways(host, there) && !self.nodes[to.0].is_paused(self.now) =>
            {
                let link = self.network.open(kind, [from, to], [host, there]);
                self.later(delay, Occurrence::Opened { to: from, link });
            }
            Some((to, _)) => match PAUSES.get(knocks) {
                Some(pause) => self.later(*pause, Occurrence::Knocks { kind, from, to, knocks: knocks + 1 }),
                None => self.later(LAST, Occurrence::DialFailed { to: from }),
            },
        }
    }

    /// One try of an executor to ask its driver something.
    fn ask(&mut self, asking: Asking) {
        let Asking { by, of, .. } = asking;
        if self.nodes[by.0].is_gone() {
            return;
        }
        let delay = self.chance.millis(0, self.network.slowest_millis);
        let (from, to) = (self.nodes[by.0].host, self.nodes[of.0].host);
        if self.nodes[of.0].is_gone() {
            self.ask_again(asking, Duration::from_millis(100 << asking.tries.min(4)));
        } else if self.network.reaches_both_ways(from, to) {
            self.later(delay, Occurrence::Asked(asking));
        } else {
            self.ask_again(asking, Duration::from_secs(2));
        }
    }

    pub(super) fn ask_again(&mut self, asking: Asking, pause: Duration) {
        if self.now.after(pause) > asking.until {
            self.outcome.answers_lost += 1;
            self.faults.note(self.now, Note::NoAnswer, asking.of);
            self.answer_with_nothing(asking);
        } else {
            self.later(pause, Occurrence::Asks(Asking { tries: asking.tries + 1, ..asking }));
        }
    }
}

fn step<M: Machine>(machine: &mut M, now: hearth_core::Now, event: M::Event, checked: bool) -> Vec<M::Effect> {
    let mut fx = Vec::new();
    machine.handle(now, event, &mut fx);
    if checked {
        machine.check();
    }
    fx
}

/// Ticks a machine whose deadline has come; afterwards it lies in the future.
fn tick<M: Machine>(machine: &mut M, now: hearth_core::Now, checked: bool) -> Vec<M::Effect> {
    let mut fx = Vec::new();
    if machine.deadline().is_none_or(|at| at > now) {
        return fx;
    }
    machine.tick(now, &mut fx);
    if checked {
        machine.check();
        assert!(machine.deadline().is_none_or(|at| at > now), "a tick left its deadline behind");
    }
    fx
}
