//! The shells of masters and workers: their effects become what will happen.

use super::{
    cluster::{Cluster, MASTER_HOST, Message, Occurrence},
    faults::Note,
    justify,
    network::LinkKind,
    node::{NodeId, Process, WorkerProcess},
    options::Sabotage,
};
use hearth_core::{ApplicationId, LinkId};
use hearth_master::machine as master;
use hearth_worker::machine::{self as worker, Child};

/// How long processes take to start, in milliseconds.
const START: (u64, u64) = (5, 60);
/// How long processes take to die, in milliseconds.
pub(super) const DIE: (u64, u64) = (1, 30);

impl Cluster {
    /// Starts a master that knows nothing; its term is above those before.
    pub(super) fn start_master(&mut self) {
        self.term = (self.term + 1).max(self.wall().0 / 1000 + 1);
        let options = master::MasterOptions { url: "hearth://sim:7077".into(), term: self.term, ..Default::default() };
        let id = self.begin(MASTER_HOST, Process::Master(Box::new(master::Master::new(options))));
        self.master = Some(id);
        self.schedule(id);
    }

    pub(super) fn perform_master(&mut self, id: NodeId, fx: Vec<master::Effect>) {
        for effect in fx {
            match effect {
                master::Effect::Persist(_) | master::Effect::Answer { .. } => {}
                master::Effect::ToWorker { link, message } => self.send(id, link, Message::WorkerDown(message)),
                master::Effect::ToApplication { link, message } => self.send(id, link, Message::AppDown(message)),
                master::Effect::CloseLink { link } => self.close(id, link),
                master::Effect::Log { text, .. } => self.trace.say(self.now, || format!("master: {text}")),
            }
        }
    }

    pub(super) fn worker_host(place: usize) -> usize {
        MASTER_HOST + 1 + place
    }

    /// Starts the process of a worker.
    pub(super) fn start_worker(&mut self, place: usize) {
        let mut believed = self.options.workers[place];
        if self.options.sabotage == Some(Sabotage::CoresCountedTwice) {
            believed.cores *= 2;
        }
        let seat = &self.seats[place];
        let options = worker::WorkerOptions {
            port: seat.port,
            ..worker::WorkerOptions::new(seat.id.clone(), format!("host-{place}"), believed)
        };
        let process = WorkerProcess { machine: worker::Worker::new(options), place };
        let id = self.begin(Self::worker_host(place), Process::Worker(Box::new(process)));
        self.seats[place].node = Some(id);
        self.schedule(id);
    }

    pub(super) fn perform_worker(&mut self, id: NodeId, fx: Vec<worker::Effect>) {
        for effect in fx {
            match effect {
                worker::Effect::Dial => self.dial(LinkKind::Worker, id, self.master),
                worker::Effect::ToMaster { link, message } => self.send(id, link, Message::WorkerUp(message)),
                worker::Effect::CloseLink { link } => self.close(id, link),
                worker::Effect::SpawnBlockService { port } => {
                    let delay = self.chance.millis(START.0, START.1);
                    self.later(delay, Occurrence::BlockServiceStarts { of: id, port });
                }
                worker::Effect::SpawnExecutor(launch) => {
                    let delay = self.chance.millis(START.0, START.1);
                    let child = Child::Executor(launch.application.clone(), launch.executor);
                    let fails = self.spawn_fails();
                    if fails {
                        self.outcome.spawns_failed += 1;
                        let driver = Self::driver_at(&launch.driver_url);
                        self.faults.note(self.now, Note::BadEnd, driver);
                    }
                    self.later(
                        delay,
                        match fails {
                            true => Occurrence::ChildFails { of: id, child },
                            false => Occurrence::ExecutorStarts { of: id, launch },
                        },
                    );
                }
                worker::Effect::Kill { child, hard } => self.kill_child(id, child, hard),
                worker::Effect::RemoveApplicationFiles { application } => self.remove_files(id, &application),
                worker::Effect::RemoveOldApplications { .. } => {}
                worker::Effect::Log { text, .. } => {
                    self.trace.say(self.now, || format!("{id:?} worker: {text}"));
                }
                worker::Effect::Exit { code } => self.worker_exits(id, code),
            }
        }
    }

    fn kill_child(&mut self, of: NodeId, child: Child, hard: bool) {
        let delay = self.chance.millis(DIE.0, DIE.1);
        match &child {
            Child::BlockService => {
                if let Some(worker) = self.nodes[of.0].worker() {
                    self.seats[worker.place].serves_at = None;
                    self.later(delay, Occurrence::ChildIsOver { of, child, exit_code: 143 });
                }
            }
            Child::Executor(application, executor) => {
                let place = self.nodes[of.0].worker().map(|worker| worker.place);
                let is_it = |node: &super::node::Node| {
                    let process = node.executor();
                    process
                        .is_some_and(|e| e.application == *application && e.id == *executor && Some(e.worker) == place)
                };
                let Some(found) = self.nodes.iter().position(is_it) else { return };
                // One that is stopped hears no SIGTERM.
                if hard || !self.nodes[found].is_paused(self.now) {
                    let exit_code = if hard { 137 } else { 143 };
                    self.later(delay, Occurrence::Exits { node: NodeId(found), exit_code });
                }
            }
        }
    }

    /// A worker gave up: it has no children any more.
    fn worker_exits(&mut self, id: NodeId, code: i32) {
        let Some(place) = self.nodes[id.0].worker().map(|worker| worker.place) else { return };
        assert!(self.faults.may_exit(id), "worker {place} exits with {code}");
        for link in self.network.links_of(id) {
            self.close(id, link);
        }
        self.nodes[id.0].process = Process::Gone;
        self.seats[place].node = None;
        self.seats[place].serves_at = None;
        self.seats[place].restarted = true;
        // Whoever looks after the machine starts it again.
        self.later(std::time::Duration::from_secs(5), Occurrence::WorkerStarts { place });
    }

    pub(super) fn start_block_service(&mut self, of: NodeId, port: u16) {
        let Some(place) = self.nodes[of.0].worker().map(|worker| worker.place) else { return };
        self.seats[place].serves_at = Some(port);
        let started = worker::Event::ChildStarted { child: Child::BlockService, pid: 1, port };
        self.worker_event(of, started);
    }

    fn remove_files(&mut self, id: NodeId, application: &ApplicationId) {
        let Some(place) = self.nodes[id.0].worker().map(|worker| worker.place) else { return };
        let Some(owner) = self.owners.get(application).copied() else { return };
        let driver = self.nodes[owner.0].driver();
        if driver.is_some_and(|driver| driver.application.as_ref() != Some(application)) {
            return; // Its driver never heard of it, and has another one.
        }
        let runs = driver.is_some();
        self.seats[place].disk.remove_all(owner);
        if runs {
            // A master that was started again knows of no application; one that misses a driver for long gives it up.
            assert!(
                justify::may_be_disowned(self, owner),
                "worker {place} removes the outputs of {application}, which runs"
            );
            self.disowned.insert(owner);
        }
    }

    /// Closes all links of a process that ends in order.
    pub(super) fn close_all(&mut self, id: NodeId) {
        let links: Vec<LinkId> = self.network.links_of(id);
        for link in links {
            self.close(id, link);
        }
    }
}
