//! An executor that computes nothing.

use hearth_core::{
    ExecutorId, TaskId,
    link::{Dial, DialError, Link, Pending, pair},
    messages::{
        VERSION,
        application::{AppDown, AppUp},
        task::{
            BlockLocation, ExecutorRegistration, MapStatus, ResultBlock, TaskDown, TaskFailure, TaskLaunch,
            TaskMetrics, TaskNews, TaskOutput, TaskStatus, TaskTarget, TaskUp,
        },
        worker::Address,
    },
};
use tokio::sync::mpsc;

use crate::shell::DriverHandle;

/// What an executor was told, as a test sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Launched(Vec<TaskId>),
    Killed(TaskId),
    Forget {
        shuffles: usize,
    },
    Stopped(String),
    /// The driver closed the link.
    Closed,
}

pub(crate) fn registration(id: u32, cores: u32) -> TaskUp {
    TaskUp::Register(ExecutorRegistration {
        version: VERSION.into(),
        application: "app-1".parse().unwrap(),
        executor: ExecutorId(id),
        worker: "w1".parse().unwrap(),
        host: "127.0.0.1".into(),
        cores,
        blocks: BlockLocation {
            worker: "w1".parse().unwrap(),
            executor: None,
            address: Address { host: "127.0.0.1".into(), port: 0 },
            directory: "/nowhere".into(),
        },
        running: vec![],
    })
}

pub(crate) fn output(launch: &TaskLaunch, rows: &[u8]) -> TaskNews {
    let output = match launch.target {
        TaskTarget::Shuffle { partitions, .. } => TaskOutput::Map(MapStatus {
            partition: launch.partition,
            task: launch.task,
            location: BlockLocation {
                worker: "w1".parse().unwrap(),
                executor: None,
                address: Address { host: "127.0.0.1".into(), port: 0 },
                directory: "/nowhere".into(),
            },
            sizes: vec![0; partitions as usize],
            checksum: None,
        }),
        TaskTarget::Result => TaskOutput::Result(ResultBlock::Inline(rows.to_vec().into())),
    };
    TaskNews::Succeeded(output, TaskMetrics { rows: 1, ..TaskMetrics::default() })
}

/// Starts an executor in this process. `run` says what becomes of a task; `None` leaves it running until it is killed.
pub(crate) fn executor(
    driver: &DriverHandle,
    id: u32,
    cores: u32,
    run: impl Fn(&TaskLaunch) -> Option<TaskNews> + Send + 'static,
) -> mpsc::UnboundedReceiver<Said> {
    let (ours, theirs) = pair();
    driver.accept_executor(theirs).unwrap();
    let (said, heard) = mpsc::unbounded_channel();
    tokio::spawn(live(ours, registration(id, cores), run, said));
    heard
}

async fn live(
    mut link: Link<TaskDown, TaskUp>,
    registration: TaskUp,
    run: impl Fn(&TaskLaunch) -> Option<TaskNews>,
    said: mpsc::UnboundedSender<Said>,
) {
    link.outgoing.send(registration).await.unwrap();
    assert_eq!(link.incoming.recv().await, Some(TaskDown::Registered));
    while let Some(message) = link.incoming.recv().await {
        let (heard, statuses) = match message {
            TaskDown::Launch(batch) => {
                let statuses: Vec<TaskStatus> = batch
                    .iter()
                    .filter_map(|launch| Some(TaskStatus { task: launch.task, news: run(launch)? }))
                    .collect();
                (Said::Launched(batch.iter().map(|launch| launch.task).collect()), statuses)
            }
            TaskDown::Kill { task, reason } => {
                let news = TaskNews::Failed(TaskFailure::Killed(reason));
                (Said::Killed(task), vec![TaskStatus { task, news }])
            }
            TaskDown::Forget { shuffles, .. } => (Said::Forget { shuffles: shuffles.len() }, vec![]),
            TaskDown::Stop { reason } => (Said::Stopped(reason), vec![]),
            other => panic!("unexpected: {other:?}"),
        };
        // A test that is over hears nothing more.
        let _ = said.send(heard);
        if !statuses.is_empty() && link.outgoing.send(TaskUp::Statuses(statuses)).await.is_err() {
            break;
        }
    }
    let _ = said.send(Said::Closed);
}

/// A master of this process that takes every application as `app-1`, and grants nothing.
pub(super) struct Registrar;

impl Dial<AppDown, AppUp> for Registrar {
    fn dial(&self) -> Pending<'_, Result<Link<AppDown, AppUp>, DialError>> {
        let (ours, mut theirs) = pair::<AppDown, AppUp>();
        tokio::spawn(async move {
            while let Some(message) = theirs.incoming.recv().await {
                if let AppUp::Register(_) = message {
                    let application = "app-1".parse().unwrap();
                    theirs.outgoing.send(AppDown::Registered { application, term: 1 }).await.unwrap();
                }
            }
        });
        Box::pin(async move { Ok(ours) })
    }

    fn peer(&self) -> String {
        "the registrar".into()
    }
}
