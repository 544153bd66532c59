//! At least one of every message, with no field at its default.

use crate::{
    ApplicationId, ApplicationState, ExecutorId, ExecutorState, JobId, PayloadHash, Refusal, Resources, ShuffleId,
    StageId, TaskId, WorkerId,
    messages::{
        application::{AppDown, AppUp, ApplicationSpec, ExecutorGrant},
        task::{
            BlockLocation, ExecutorRegistration, FetchCause, MapStatus, MapStatuses, OperatorMetrics, ResultBlock,
            TaskDown, TaskFailure, TaskInput, TaskLaunch, TaskMetrics, TaskNews, TaskOutput, TaskStatus, TaskTarget,
            TaskUp,
        },
        worker::{Address, ExecutorLaunch, LiveExecutor, WorkerDown, WorkerRegistration, WorkerUp},
    },
};
use std::collections::BTreeMap;

/// Panics when a pattern has no sample; does not compile when a variant has no pattern.
macro_rules! covers {
    ($samples:expr; $($pattern:pat),+ $(,)?) => {{
        let samples = $samples;
        $(assert!(samples.iter().any(|s| matches!(s, $pattern)), "no sample of {}", stringify!($pattern));)+
        for sample in &samples {
            match sample { $($pattern => {})+ }
        }
        samples
    }};
}

fn application() -> ApplicationId {
    "app-20261121093000-0001".parse().unwrap()
}

fn worker() -> WorkerId {
    "worker-20261121093000-127.0.0.1-7079".parse().unwrap()
}

fn conf() -> BTreeMap<String, String> {
    [("spark.executor.memory", "2g"), ("spark.hadoop.x", "")].map(|(k, v)| (k.into(), v.into())).into()
}

fn location(executor: Option<u32>) -> BlockLocation {
    BlockLocation {
        worker: worker(),
        executor: executor.map(ExecutorId),
        address: Address { host: "::1".into(), port: 65535 },
        directory: "/var/lib/hearth/work/app-1/shuffle".into(),
    }
}

fn map_status(partition: u32) -> MapStatus {
    MapStatus {
        partition,
        task: TaskId(u64::MAX),
        location: location(None),
        sizes: vec![0, 1, 1 << 40],
        checksum: Some(7),
    }
}

pub(super) fn refusals() -> Vec<Refusal> {
    covers!(
        vec![
            Refusal::VersionMismatch { theirs: "0.1.0".into(), ours: "0.2.0".into() },
            Refusal::DuplicateWorker { worker: worker(), address: "127.0.0.1:7079".into() },
            Refusal::Standby,
            Refusal::UnknownApplication(application()),
            Refusal::UnknownExecutor(ExecutorId(7)),
            Refusal::UnknownId("no\nsuch \u{1f525} thing".into()),
            Refusal::Malformed("x is 0; expected 1".into()),
            Refusal::Gone("payload 12ab".into()),
            Refusal::Full { what: "the table of applications".into(), limit: u64::MAX },
        ];
        Refusal::VersionMismatch { .. },
        Refusal::DuplicateWorker { .. },
        Refusal::Standby,
        Refusal::UnknownApplication(_),
        Refusal::UnknownExecutor(_),
        Refusal::UnknownId(_),
        Refusal::Malformed(_),
        Refusal::Gone(_),
        Refusal::Full { .. },
    )
}

pub(super) fn worker_ups() -> Vec<WorkerUp> {
    let live = |state| LiveExecutor {
        application: application(),
        executor: ExecutorId(3),
        resources: Resources::new(2, 1024),
        state,
    };
    let changed = |state, exit_code| WorkerUp::ExecutorChanged {
        application: application(),
        executor: ExecutorId(3),
        state,
        message: "exited with code 137\nlast words".into(),
        exit_code,
    };
    let mut samples = vec![
        WorkerUp::Register(WorkerRegistration {
            version: "0.1.0".into(),
            worker: worker(),
            address: Address { host: "127.0.0.1".into(), port: 7079 },
            resources: Resources::new(16, 65_536),
            labels: [("rack".into(), vec!["r1".into(), "r2".into()]), ("gpu".into(), vec![])].into(),
            executors: vec![live(ExecutorState::Launching), live(ExecutorState::Running)],
            applications: vec![application()],
        }),
        WorkerUp::Heartbeat,
        WorkerUp::Leaving { reason: "SIGTERM".into() },
        // Zero and negative are exit codes too, and differ from none.
        changed(ExecutorState::Exited, Some(0)),
        changed(ExecutorState::Failed, Some(-1)),
    ];
    samples.extend(ExecutorState::ALL.iter().map(|&state| changed(state, None)));
    covers!(
        samples;
        WorkerUp::Register(_),
        WorkerUp::Heartbeat,
        WorkerUp::ExecutorChanged { .. },
        WorkerUp::Leaving { .. },
    )
}

pub(super) fn worker_downs() -> Vec<WorkerDown> {
    let mut samples = vec![
        WorkerDown::Registered { term: u64::MAX, heartbeat_millis: 15_000 },
        WorkerDown::Reregister,
        WorkerDown::LaunchExecutor(ExecutorLaunch {
            application: application(),
            executor: ExecutorId(u32::MAX),
            resources: Resources::new(1, 512),
            driver_url: "http://127.0.0.1:4041".into(),
            conf: conf(),
        }),
        WorkerDown::KillExecutor { application: application(), executor: ExecutorId(9), reason: "asked for".into() },
        WorkerDown::ApplicationFinished { application: application() },
    ];
    samples.extend(refusals().into_iter().map(|refusal| WorkerDown::Refused { refusal, term: u64::MAX }));
    covers!(
        samples;
        WorkerDown::Registered { .. },
        WorkerDown::Refused { .. },
        WorkerDown::Reregister,
        WorkerDown::LaunchExecutor(_),
        WorkerDown::KillExecutor { .. },
        WorkerDown::ApplicationFinished { .. },
    )
}

fn spec(caps: Option<u32>) -> ApplicationSpec {
    ApplicationSpec {
        version: "0.1.0".into(),
        name: "nightly report".into(),
        user: "ada".into(),
        driver_url: "http://[::1]:4041".into(),
        cores_per_executor: caps,
        memory_per_executor_mib: 2048,
        max_cores: caps,
        max_executors: caps,
        conf: conf(),
    }
}

pub(super) fn app_ups() -> Vec<AppUp> {
    let unregister = |state| AppUp::Unregister { state, message: "done".into() };
    covers!(
        vec![
            AppUp::Register(spec(Some(4))),
            AppUp::Register(spec(None)),
            AppUp::Reconnect {
                application: application(),
                executors: vec![ExecutorId(1), ExecutorId(2)],
                spec: spec(Some(1)),
            },
            AppUp::LimitExecutors { max_executors: Some(0) },
            AppUp::LimitExecutors { max_executors: None },
            AppUp::KillExecutors { executors: vec![ExecutorId(5)], reason: "idle".into() },
            unregister(ApplicationState::Finished),
            unregister(ApplicationState::Failed),
            unregister(ApplicationState::Killed),
            AppUp::Heartbeat,
        ];
        AppUp::Register(_),
        AppUp::Reconnect { .. },
        AppUp::LimitExecutors { .. },
        AppUp::KillExecutors { .. },
        AppUp::Unregister { .. },
        AppUp::Heartbeat,
    )
}

pub(super) fn app_downs() -> Vec<AppDown> {
    let mut samples = vec![
        AppDown::Registered { application: application(), term: 2 },
        AppDown::ExecutorGranted(ExecutorGrant {
            executor: ExecutorId(1),
            worker: worker(),
            host: "node-1".into(),
            resources: Resources::new(4, 4096),
        }),
        AppDown::ExecutorChanged {
            executor: ExecutorId(1),
            state: ExecutorState::Lost,
            message: "worker lost".into(),
            exit_code: Some(137),
        },
        AppDown::WorkerRemoved { worker: worker(), reason: "silent for 60 s".into() },
        AppDown::Waiting { reason: "wants 4 cores, 2 are free".into() },
        AppDown::Ended { state: ApplicationState::Failed, reason: "10 executors failed in a row".into() },
    ];
    samples.extend(refusals().into_iter().map(|refusal| AppDown::Refused { refusal, term: 3 }));
    covers!(
        samples;
        AppDown::Registered { .. },
        AppDown::Refused { .. },
        AppDown::ExecutorGranted(_),
        AppDown::ExecutorChanged { .. },
        AppDown::WorkerRemoved { .. },
        AppDown::Waiting { .. },
        AppDown::Ended { .. },
    )
}

pub(super) fn failures() -> Vec<TaskFailure> {
    covers!(
        vec![
            TaskFailure::Query("division by zero".into()),
            TaskFailure::Transient("connection reset".into()),
            TaskFailure::Panicked("index out of bounds".into()),
            TaskFailure::OutOfMemory("wanted 1 GiB".into()),
            TaskFailure::Disk { path: "/srv/x".into(), message: "no space left".into() },
            TaskFailure::FetchFailed {
                shuffle: ShuffleId(3),
                map_partition: 999_999,
                map_task: TaskId(77),
                location: Box::new(location(Some(2))),
                cause: FetchCause::CorruptOnDisk,
                message: "connection refused".into(),
            },
            TaskFailure::Killed("the job is over".into()),
        ];
        TaskFailure::Query(_),
        TaskFailure::Transient(_),
        TaskFailure::Panicked(_),
        TaskFailure::OutOfMemory(_),
        TaskFailure::Disk { .. },
        TaskFailure::FetchFailed { .. },
        TaskFailure::Killed(_),
    )
}

fn news() -> Vec<TaskNews> {
    let metrics = TaskMetrics {
        rows: 1,
        rows_read: 2,
        bytes_written: 3,
        bytes_read: 4,
        bytes_scanned: 5,
        bytes_spilled: 6,
        peak_memory: 7,
        run_millis: 8,
        fetch_millis: 9,
        operators: vec![
            OperatorMetrics { place: 1, rows: 10, compute_micros: 11 },
            OperatorMetrics { place: 255, rows: 12, compute_micros: 13 },
        ],
    };
    let succeeded = |output| TaskNews::Succeeded(output, metrics.clone());
    let stored = ResultBlock::Stored { task: TaskId(8), location: location(None), bytes: 1 << 30 };
    let mut samples = vec![
        TaskNews::Started,
        succeeded(TaskOutput::Map(map_status(4))),
        succeeded(TaskOutput::Result(ResultBlock::Inline(vec![1, 2, 3].into()))),
        succeeded(TaskOutput::Result(ResultBlock::Inline(vec![].into()))),
        succeeded(TaskOutput::Result(stored)),
    ];
    samples.extend(failures().into_iter().map(TaskNews::Failed));
    covers!(
        samples;
        TaskNews::Started,
        TaskNews::Succeeded(TaskOutput::Map(_), _),
        TaskNews::Succeeded(TaskOutput::Result(ResultBlock::Inline(_)), _),
        TaskNews::Succeeded(TaskOutput::Result(ResultBlock::Stored { .. }), _),
        TaskNews::Failed(_),
    )
}

pub(super) fn task_ups() -> Vec<TaskUp> {
    covers!(
        vec![
            TaskUp::Register(ExecutorRegistration {
                version: "0.1.0".into(),
                application: application(),
                executor: ExecutorId(6),
                worker: worker(),
                host: "127.0.0.1".into(),
                cores: 8,
                blocks: location(None),
                running: vec![TaskId(1), TaskId(u64::MAX)],
            }),
            TaskUp::Statuses(news().into_iter().map(|news| TaskStatus { task: TaskId(11), news }).collect()),
            TaskUp::Heartbeat,
            TaskUp::Leaving { reason: "drained".into() },
        ];
        TaskUp::Register(_),
        TaskUp::Statuses(_),
        TaskUp::Heartbeat,
        TaskUp::Leaving { .. },
    )
}

pub(super) fn task_downs() -> Vec<TaskDown> {
    let launch = |target| TaskLaunch {
        task: TaskId(21),
        job: JobId(1),
        stage: StageId(2),
        stage_attempt: 3,
        partition: 4,
        slots: 2,
        attempt: 5,
        payload: PayloadHash([7; 32]),
        inputs: vec![
            TaskInput { shuffle: ShuffleId(0), epoch: 1 },
            TaskInput { shuffle: ShuffleId(9), epoch: u64::MAX },
        ],
        target,
        thrifty: true,
    };
    let to_shuffle = TaskTarget::Shuffle { shuffle: ShuffleId(8), partitions: 200 };
    let mut samples = vec![
        TaskDown::Registered,
        TaskDown::Heartbeat,
        TaskDown::Launch(vec![launch(to_shuffle), launch(TaskTarget::Result)]),
        TaskDown::Kill { task: TaskId(21), reason: "another attempt was faster".into() },
        TaskDown::Forget {
            payloads: vec![PayloadHash([1; 32]), PayloadHash([2; 32])],
            shuffles: vec![ShuffleId(1)],
            results: vec![TaskId(2), TaskId(3)],
        },
        TaskDown::Stop { reason: "the application is over".into() },
    ];
    samples.extend(refusals().into_iter().map(TaskDown::Refused));
    covers!(
        samples;
        TaskDown::Registered,
        TaskDown::Heartbeat,
        TaskDown::Refused(_),
        TaskDown::Launch(_),
        TaskDown::Kill { .. },
        TaskDown::Forget { .. },
        TaskDown::Stop { .. },
    )
}

pub(super) fn map_statuses() -> Vec<MapStatuses> {
    vec![
        MapStatuses {
            shuffle: ShuffleId(5),
            epoch: 6,
            statuses: vec![map_status(0), map_status(1)],
            peers: vec![location(None), location(Some(3))],
        },
        MapStatuses { shuffle: ShuffleId(5), epoch: 0, statuses: vec![], peers: vec![] },
    ]
}
