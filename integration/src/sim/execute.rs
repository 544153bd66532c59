//! The shell of executors: processes with tasks, which read what other tasks wrote and write for others.

use super::{
    blocks::{Content, Disk, File, Key},
    checks,
    cluster::{Asking, Cluster, Message, Occurrence, Question},
    faults::Note,
    graph::{self, Poison, Stage},
    keep::DIE,
    network::LinkKind,
    node::{ExecutorProcess, Node, NodeId, Process, Task},
    options::Sabotage,
};
use hearth_core::{
    Payload, Refusal, Resources, TaskId,
    messages::{task::*, worker::*},
};
use hearth_executor::machine as executor;
use hearth_worker::machine::{self as worker, Child};
use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

/// How long an executor asks its driver again and again: as long as it lives without one.
const PATIENCE: Duration = Duration::from_secs(20);

impl Cluster {
    pub(super) fn start_executor(&mut self, of: NodeId, launch: ExecutorLaunch) {
        let Some(place) = self.nodes[of.0].worker().map(|worker| worker.place) else { return };
        let driver = Self::driver_at(&launch.driver_url);
        self.owners.insert(launch.application.clone(), driver);
        let mut believed = launch.resources;
        if self.options.sabotage == Some(Sabotage::SlotsCountedTwice) {
            believed = Resources { cores: believed.cores * 2, ..believed };
        }
        let id = NodeId(self.nodes.len());
        let application = self.place_of(driver);
        let itself = self.options.applications[application].serves_itself;
        let port = if itself { u16::try_from(20_000 + id.0).expect("few") } else { self.seats[place].port };
        let worker_id = self.seats[place].id.clone();
        let options = executor::ExecutorOptions {
            application: launch.application.clone(),
            executor: launch.executor,
            worker: worker_id.clone(),
            host: format!("host-{place}"),
            cores: believed.cores,
            blocks: BlockLocation {
                worker: worker_id,
                executor: itself.then_some(launch.executor),
                address: Address { host: format!("host-{place}"), port },
                directory: "/sim".into(),
            },
            ..executor::ExecutorOptions::default()
        };
        let mut fx = Vec::new();
        let process = ExecutorProcess {
            machine: executor::Executor::start(self.now, options, &mut fx),
            worker: place,
            driver,
            application: launch.application.clone(),
            id: launch.executor,
            resources: launch.resources,
            tasks: BTreeMap::new(),
            ended: Vec::new(),
            own: itself.then(Disk::default),
        };
        self.nodes.push(Node::new(Self::worker_host(place), Process::Executor(Box::new(process))));
        self.outcome.executors += 1;
        self.faults.uses(driver, Self::worker_host(place));
        checks::cores(self, place);
        let child = Child::Executor(launch.application, launch.executor);
        self.worker_event(of, worker::Event::ChildStarted { child, pid: 2, port: 0 });
        self.perform_executor(id, fx);
        self.schedule(id);
    }

    /// Whose driver a node is or was.
    pub(super) fn place_of(&self, driver: NodeId) -> usize {
        self.nodes[driver.0].host - Self::worker_host(self.seats.len())
    }

    /// The driver that has this URL.
    pub(super) fn driver_at(url: &str) -> NodeId {
        NodeId(url.trim_start_matches("sim://").parse().expect("our own URL"))
    }

    /// Whoever listens where a driver did: some have a port of their own, which the next one of their users takes over.
    fn at_the_address_of(&self, driver: NodeId) -> NodeId {
        let place = self.place_of(driver);
        let next = self.users[place].node.filter(|_| place.is_multiple_of(2) && self.nodes[driver.0].is_gone());
        next.unwrap_or(driver)
    }

    /// The process of an executor is over; its worker finds out.
    pub(super) fn executor_exits(&mut self, id: NodeId, exit_code: i32) {
        let Some(executor) = self.nodes[id.0].executor() else { return };
        if exit_code != 0 {
            self.faults.note(self.now, Note::BadEnd, executor.driver);
        }
        let child = Child::Executor(executor.application.clone(), executor.id);
        let worker = self.seats[executor.worker].node;
        self.vanish(id);
        if let Some(of) = worker {
            let delay = self.chance.millis(0, 5);
            self.later(delay, Occurrence::ChildIsOver { of, child, exit_code });
        }
    }

    pub(super) fn perform_executor(&mut self, id: NodeId, fx: Vec<executor::Effect>) {
        for effect in fx {
            let Some(process) = self.nodes[id.0].executor() else { return };
            let (driver, place) = (process.driver, process.worker);
            match effect {
                executor::Effect::Dial => self.dial(LinkKind::Task, id, Some(self.at_the_address_of(driver))),
                executor::Effect::ToDriver { link, mut message } => {
                    if let (TaskUp::Statuses(statuses), Some(Sabotage::StatusesLost)) =
                        (&mut message, self.options.sabotage)
                    {
                        statuses.retain(|s| s.news == TaskNews::Started);
                    }
                    checks::news(&message);
                    self.send(id, link, Message::TaskUp(message));
                }
                executor::Effect::FetchPayload { hash } => self.begin_to_ask(id, driver, Question::Payload(hash)),
                executor::Effect::FetchMapStatuses { shuffle, epoch } => {
                    self.begin_to_ask(id, driver, Question::Statuses(shuffle, epoch));
                }
                executor::Effect::StartTask { launch, payload, inputs } => {
                    self.start_task(id, launch, &payload, inputs);
                }
                executor::Effect::CancelTask { task, reason } => {
                    // Some take long to notice.
                    let longest = if self.chance.once_in(5) { 3000 } else { 50 };
                    let delay = self.chance.millis(0, longest);
                    let result = Some(TaskFailure::Killed(reason));
                    self.later(delay, Occurrence::TaskEnds { node: id, task, result });
                }
                executor::Effect::RemoveFiles { shuffles, results } => {
                    self.disk_of(id, place).remove(driver, &shuffles, &results);
                }
                executor::Effect::Log { text, .. } => self.trace.say(self.now, || format!("{id:?} executor: {text}")),
                executor::Effect::Exit { code, .. } => {
                    self.close_all(id);
                    let delay = self.chance.millis(DIE.0, DIE.1);
                    self.later(delay, Occurrence::Exits { node: id, exit_code: code });
                }
            }
        }
    }

    /// Where an executor writes its outputs.
    fn disk_of(&mut self, id: NodeId, place: usize) -> &mut Disk {
        match &mut self.nodes[id.0].process {
            Process::Executor(process) if process.own.is_some() => process.own.as_mut().expect("just seen"),
            _ => &mut self.seats[place].disk,
        }
    }

    fn begin_to_ask(&mut self, by: NodeId, of: NodeId, question: Question) {
        let asking = Asking { by, of, question, until: self.now.after(PATIENCE), tries: 0 };
        self.later(Duration::ZERO, Occurrence::Asks(asking));
    }

    /// Nobody answered for so long that the asker gives up.
    pub(super) fn answer_with_nothing(&mut self, asking: Asking) {
        let gone = || Refusal::Gone("the driver".into());
        self.later(
            Duration::ZERO,
            match asking.question {
                Question::Payload(hash) => Occurrence::PayloadCame { to: asking.by, hash, answer: Err(gone()) },
                Question::Statuses(shuffle, _) => {
                    Occurrence::StatusesCame { to: asking.by, shuffle, answer: Err(gone()) }
                }
            },
        );
    }

    /// An answer on its way: it may be lost, or come late, or find its asker cut off.
    pub(super) fn carry_answer(&mut self, asking: Asking, answer: Occurrence) {
        let (from, to) = (self.nodes[asking.of.0].host, self.nodes[asking.by.0].host);
        if !self.network.reaches_both_ways(from, to) {
            return self.ask_again(asking, Duration::from_secs(2));
        }
        let delay = self.chance.millis(0, self.network.slowest_millis);
        if self.loses_answers() {
            match self.chance.index(3) {
                0 => return self.ask_again(asking, Duration::from_secs(30)),
                1 => {
                    let late = self.chance.millis(100, 25_000);
                    self.later(late, answer.clone());
                }
                2 => {
                    let late = self.chance.millis(100, 10_000);
                    return self.later(late, answer);
                }
                _ => {}
            }
        }
        self.later(delay, answer);
    }

    fn start_task(&mut self, id: NodeId, launch: TaskLaunch, payload: &Payload, inputs: Vec<Arc<MapStatuses>>) {
        self.outcome.tasks += 1;
        checks::inputs(&launch, &inputs);
        let stage = Stage::parse(payload);
        let slow = self.nodes[id.0].executor().map_or(1, |process| self.seats[process.worker].slow);
        let longest = if self.chance.once_in(30) { 3000 } else { 300 };
        let duration = self.chance.millis(10, longest) * slow;
        self.outcome.slowed += u64::from(slow > 1);
        let (task, reads) = (launch.task, !inputs.is_empty());
        let (of_stage, partition) = (launch.stage, launch.partition);
        let Some(driver) = self.nodes[id.0].executor().map(|process| process.driver) else { return };
        let deaf = self.is_deaf();
        let poison = stage.poison_of(launch.partition);
        let thrifty = launch.thrifty;
        let unlucky = self.options.fail_once_in > 0 && self.chance.once_in(self.options.fail_once_in);
        let fails = unlucky && !self.faults.are_over(self.now);
        if let Process::Executor(process) = &mut self.nodes[id.0].process {
            let running = Task { launch, stage, inputs, read: None, tries: 0, deaf, stuck: false };
            assert!(process.tasks.insert(task, running).is_none(), "{task:?} was started twice");
            checks::slots(process);
        }
        if poison == Some(Poison::Crash) {
            self.outcome.crashes += 1;
            self.faults.note(self.now, Note::Crash, driver);
            return self.later(duration, Occurrence::Crashes { node: id });
        }
        if fails || poison.is_some() {
            let failure = self.failure(poison);
            // One that ran out of memory is run again with less before it counts.
            if thrifty || !matches!(failure, TaskFailure::OutOfMemory(_)) {
                self.faults.count(driver, of_stage, partition);
            }
            self.outcome.failed += 1;
            return self.later(duration, Occurrence::TaskEnds { node: id, task, result: Some(failure) });
        }
        let first = if reads { duration / 2 } else { Duration::ZERO };
        self.later(first, Occurrence::TaskReads { node: id, task });
        self.task_started();
    }

    /// How a task fails.
    fn failure(&mut self, poison: Option<Poison>) -> TaskFailure {
        match (poison, self.chance.index(3)) {
            (Some(Poison::Query), _) => TaskFailure::Query("division by zero".into()),
            (Some(_), _) | (None, 0) => TaskFailure::Transient("it met bad luck".into()),
            (None, 1) => TaskFailure::Panicked("it met worse luck".into()),
            (None, 2) => TaskFailure::Disk { path: "/sim".into(), message: "no space left".into() },
            (None, _) => TaskFailure::OutOfMemory("the pool is empty".into()),
        }
    }

    /// A task reads its inputs, as they are now, and computes on.
    pub(super) fn task_reads(&mut self, id: NodeId, task: TaskId) {
        let (most, wait) = (self.options.fetch_retries, self.options.retry_wait);
        let Some(process) = self.nodes[id.0].executor() else { return };
        let Some(running) = process.tasks.get(&task) else { return };
        let found = self.read_inputs(id, process.driver, running);
        // Some take long after they have read, so that what they read can be gone before they end.
        let longest = if self.chance.once_in(20) { 2000 } else { 150 };
        let rest = self.chance.millis(5, longest);
        let Process::Executor(process) = &mut self.nodes[id.0].process else { return };
        let slow = self.seats[process.worker].slow;
        let Some(running) = process.tasks.get_mut(&task) else { return };
        match found {
            Ok(read) => {
                running.read = Some(read);
                self.later(rest * slow, Occurrence::TaskEnds { node: id, task, result: None });
            }
            Err(missed) if missed.1 && running.tries < most => {
                running.tries += 1;
                self.later(wait, Occurrence::TaskReads { node: id, task });
            }
            Err(missed) => {
                self.outcome.fetches_failed += 1;
                self.later(Duration::ZERO, Occurrence::TaskEnds { node: id, task, result: Some(missed.0) });
            }
        }
    }

    /// All that a task reads, or why not and whether trying again may help.
    fn read_inputs(&self, id: NodeId, driver: NodeId, task: &Task) -> Result<graph::Read, Box<(TaskFailure, bool)>> {
        let mut read = task.stage.read();
        let host = self.nodes[id.0].host;
        for (statuses, broadcast) in task.inputs.iter().zip(&task.stage.broadcast) {
            for status in &statuses.statuses {
                let blocks = if *broadcast { 0..status.sizes.len() } else { own(task.launch.partition) };
                if status.sizes[blocks.clone()].iter().all(|size| *size == 0) {
                    continue; // Nobody asks for blocks without rows.
                }
                let key: Key = (driver, File::Map(statuses.shuffle, status.partition, status.task));
                let found = self.read_from(host, driver, &status.location, |disk| disk.blocks(&key).cloned());
                let output = found.map_err(|cause| {
                    let failure = TaskFailure::FetchFailed {
                        shuffle: statuses.shuffle,
                        map_partition: status.partition,
                        map_task: status.task,
                        location: Box::new(status.location.clone()),
                        cause,
                        message: "it looked twice".into(),
                    };
                    Box::new((failure, cause == FetchCause::Unreachable))
                })?;
                output.blocks[blocks].iter().flatten().for_each(|value| read.block(*value));
                read.origins.extend(output.origins.iter());
            }
        }
        read.origins = graph::distinct(read.origins);
        Ok(read)
    }

    /// What lies at a location, read from a machine. To try again helps only where nobody could be reached.
    pub(super) fn read_from<T>(
        &self,
        host: usize,
        driver: NodeId,
        location: &BlockLocation,
        read: impl FnOnce(&Disk) -> Result<T, FetchCause>,
    ) -> Result<T, FetchCause> {
        let place = self.seats.iter().position(|seat| seat.id == location.worker).expect("a worker has a seat");
        let there = Self::worker_host(place);
        if host != there && !self.network.reaches_both_ways(host, there) {
            return Err(FetchCause::Unreachable);
        }
        let seat = &self.seats[place];
        match location.executor {
            Some(executor) => {
                let is_it = |node: &&Node| node.executor().is_some_and(|e| e.driver == driver && e.id == executor);
                let server = self.nodes.iter().find(is_it).filter(|node| !node.is_paused(self.now));
                let server = server.and_then(Node::executor).ok_or(FetchCause::Unreachable)?;
                server.own.as_ref().ok_or(FetchCause::NotFound).and_then(read)
            }
            None if host == there || seat.serves_at == Some(location.address.port) => read(&seat.disk),
            None => Err(FetchCause::Unreachable),
        }
    }

    pub(super) fn task_ends(&mut self, id: NodeId, task: TaskId, result: Option<TaskFailure>) {
        let Process::Executor(process) = &mut self.nodes[id.0].process else { return };
        let (driver, place) = (process.driver, process.worker);
        // A task that was cancelled has ended already; a deaf one does not hear of it, and goes on for ever.
        let Some(running) = process.tasks.get_mut(&task) else { return };
        if running.deaf && matches!(result, Some(TaskFailure::Killed(_))) && !running.stuck {
            running.stuck = true;
            self.outcome.stuck += 1;
        }
        if running.stuck {
            return;
        }
        let (of_stage, partition) = (running.launch.stage, running.launch.partition);
        let result = match result {
            Some(failure) => Err(failure),
            None => {
                let running = process.tasks.remove(&task).expect("just seen");
                Ok((self.write(id, driver, place, &running), TaskMetrics::default()))
            }
        };
        let now = self.now;
        if let Process::Executor(process) = &mut self.nodes[id.0].process {
            process.tasks.remove(&task);
            process.ended.push((now, of_stage, partition));
        }
        self.executor_event(id, executor::Event::TaskEnded { task, result });
    }

    /// What a task has computed goes where its readers find it.
    fn write(&mut self, id: NodeId, driver: NodeId, place: usize, task: &Task) -> TaskOutput {
        let Task { launch, stage, .. } = task;
        let read = task.read.as_ref().expect("it read before it ended");
        let store_once_in = self.options.applications[self.place_of(driver)].store_once_in;
        let location = self.location_of(id, place, launch.task);
        let written = launch.task;
        match launch.target {
            TaskTarget::Shuffle { shuffle, partitions } => {
                let variant = stage.variant(written.0);
                let output = stage.blocks(launch.partition, partitions, read, variant);
                let sizes = output.blocks.iter().map(|block| block.map_or(0, |value| 1 + value % 1000)).collect();
                let checksum = variant.map(|_| output.checksum());
                let content = Content::Blocks(Rc::new(output));
                let key = (driver, File::Map(shuffle, launch.partition, written));
                self.disk_of(id, place).write(key, content);
                TaskOutput::Map(MapStatus { partition: launch.partition, task: written, location, sizes, checksum })
            }
            TaskTarget::Result => {
                let (row, origins) = (read.result(launch.partition), read.origins.clone());
                if store_once_in == 0 || !self.chance.once_in(store_once_in) {
                    return TaskOutput::Result(ResultBlock::Inline(graph::encode(row, &origins).into()));
                }
                self.disk_of(id, place).write((driver, File::Result(written)), Content::Row(row, Rc::new(origins)));
                TaskOutput::Result(ResultBlock::Stored { task: written, location, bytes: 2 << 20 })
            }
        }
    }

    /// Where an executor puts what a task wrote: on one of its disks.
    fn location_of(&self, id: NodeId, place: usize, written: TaskId) -> BlockLocation {
        let executor = self.nodes[id.0].executor().filter(|process| process.own.is_some()).map(|process| process.id);
        let port = match executor {
            Some(_) => u16::try_from(20_000 + id.0).expect("few"),
            None => self.seats[place].port,
        };
        let address = Address { host: format!("host-{place}"), port };
        let directory = format!("/disk-{}", written.0 % 3);
        BlockLocation { worker: self.seats[place].id.clone(), executor, address, directory }
    }
}

/// The block that is for a reader alone.
fn own(partition: u32) -> std::ops::Range<usize> {
    let partition = partition as usize;
    partition..partition + 1
}
