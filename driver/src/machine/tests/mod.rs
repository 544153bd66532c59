//! A cluster of fake executors around one driver, which writes down every effect as one short line.
//!
//! A test compares whole lists of lines; what it has not taken when it ends is left over, and fails it. Debug logs are not
//! written down: they promise nothing.

mod chaos;
mod exclusion;
mod failures;
mod jobs;
mod losses;
mod master;
mod memory;
mod metrics;
mod pools;
mod slots;
mod speculation;

use super::{Answer, DEFAULT_POOL, Driver, DriverOptions, Effect, Event, JobNews, StageMetrics};
use hearth_core::{
    Determinism, Edge, Exchange, ExecutorId, JobId, Level, LinkId, Now, Payload, Resources, StageGraph, StageId,
    StageNode, TaskId, machine,
    messages::{
        VERSION,
        application::{AppDown, ExecutorGrant},
        task::{
            BlockLocation, ExecutorRegistration, FetchCause, MapStatus, ResultBlock, TaskDown, TaskFailure, TaskLaunch,
            TaskMetrics, TaskNews, TaskOutput, TaskStatus, TaskTarget, TaskUp,
        },
        worker::Address,
    },
};
use std::collections::BTreeMap;

pub(super) struct Cluster {
    pub(super) driver: Driver,
    pub(super) now: Now,
    lines: Vec<String>,
    /// Every launch so far, with the link it went to.
    pub(super) launches: BTreeMap<TaskId, (LinkId, TaskLaunch)>,
    /// What each stage's tasks did, as it was told last.
    pub(super) metrics: BTreeMap<StageId, StageMetrics>,
    /// The links on which heartbeats were answered, which are told nowhere else.
    pub(super) heartbeats: Vec<u64>,
    /// Executors by link.
    links: BTreeMap<LinkId, ExecutorId>,
    /// Whether blocks are served by their machine's block service.
    pub(super) block_service: bool,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.lines, [""; 0], "effects are left over");
        }
    }
}

/// A driver that asks no master.
pub(super) fn cluster() -> Cluster {
    Cluster::new(DriverOptions::default())
}

/// A driver with executors 1.. of so many slots.
pub(super) fn cluster_of(slots: &[u32]) -> Cluster {
    let mut cluster = cluster();
    for (id, slots) in (1..).zip(slots) {
        cluster.join(id, *slots);
    }
    cluster
}

impl Cluster {
    pub(super) fn new(options: DriverOptions) -> Self {
        Self {
            driver: Driver::new(options),
            now: Now::default(),
            lines: Vec::new(),
            launches: BTreeMap::new(),
            metrics: BTreeMap::new(),
            heartbeats: Vec::new(),
            links: BTreeMap::new(),
            block_service: true,
        }
    }

    pub(super) fn send(&mut self, event: Event) {
        let fx = machine::step(&mut self.driver, self.now, event);
        self.write_down(fx);
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(std::time::Duration::from_millis(millis));
        let fx = machine::advance(&mut self.driver, self.now);
        self.write_down(fx);
    }

    pub(super) fn submit(&mut self, job: u32, stages: Vec<StageNode>) {
        self.submit_to(DEFAULT_POOL, job, stages);
    }

    pub(super) fn submit_to(&mut self, pool: &str, job: u32, stages: Vec<StageNode>) {
        let (job, graph, pool) = (JobId(job), StageGraph { stages }, pool.to_owned());
        self.send(Event::JobSubmitted { job, graph, pool });
    }

    /// Everything since it was taken last.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    pub(super) fn expect(&mut self, lines: &[&str]) {
        assert_eq!(self.take(), lines);
    }

    /// Executor `id` of worker `w<id>` connects on link `id`.
    pub(super) fn join(&mut self, id: u32, cores: u32) {
        self.register(id, u64::from(id), cores, &[]);
        assert_eq!(self.lines.remove(0), format!("x{id} registered"));
    }

    pub(super) fn register(&mut self, id: u32, link: u64, cores: u32, running: &[u64]) {
        self.links.insert(LinkId(link), ExecutorId(id));
        self.say(link, TaskUp::Register(registration(id, cores, running)));
    }

    pub(super) fn say(&mut self, link: u64, message: TaskUp) {
        self.send(Event::ExecutorSaid { link: LinkId(link), message });
    }

    pub(super) fn news(&mut self, task: u64, news: TaskNews) {
        let link = self.launches[&TaskId(task)].0;
        self.say(link.0, TaskUp::Statuses(vec![TaskStatus { task: TaskId(task), news }]));
    }

    pub(super) fn start(&mut self, task: u64) {
        self.news(task, TaskNews::Started);
    }

    /// The task succeeds, with an output as its launch asks for.
    pub(super) fn succeed(&mut self, task: u64) {
        let output = self.output(task);
        self.news(task, TaskNews::Succeeded(output, TaskMetrics::default()));
    }

    /// A map task succeeds; its output has this checksum.
    pub(super) fn succeed_with(&mut self, task: u64, checksum: Option<u64>) {
        let TaskOutput::Map(status) = self.output(task) else { panic!("task {task} writes no blocks") };
        let output = TaskOutput::Map(MapStatus { checksum, ..status });
        self.news(task, TaskNews::Succeeded(output, TaskMetrics::default()));
    }

    /// A result task succeeds; its result is too large for a message.
    pub(super) fn store(&mut self, task: u64) {
        let executor = self.links[&self.launches[&TaskId(task)].0];
        let location = self.location(executor.0);
        let block = ResultBlock::Stored { task: TaskId(task), location, bytes: 1 << 30 };
        self.news(task, TaskNews::Succeeded(TaskOutput::Result(block), TaskMetrics::default()));
    }

    pub(super) fn result_taken(&mut self, job: u32, partition: u32) {
        self.send(Event::ResultTaken { job: JobId(job), partition });
    }

    pub(super) fn result_lost(&mut self, job: u32, partition: u32, task: u64) {
        let (job, task, reason) = (JobId(job), TaskId(task), "the disk is gone".into());
        self.send(Event::ResultLost { job, partition, task, reason });
    }

    pub(super) fn succeed_all(&mut self, tasks: impl IntoIterator<Item = u64>) {
        tasks.into_iter().for_each(|task| self.succeed(task));
    }

    pub(super) fn output(&self, task: u64) -> TaskOutput {
        let (link, launch) = &self.launches[&TaskId(task)];
        match launch.target {
            TaskTarget::Shuffle { partitions, .. } => TaskOutput::Map(MapStatus {
                partition: launch.partition,
                task: launch.task,
                // Executors have several disks.
                location: BlockLocation {
                    directory: format!("/disk-{}", task / 2 % 2),
                    ..self.location(self.links[link].0)
                },
                sizes: vec![8; partitions as usize],
                checksum: None,
            }),
            TaskTarget::Result => TaskOutput::Result(ResultBlock::Inline(vec![0; 8].into())),
        }
    }

    pub(super) fn location(&self, executor: u32) -> BlockLocation {
        location(executor, self.block_service)
    }

    pub(super) fn fail(&mut self, task: u64, text: &str) {
        self.news(task, TaskNews::Failed(TaskFailure::Transient(text.into())));
    }

    /// The task did not find what `map` wrote.
    pub(super) fn fail_fetch(&mut self, task: u64, map: u64) {
        self.fail_fetch_for(FetchCause::NotFound, task, map);
    }

    /// The task could not read what `map` wrote.
    pub(super) fn fail_fetch_for(&mut self, cause: FetchCause, task: u64, map: u64) {
        let (link, launch) = &self.launches[&TaskId(map)];
        let TaskTarget::Shuffle { shuffle, .. } = launch.target else { panic!("task {map} writes no blocks") };
        let failure = TaskFailure::FetchFailed {
            shuffle,
            map_partition: launch.partition,
            map_task: launch.task,
            location: Box::new(self.location(self.links[link].0)),
            cause,
            message: "searched".into(),
        };
        self.news(task, TaskNews::Failed(failure));
    }

    pub(super) fn killed(&mut self, task: u64) {
        self.news(task, TaskNews::Failed(TaskFailure::Killed("as told".into())));
    }

    pub(super) fn master_says(&mut self, message: AppDown) {
        self.send(Event::MasterSaid { link: LinkId(0), message });
    }

    pub(super) fn release(&mut self, job: u32) {
        self.send(Event::JobReleased { job: JobId(job) });
    }

    fn write_down(&mut self, fx: Vec<Effect>) {
        for effect in fx {
            if let Effect::ToExecutor { link, message: TaskDown::Launch(batch) } = &effect {
                for launch in batch {
                    let twice = self.launches.insert(launch.task, (*link, launch.clone()));
                    assert_eq!(twice, None, "an attempt was launched twice");
                }
            }
            if let Effect::ToExecutor { link, message: TaskDown::Heartbeat } = &effect {
                self.heartbeats.push(link.0);
                continue;
            }
            if let Effect::Job { news: JobNews::Stage { stage, metrics, .. }, .. } = &effect {
                self.metrics.insert(*stage, StageMetrics::clone(metrics));
            }
            if !matches!(effect, Effect::Log { level: Level::Debug, .. } | Effect::Named(_)) {
                self.lines.push(line(&effect));
            }
        }
    }
}

fn location(executor: u32, block_service: bool) -> BlockLocation {
    BlockLocation {
        worker: format!("w{executor}").parse().unwrap(),
        executor: (!block_service).then_some(ExecutorId(executor)),
        address: Address { host: format!("h{executor}"), port: 7 },
        directory: "/shuffle".into(),
    }
}

pub(super) fn registration(id: u32, cores: u32, running: &[u64]) -> ExecutorRegistration {
    ExecutorRegistration {
        version: VERSION.into(),
        application: "app-1".parse().unwrap(),
        executor: ExecutorId(id),
        worker: format!("w{id}").parse().unwrap(),
        host: format!("h{id}"),
        cores,
        blocks: location(id, true),
        running: running.iter().map(|task| TaskId(*task)).collect(),
    }
}

pub(super) fn grant(id: u32, cores: u32) -> ExecutorGrant {
    ExecutorGrant {
        executor: ExecutorId(id),
        worker: format!("w{id}").parse().unwrap(),
        host: format!("h{id}"),
        resources: Resources::new(cores, 1024),
    }
}

/// A stage of so many tasks that reads from these; it writes two blocks a task.
pub(super) fn stage(tasks: u32, from: &[usize]) -> StageNode {
    StageNode {
        name: format!("{tasks} tasks of {from:?}"),
        tasks,
        slots: 1,
        inputs: from.iter().map(|&from| Edge { from, exchange: Exchange::Hash }).collect(),
        output_partitions: 2,
        payload: Payload::new(format!("{tasks} {from:?}")),
        determinism: Determinism::Determinate,
    }
}

fn launch_text(launch: &TaskLaunch) -> String {
    let TaskLaunch { task, stage, stage_attempt, partition, attempt, thrifty, .. } = launch;
    let again = if *attempt > 0 { format!(" again {attempt}") } else { String::new() };
    let how = if *thrifty { " thriftily" } else { "" };
    format!("#{task} s{stage}.{stage_attempt}p{partition}{again}{how}")
}

/// One effect as one line. Links are `x1`, jobs `j1`, tasks `#1`, stage attempts `s1.0`.
fn line(effect: &Effect) -> String {
    match effect {
        Effect::DialMaster => "dial".into(),
        Effect::ToMaster { message, .. } => format!("to master: {message:?}"),
        Effect::CloseMasterLink { link } => format!("close master link {}", link.0),
        Effect::ToExecutor { link, message } => format!("x{} {}", link.0, to_executor(message)),
        Effect::CloseExecutorLink { link } => format!("x{} close", link.0),
        Effect::Answer { reply, answer } => match answer {
            Answer::Payload(payload) => format!("answer {}: {:?}", reply.0, payload.bytes()),
            Answer::MapStatuses(all) => {
                let tasks: Vec<_> = all.statuses.iter().map(|status| status.task).collect();
                format!("answer {}: shuffle {} epoch {} {tasks:?}", reply.0, all.shuffle, all.epoch)
            }
            Answer::Refused(refusal) => format!("answer {}: no: {refusal}", reply.0),
        },
        Effect::Job { job, news } => format!("j{job} {}", job_news(news)),
        Effect::Log { level, text } => format!("{level:?}: {text}"),
        Effect::Named(application) => format!("named {application}"),
        Effect::Stopped => "stopped".into(),
    }
}

fn to_executor(message: &TaskDown) -> String {
    match message {
        TaskDown::Registered => "registered".into(),
        TaskDown::Heartbeat => "heartbeat".into(),
        TaskDown::Refused(refusal) => format!("refused: {refusal}"),
        TaskDown::Launch(batch) => format!("launch {}", batch.iter().map(launch_text).collect::<Vec<_>>().join(", ")),
        TaskDown::Kill { task, reason } => format!("kill #{task}: {reason}"),
        TaskDown::Forget { payloads, shuffles, results } => {
            format!("forget {} payloads, {shuffles:?}, {results:?}", payloads.len())
        }
        TaskDown::Stop { reason } => format!("stop: {reason}"),
    }
}

fn job_news(news: &JobNews) -> String {
    match news {
        JobNews::Stage { stage, attempt, tasks, running, done, over, .. } => {
            let over = if *over { " over" } else { "" };
            format!("s{stage}.{attempt}: {running} run, {done} of {tasks}{over}")
        }
        JobNews::Result { partition, .. } => format!("result {partition}"),
        JobNews::Over(Ok(())) => "done".into(),
        JobNews::Over(Err(failure)) => format!("failed: {failure}"),
        JobNews::Waiting { reason } => format!("waits: {reason}"),
    }
}
