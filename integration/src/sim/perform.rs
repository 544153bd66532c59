//! The shells of the simulation: what happens becomes events, effects become what will happen.

use super::{
    cluster::{Cluster, DriverNode, ExecutorNode, Message, Occurrence, Question, Sabotage},
    node::NodeId,
    work,
};
use hearth_core::{
    LinkId, Machine, ReplyId, Resources,
    messages::{task::*, worker::*},
};
use hearth_driver::machine as driver;
use hearth_executor::machine as executor;
use hearth_master::machine as master;
use hearth_worker::machine as worker;
use std::{collections::BTreeMap, time::Duration};

/// How long processes take to start, in milliseconds.
const START: (u64, u64) = (5, 60);
/// How long processes take to die, in milliseconds.
const DIE: (u64, u64) = (1, 30);
/// How long tasks run, in milliseconds.
const TASK: (u64, u64) = (1, 400);

impl Cluster {
    /// Lets one occurrence happen.
    pub(super) fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Deliver { to, link, message } => self.deliver(&to, link, message),
            Occurrence::Opened { to, link } => self.opened(&to, link),
            Occurrence::Closed { to, link } => self.closed(&to, link),
            Occurrence::DialFailed { to } => self.dial_failed(&to),
            Occurrence::DriverStarts { place } => self.start_driver(place),
            Occurrence::BlockServiceStarted { worker } => {
                let started = worker::Event::ChildStarted { child: worker::Child::BlockService, pid: 1, port: 7000 };
                self.worker_event(worker, started);
            }
            Occurrence::ExecutorStarted { worker, launch } => self.start_executor(worker, launch),
            Occurrence::ExecutorExited { node, exit_code } => self.end_executor(&node, exit_code),
            Occurrence::TaskEnded { node, task, result } => self.end_task(&node, task, result),
            Occurrence::PayloadAsked { by, of, hash } => {
                let reply = self.ask(Question::Payload(by, hash));
                self.driver_event(of, driver::Event::PayloadAsked { reply, hash });
            }
            Occurrence::StatusesAsked { by, of, shuffle, epoch } => {
                let reply = self.ask(Question::Statuses(by, shuffle));
                self.driver_event(of, driver::Event::MapStatusesAsked { reply, shuffle, epoch });
            }
            Occurrence::PayloadAnswered { to, hash, answer } => {
                self.executor_event(&to, executor::Event::PayloadArrived { hash, answer });
            }
            Occurrence::StatusesAnswered { to, shuffle, answer } => {
                self.executor_event(&to, executor::Event::MapStatusesArrived { shuffle, answer });
            }
        }
    }

    fn ask(&mut self, question: Question) -> ReplyId {
        self.asked += 1;
        self.questions.insert(ReplyId(self.asked), question);
        ReplyId(self.asked)
    }

    fn deliver(&mut self, to: &NodeId, link: LinkId, message: Message) {
        let wall = self.wall();
        match (to, message) {
            (NodeId::Master, Message::WorkerUp(message)) => {
                self.master_event(master::Event::WorkerSaid { link, wall, message });
            }
            (NodeId::Master, Message::AppUp(message)) => {
                self.master_event(master::Event::ApplicationSaid { link, wall, message });
            }
            (NodeId::Worker(place), Message::WorkerDown(message)) => {
                self.worker_event(*place, worker::Event::MasterSaid { link, message });
            }
            (NodeId::Driver(place), Message::AppDown(message)) => {
                self.driver_event(*place, driver::Event::MasterSaid { link, message });
            }
            (NodeId::Driver(place), Message::TaskUp(message)) => {
                self.driver_event(*place, driver::Event::ExecutorSaid { link, message });
            }
            (NodeId::Executor(..), Message::TaskDown(message)) => {
                self.executor_event(to, executor::Event::DriverSaid { link, message });
            }
            (to, message) => unreachable!("{message:?} was sent to {to:?}"),
        }
    }

    fn opened(&mut self, to: &NodeId, link: LinkId) {
        match to {
            NodeId::Worker(place) => self.worker_event(*place, worker::Event::LinkOpened { link }),
            NodeId::Driver(place) => self.driver_event(*place, driver::Event::MasterLinkOpened { link }),
            NodeId::Executor(..) => self.executor_event(to, executor::Event::LinkOpened { link }),
            NodeId::Master => unreachable!("the master dials nobody"),
        }
    }

    fn closed(&mut self, to: &NodeId, link: LinkId) {
        let jitter = self.chance.jitter();
        match to {
            NodeId::Master => match self.network.peer(link, to) {
                Some(NodeId::Worker(_)) => self.master_event(master::Event::WorkerLinkClosed { link }),
                _ => self.master_event(master::Event::ApplicationLinkClosed { link }),
            },
            NodeId::Worker(place) => {
                self.worker_event(*place, worker::Event::LinkClosed { link, reason: "closed".into(), jitter });
            }
            NodeId::Driver(place) => match self.network.peer(link, to) {
                Some(NodeId::Master) => self.driver_event(*place, driver::Event::MasterLinkClosed { link, jitter }),
                _ => self.driver_event(*place, driver::Event::ExecutorLinkClosed { link }),
            },
            NodeId::Executor(..) => self.executor_event(to, executor::Event::LinkClosed { link }),
        }
    }

    fn dial_failed(&mut self, to: &NodeId) {
        let (reason, jitter) = ("refused".to_owned(), self.chance.jitter());
        match to {
            NodeId::Worker(place) => self.worker_event(*place, worker::Event::DialFailed { reason, jitter }),
            NodeId::Driver(place) => self.driver_event(*place, driver::Event::MasterDialFailed { reason, jitter }),
            NodeId::Executor(..) => self.executor_event(to, executor::Event::DialFailed { reason }),
            NodeId::Master => unreachable!("the master dials nobody"),
        }
    }

    /// Lets a machine take the passing of time.
    pub(super) fn tick(&mut self, node: &NodeId) {
        match node {
            NodeId::Master => {
                let mut fx = Vec::new();
                self.master.tick(self.now, &mut fx);
                self.master.check();
                self.perform_master(fx);
            }
            NodeId::Worker(place) => {
                let mut fx = Vec::new();
                self.workers[*place].tick(self.now, &mut fx);
                self.workers[*place].check();
                self.perform_worker(*place, fx);
            }
            NodeId::Driver(place) => {
                let mut fx = Vec::new();
                self.drivers[*place].machine.tick(self.now, &mut fx);
                self.drivers[*place].machine.check();
                self.perform_driver(*place, fx);
            }
            NodeId::Executor(..) => {
                let mut fx = Vec::new();
                if let Some(executor) = self.executors.get_mut(node) {
                    executor.machine.tick(self.now, &mut fx);
                    executor.machine.check();
                }
                self.perform_executor(node, fx);
            }
        }
    }

    fn master_event(&mut self, event: master::Event) {
        let fx = hearth_core::machine::step(&mut self.master, self.now, event);
        self.perform_master(fx);
    }

    fn worker_event(&mut self, place: usize, event: worker::Event) {
        let fx = hearth_core::machine::step(&mut self.workers[place], self.now, event);
        self.perform_worker(place, fx);
    }

    pub(super) fn driver_event(&mut self, place: usize, event: driver::Event) {
        if !self.drivers[place].stopped {
            let fx = hearth_core::machine::step(&mut self.drivers[place].machine, self.now, event);
            self.perform_driver(place, fx);
        }
    }

    fn executor_event(&mut self, node: &NodeId, event: executor::Event) {
        if let Some(executor) = self.executors.get_mut(node) {
            let fx = hearth_core::machine::step(&mut executor.machine, self.now, event);
            self.perform_executor(node, fx);
        }
    }

    fn send(&mut self, from: &NodeId, link: LinkId, message: Message) {
        if let Some((at, to)) = self.network.send(self.now, link, from, &mut self.chance) {
            self.at(at, Occurrence::Deliver { to, link, message });
        }
    }

    fn close(&mut self, link: LinkId) {
        for (at, to) in self.network.close(self.now, link, &mut self.chance) {
            self.at(at, Occurrence::Closed { to, link });
        }
    }

    fn dial(&mut self, from: NodeId, to: Option<NodeId>) {
        let delay = self.chance.millis(0, self.network.slowest_millis);
        match to {
            Some(to) => {
                let link = self.network.open(from.clone(), to);
                self.later(delay, Occurrence::Opened { to: from, link });
            }
            None => self.later(delay, Occurrence::DialFailed { to: from }),
        }
    }

    fn log(&mut self, node: &NodeId, text: &str) {
        self.outcome.log.push(format!("{:?} {node:?} {text}", self.now.0));
    }

    fn perform_master(&mut self, fx: Vec<master::Effect>) {
        for effect in fx {
            match effect {
                master::Effect::Persist(_) | master::Effect::Answer { .. } => {}
                master::Effect::ToWorker { link, message } => {
                    self.send(&NodeId::Master, link, Message::WorkerDown(message));
                }
                master::Effect::ToApplication { link, message } => {
                    self.send(&NodeId::Master, link, Message::AppDown(message));
                }
                master::Effect::CloseLink { link } => self.close(link),
                master::Effect::Log { text, .. } => self.log(&NodeId::Master, &text),
            }
        }
    }

    /// Starts a worker's machine.
    pub(super) fn start_worker(&mut self, place: usize) {
        let id = self.worker_ids[place].clone();
        let mut believed = self.options.workers[place];
        if self.options.sabotage == Some(Sabotage::CoresCountedTwice) {
            believed.cores *= 2;
        }
        let options = worker::WorkerOptions::new(id, format!("host-{place}"), believed);
        self.workers.push(worker::Worker::new(options));
    }

    fn perform_worker(&mut self, place: usize, fx: Vec<worker::Effect>) {
        let node = NodeId::Worker(place);
        for effect in fx {
            match effect {
                worker::Effect::Dial => self.dial(node.clone(), Some(NodeId::Master)),
                worker::Effect::ToMaster { link, message } => self.send(&node, link, Message::WorkerUp(message)),
                worker::Effect::CloseLink { link } => self.close(link),
                worker::Effect::SpawnBlockService { .. } => {
                    let delay = self.chance.millis(START.0, START.1);
                    self.later(delay, Occurrence::BlockServiceStarted { worker: place });
                }
                worker::Effect::SpawnExecutor(launch) => {
                    let delay = self.chance.millis(START.0, START.1);
                    self.later(delay, Occurrence::ExecutorStarted { worker: place, launch });
                }
                worker::Effect::Kill { child: worker::Child::Executor(application, executor), .. } => {
                    let delay = self.chance.millis(DIE.0, DIE.1);
                    let node = NodeId::Executor(application, executor);
                    self.later(delay, Occurrence::ExecutorExited { node, exit_code: 143 });
                }
                worker::Effect::Kill { .. }
                | worker::Effect::RemoveApplicationFiles { .. }
                | worker::Effect::RemoveOldApplications { .. } => {}
                worker::Effect::Log { text, .. } => self.log(&node, &text),
                worker::Effect::Exit { code } => panic!("worker {place} exits with {code}"),
            }
        }
    }

    /// Makes a driver's machine; it starts later.
    pub(super) fn add_driver(&mut self, place: usize) {
        let options = driver::DriverOptions {
            spec: self.options.applications[place].spec(place),
            master: Some("sim".into()),
            ..Default::default()
        };
        self.drivers.push(DriverNode {
            machine: driver::Driver::new(options),
            started: false,
            stopped: false,
            results: Vec::new(),
            ended: Vec::new(),
        });
    }

    fn start_driver(&mut self, place: usize) {
        self.drivers[place].started = true;
        self.next_job(place);
    }

    fn perform_driver(&mut self, place: usize, fx: Vec<driver::Effect>) {
        let node = NodeId::Driver(place);
        for effect in fx {
            match effect {
                driver::Effect::DialMaster => self.dial(node.clone(), Some(NodeId::Master)),
                driver::Effect::ToMaster { link, message } => self.send(&node, link, Message::AppUp(message)),
                driver::Effect::CloseMasterLink { link } | driver::Effect::CloseExecutorLink { link } => {
                    self.close(link)
                }
                driver::Effect::ToExecutor { link, message } => self.send(&node, link, Message::TaskDown(message)),
                driver::Effect::Answer { reply, answer } => self.answer(reply, answer),
                driver::Effect::Job { job, news } => self.job_news(place, job, news),
                driver::Effect::Log { text, .. } => self.log(&node, &text),
                driver::Effect::Stopped => {
                    self.drivers[place].stopped = true;
                    for link in self.network.links_of(&node) {
                        self.close(link);
                    }
                }
            }
        }
    }

    fn answer(&mut self, reply: ReplyId, answer: driver::Answer) {
        let delay = self.chance.millis(0, self.network.slowest_millis);
        let question = self.questions.remove(&reply).expect("an answer belongs to one question");
        let occurrence = match (question, answer) {
            (Question::Payload(to, hash), driver::Answer::Payload(payload)) => {
                Occurrence::PayloadAnswered { to, hash, answer: Ok(payload) }
            }
            (Question::Payload(to, hash), driver::Answer::Refused(refusal)) => {
                Occurrence::PayloadAnswered { to, hash, answer: Err(refusal) }
            }
            (Question::Statuses(to, shuffle), driver::Answer::MapStatuses(statuses)) => {
                Occurrence::StatusesAnswered { to, shuffle, answer: Ok(statuses) }
            }
            (Question::Statuses(to, shuffle), driver::Answer::Refused(refusal)) => {
                Occurrence::StatusesAnswered { to, shuffle, answer: Err(refusal) }
            }
            (question, answer) => unreachable!("{question:?} was answered with {answer:?}"),
        };
        self.later(delay, occurrence);
    }

    fn job_news(&mut self, place: usize, job: hearth_core::JobId, news: driver::JobNews) {
        self.outcome.log.push(format!("{:?} driver {place} {job:?} {news:?}", self.now.0));
        match news {
            driver::JobNews::Result { partition, block: ResultBlock::Inline(bytes), .. } => {
                let row = String::from_utf8_lossy(&bytes).into_owned();
                let results = self.drivers[place].results.last_mut().expect("a job was submitted");
                let taken = (0..).take_while(|p| results.contains_key(p)).count();
                assert!(
                    results.insert(partition, row).is_none(),
                    "partition {partition} of {job:?} was delivered twice"
                );
                // The reader takes results in the order of partitions.
                let ready = (0..).take_while(|p| results.contains_key(p)).count();
                for partition in (taken..ready).filter_map(|p| u32::try_from(p).ok()) {
                    self.driver_event(place, driver::Event::ResultTaken { job, partition });
                }
            }
            driver::JobNews::Result { block, .. } => unreachable!("synthetic results are inline: {block:?}"),
            driver::JobNews::Over(end) => {
                self.drivers[place].ended.push(end);
                self.driver_event(place, driver::Event::JobReleased { job });
                self.next_job(place);
            }
            driver::JobNews::Stage { .. } | driver::JobNews::Waiting { .. } => {}
        }
    }

    fn start_executor(&mut self, place: usize, launch: ExecutorLaunch) {
        let driver: usize = launch.driver_url.trim_start_matches("sim://").parse().expect("our own URL");
        let mut believed = launch.resources;
        if self.options.sabotage == Some(Sabotage::SlotsCountedTwice) {
            believed = Resources { cores: believed.cores * 2, ..believed };
        }
        let options = executor::ExecutorOptions {
            executor: launch.executor,
            worker: self.worker_ids[place].clone(),
            host: format!("host-{place}"),
            cores: believed.cores,
            ..executor::ExecutorOptions::default()
        };
        let mut fx = Vec::new();
        let machine = executor::Executor::start(self.now, options, &mut fx);
        let node = NodeId::Executor(launch.application.clone(), launch.executor);
        let process =
            ExecutorNode { machine, worker: place, resources: launch.resources, driver, tasks: BTreeMap::new() };
        assert!(self.executors.insert(node.clone(), process).is_none(), "{node:?} was started twice");
        let child = worker::Child::Executor(launch.application, launch.executor);
        self.worker_event(place, worker::Event::ChildStarted { child, pid: 2, port: 0 });
        self.perform_executor(&node, fx);
    }

    fn end_executor(&mut self, node: &NodeId, exit_code: i32) {
        let Some(process) = self.executors.remove(node) else { return };
        for link in self.network.links_of(node) {
            self.close(link);
        }
        if let NodeId::Executor(application, executor) = node.clone() {
            let child = worker::Child::Executor(application, executor);
            let exited = worker::Event::ChildExited { child, exit_code, tail: String::new() };
            self.worker_event(process.worker, exited);
        }
    }

    fn end_task(
        &mut self,
        node: &NodeId,
        task: hearth_core::TaskId,
        result: Result<(TaskOutput, TaskMetrics), TaskFailure>,
    ) {
        let Some(process) = self.executors.get_mut(node) else { return };
        // A task that was cancelled has ended already.
        if process.tasks.remove(&task).is_some() {
            self.executor_event(node, executor::Event::TaskEnded { task, result });
        }
    }

    fn perform_executor(&mut self, node: &NodeId, fx: Vec<executor::Effect>) {
        for effect in fx {
            let Some(process) = self.executors.get(node) else { return };
            let (driver, place) = (process.driver, process.worker);
            let delay = self.chance.millis(0, self.network.slowest_millis);
            match effect {
                executor::Effect::Dial => {
                    let alive = self.drivers[driver].started && !self.drivers[driver].stopped;
                    self.dial(node.clone(), alive.then_some(NodeId::Driver(driver)));
                }
                executor::Effect::ToDriver { link, mut message } => {
                    if let (TaskUp::Statuses(statuses), Some(Sabotage::StatusesLost)) =
                        (&mut message, self.options.sabotage)
                    {
                        statuses.retain(|s| s.news == TaskNews::Started);
                    }
                    self.send(node, link, Message::TaskUp(message));
                }
                executor::Effect::FetchPayload { hash } => {
                    self.later(delay, Occurrence::PayloadAsked { by: node.clone(), of: driver, hash });
                }
                executor::Effect::FetchMapStatuses { shuffle, epoch } => {
                    self.later(delay, Occurrence::StatusesAsked { by: node.clone(), of: driver, shuffle, epoch });
                }
                executor::Effect::StartTask { launch, inputs, .. } => self.start_task(node, place, &launch, &inputs),
                executor::Effect::CancelTask { task, reason } => {
                    let result = Err(TaskFailure::Killed(reason));
                    self.later(delay, Occurrence::TaskEnded { node: node.clone(), task, result });
                }
                executor::Effect::RemoveFiles { .. } => {}
                executor::Effect::Log { text, .. } => self.log(node, &text),
                executor::Effect::Exit { code, .. } => {
                    let delay = self.chance.millis(DIE.0, DIE.1);
                    self.later(delay, Occurrence::ExecutorExited { node: node.clone(), exit_code: code });
                }
            }
        }
    }

    fn start_task(&mut self, node: &NodeId, place: usize, launch: &TaskLaunch, inputs: &[std::sync::Arc<MapStatuses>]) {
        self.outcome.tasks += 1;
        let location = BlockLocation {
            worker: self.worker_ids[place].clone(),
            executor: None,
            address: Address { host: format!("host-{place}"), port: 7000 },
            directory: "/sim".into(),
        };
        let unlucky = self.options.fail_once_in > 0 && self.chance.once_in(self.options.fail_once_in);
        let result = if unlucky {
            self.outcome.failed += 1;
            Err(work::failure(launch.task))
        } else {
            Ok((work::output(launch, inputs, location), TaskMetrics::default()))
        };
        let process = self.executors.get_mut(node).expect("it runs");
        assert!(process.tasks.insert(launch.task, ()).is_none(), "{:?} was started twice", launch.task);
        let delay: Duration = self.chance.millis(TASK.0, TASK.1);
        self.later(delay, Occurrence::TaskEnded { node: node.clone(), task: launch.task, result });
    }
}
