//! A driver that is played by the test, around an executor that is real.

mod faults;
mod grpc;
mod jobs;

use super::{ExecutorHandle, ShellOptions, memory::Memory, start_with};
use datafusion::arrow::array::RecordBatch;
use hearth_core::{
    ExecutorId, JobId, Payload, PayloadHash, Refusal, Resources, ShuffleId, StageGraph, StageId, TaskId,
    bootstrap::ExecutorBootstrap,
    client::DriverClient,
    link::{Dial, DialError, Link, Pending, pair},
    messages::{task::*, worker::Address},
};
use hearth_plan::{Planned, SessionOptions, SqlSession, exchange::BlockDecoder};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

/// Longer than anything here takes; what hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the driver knows, and where executors reach it.
#[derive(Debug)]
struct Known {
    payloads: Mutex<BTreeMap<PayloadHash, Payload>>,
    statuses: Mutex<BTreeMap<ShuffleId, MapStatuses>>,
    /// None refuses connections.
    dialed: Mutex<Option<mpsc::UnboundedSender<Link<TaskUp, TaskDown>>>>,
}

impl DriverClient for Known {
    fn payload(&self, hash: PayloadHash) -> Pending<'_, Result<Payload, Refusal>> {
        let found = self.payloads.lock().unwrap().get(&hash).cloned();
        Box::pin(async move { found.ok_or_else(|| Refusal::Gone(format!("payload {hash}"))) })
    }

    fn map_statuses(&self, shuffle: ShuffleId, _: u64) -> Pending<'_, Result<MapStatuses, Refusal>> {
        let found = self.statuses.lock().unwrap().get(&shuffle).cloned();
        Box::pin(async move { found.ok_or_else(|| Refusal::Gone(format!("shuffle {shuffle}"))) })
    }
}

impl Dial<TaskDown, TaskUp> for Known {
    fn dial(&self) -> Pending<'_, Result<Link<TaskDown, TaskUp>, DialError>> {
        Box::pin(async move {
            let (executors, drivers) = pair();
            let dialed = self.dialed.lock().unwrap();
            let sent = dialed.as_ref().is_some_and(|d| d.send(drivers).is_ok());
            if sent { Ok(executors) } else { Err(DialError("the driver is not there".into())) }
        })
    }

    fn peer(&self) -> String {
        "the test".into()
    }
}

/// A driver, an executor, and its directories.
struct Stage {
    known: Arc<Known>,
    dials: mpsc::UnboundedReceiver<Link<TaskUp, TaskDown>>,
    link: Link<TaskUp, TaskDown>,
    executor: ExecutorHandle,
    next_task: u64,
    shuffle_dir: PathBuf,
    work_dir: PathBuf,
    /// Removed with the test.
    _root: TempDir,
}

/// What a worker would say.
fn bootstrap(root: &Path, conf: &[(&str, &str)], port: u16) -> ExecutorBootstrap {
    ExecutorBootstrap {
        application: "app-1".parse().unwrap(),
        executor: ExecutorId(3),
        worker: "worker-1".parse().unwrap(),
        host: "127.0.0.1".into(),
        resources: Resources::new(2, 1024),
        driver_url: "http://127.0.0.1:9".into(),
        block_service: Address { host: "127.0.0.1".into(), port },
        shuffle_dir: root.join("shuffle"),
        work_dir: root.join("3"),
        local_dirs: Vec::new(),
        conf: conf.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    }
}

impl Stage {
    /// Blocks are read from files.
    async fn new() -> Self {
        Self::with(&[], 0, |_| None).await
    }

    /// With a configuration, and the block service at a port (0 is none). `memory` may change the options, and give the
    /// memory that tasks use in place of the usual.
    async fn with(conf: &[(&str, &str)], port: u16, memory: impl FnOnce(&mut ShellOptions) -> Option<Memory>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut options = ShellOptions::from_bootstrap(bootstrap(root.path(), conf, port)).unwrap();
        let memory = memory(&mut options);
        let memory = memory.unwrap_or_else(|| Memory::of_options(&options));
        let (shuffle_dir, work_dir) = (options.shuffle_dir.clone(), options.work_dir.clone());
        let (dialed, mut dials) = mpsc::unbounded_channel();
        let known = Arc::new(Known {
            payloads: Mutex::default(),
            statuses: Mutex::default(),
            dialed: Mutex::new(Some(dialed)),
        });
        let executor = start_with(options, memory, known.clone(), known.clone()).await.unwrap();
        let link = dials.recv().await.unwrap();
        let mut stage = Self { known, dials, link, executor, next_task: 1, shuffle_dir, work_dir, _root: root };
        stage.register(&[]).await;
        stage
    }

    async fn register(&mut self, running: &[u64]) {
        let TaskUp::Register(said) = self.hear().await else { panic!("the first message is a registration") };
        assert_eq!((said.executor, said.cores), (ExecutorId(3), 2));
        assert_eq!(said.running, running.iter().copied().map(TaskId).collect::<Vec<_>>());
        self.say(TaskDown::Registered).await;
    }

    async fn say(&self, message: TaskDown) {
        self.link.outgoing.send(message).await.unwrap();
    }

    /// What it says next, but for heartbeats, which are answered.
    async fn hear(&mut self) -> TaskUp {
        loop {
            let said = timeout(PATIENCE, self.link.incoming.recv()).await;
            match said.expect("in time").expect("the link is open") {
                TaskUp::Heartbeat => self.say(TaskDown::Heartbeat).await,
                said => return said,
            }
        }
    }

    /// The next news of one task.
    async fn news(&mut self) -> TaskStatus {
        match self.hear().await {
            TaskUp::Statuses(mut news) => {
                assert_eq!(news.len(), 1, "{news:?}");
                news.remove(0)
            }
            other => panic!("expected news, heard {other:?}"),
        }
    }

    /// Launches one task, and does not wait for it.
    async fn launch(&mut self, payload: &Payload, partition: u32, inputs: &[u32], target: TaskTarget) -> TaskId {
        self.known.payloads.lock().unwrap().insert(payload.hash(), payload.clone());
        let task = TaskId(self.next_task);
        self.next_task += 1;
        let launch = launch(task, payload.hash(), partition, inputs, target);
        self.say(TaskDown::Launch(vec![launch])).await;
        task
    }

    /// What becomes of a task that starts.
    async fn ended(&mut self, task: TaskId) -> Result<(TaskOutput, TaskMetrics), TaskFailure> {
        assert_eq!(self.news().await, TaskStatus { task, news: TaskNews::Started });
        let ended = self.news().await;
        assert_eq!(ended.task, task);
        match ended.news {
            TaskNews::Started => panic!("it started twice"),
            TaskNews::Succeeded(output, metrics) => Ok((output, metrics)),
            TaskNews::Failed(failure) => Err(failure),
        }
    }

    /// Runs a graph, task after task, and gives the results in their order.
    async fn run(&mut self, graph: &StageGraph) -> Vec<(ResultBlock, TaskMetrics)> {
        let mut results = Vec::new();
        for (place, stage) in graph.stages.iter().enumerate() {
            let shuffle = ShuffleId(u32::try_from(place).unwrap());
            let is_result = place == graph.result();
            let target = match is_result {
                true => TaskTarget::Result,
                false => TaskTarget::Shuffle { shuffle, partitions: stage.output_partitions },
            };
            let inputs: Vec<_> = stage.inputs.iter().map(|e| u32::try_from(e.from).unwrap()).collect();
            let mut statuses = Vec::new();
            for partition in 0..stage.tasks {
                let task = self.launch(&stage.payload, partition, &inputs, target).await;
                match self.ended(task).await.unwrap() {
                    (TaskOutput::Map(status), _) => statuses.push(status),
                    (TaskOutput::Result(block), metrics) => results.push((block, metrics)),
                }
            }
            let statuses = MapStatuses { shuffle, epoch: 0, statuses, peers: vec![] };
            self.known.statuses.lock().unwrap().insert(shuffle, statuses);
        }
        results
    }

    /// The names of the files in a directory, sorted.
    fn files(&self, dir: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn launch(task: TaskId, payload: PayloadHash, partition: u32, inputs: &[u32], target: TaskTarget) -> TaskLaunch {
    TaskLaunch {
        task,
        job: JobId(1),
        stage: StageId(1),
        stage_attempt: 0,
        partition,
        slots: 1,
        attempt: 0,
        payload,
        inputs: inputs.iter().map(|s| TaskInput { shuffle: ShuffleId(*s), epoch: 0 }).collect(),
        target,
        thrifty: false,
    }
}

/// The stages of a query; joins move both sides, however small.
async fn graph(sql: &str, partitions: usize) -> StageGraph {
    let options = SessionOptions { partitions, broadcast_bytes: None, ..SessionOptions::default() };
    let session = SqlSession::new(options).unwrap();
    match session.plan(sql).await.unwrap() {
        Planned::Query { graph, .. } => graph,
        other => panic!("{sql} is no query: {other:?}"),
    }
}

/// The rows of a block.
fn rows(block: bytes::Bytes) -> Vec<RecordBatch> {
    let mut decoder = BlockDecoder::new(None);
    decoder.push(block.into());
    std::iter::from_fn(|| decoder.next_batch().unwrap()).collect()
}

fn inline(block: &ResultBlock) -> Vec<RecordBatch> {
    let ResultBlock::Inline(bytes) = block else { panic!("{block:?} is not inline") };
    rows(bytes.clone())
}

fn text(batches: &[RecordBatch]) -> String {
    let rows = datafusion::arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
    rows.lines().filter(|l| l.starts_with("| ")).skip(1).collect::<Vec<_>>().join("\n")
}
