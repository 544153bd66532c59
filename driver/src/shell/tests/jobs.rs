//! Jobs on executors of the same process.

use super::{Said, chain, executor, fake::output, in_process};
use crate::{
    machine::{JobFailure, JobNews},
    shell::{Error, StageProgress},
};
use hearth_core::{
    ApplicationState, JobId, Payload, Refusal, ShuffleId, StageId, TaskId,
    client::DriverClient,
    messages::task::{ResultBlock, TaskFailure, TaskNews},
};
use std::{collections::BTreeSet, time::Duration};

#[tokio::test]
async fn a_job_runs_to_its_results() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 2, |launch| Some(output(launch, &[launch.partition as u8])));
    let mut job = driver.submit(chain(&[3, 2])).await.unwrap();
    assert_eq!(job.id(), JobId(1));
    let progress = job.progress();
    let mut seen = BTreeSet::new();
    loop {
        match job.next().await.unwrap() {
            JobNews::Result { partition, block: ResultBlock::Inline(rows), .. } => {
                assert_eq!(rows[..], [partition as u8]);
                assert!(seen.insert(partition));
                job.taken(partition).await;
            }
            JobNews::Over(end) => break assert_eq!(end, Ok(())),
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(seen.len(), 2);
    assert_eq!(job.next().await, None);
    let stages = progress.borrow().clone();
    assert_eq!(
        stages.iter().map(|s| (s.id, s.done, s.over)).collect::<Vec<_>>(),
        [(StageId(0), 3, true), (StageId(1), 2, true)]
    );
    let last = StageProgress { elapsed: Duration::from_millis(1500), ..stages[1].clone() };
    assert_eq!(last.to_string(), "stage 1: 2/2 tasks in 1.500 s: stage 1");
    while heard.recv().await.unwrap() != (Said::Forget { shuffles: 1 }) {}
    driver.stop(ApplicationState::Finished, "done").await;
    assert_eq!(heard.recv().await, Some(Said::Stopped("done".into())));
    assert_eq!(heard.recv().await, Some(Said::Closed));
}

#[tokio::test]
async fn whoever_drops_a_job_cancels_it() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, |_| None);
    let job = driver.submit(chain(&[1, 1])).await.unwrap();
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(0)])));
    drop(job);
    assert_eq!(heard.recv().await, Some(Said::Killed(TaskId(0))));
    assert_eq!(heard.recv().await, Some(Said::Forget { shuffles: 1 }));
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_cancelled_job_says_why() {
    let driver = in_process().await;
    let mut job = driver.submit(chain(&[1])).await.unwrap();
    job.cancel("Ctrl-C").await;
    assert_eq!(job.next().await, Some(JobNews::Over(Err(JobFailure::Cancelled("Ctrl-C".into())))));
    assert_eq!(job.next().await, None);
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_failure_of_the_query_reaches_whoever_submitted_it() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, |_| Some(TaskNews::Failed(TaskFailure::Query("t.csv: truncated".into()))));
    let mut job = driver.submit(chain(&[1])).await.unwrap();
    assert_eq!(job.next().await, Some(JobNews::Over(Err(JobFailure::Query("t.csv: truncated".into())))));
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn executors_of_this_process_ask_the_handle() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, |launch| (launch.stage == StageId(0)).then(|| output(launch, &[])));
    let job = driver.submit(chain(&[1, 1])).await.unwrap();
    let payload = Payload::new("payload 0");
    assert_eq!(driver.payload(payload.hash()).await, Ok(payload));
    heard.recv().await.unwrap();
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(1)])));
    let statuses = driver.map_statuses(ShuffleId(0), 0).await.unwrap();
    assert_eq!(statuses.statuses.len(), 1);
    assert!(matches!(driver.map_statuses(ShuffleId(9), 0).await, Err(Refusal::Gone(_))));
    drop(job);
    driver.stop(ApplicationState::Finished, "done").await;
    assert_eq!(driver.payload(Payload::new("x").hash()).await, Err(Refusal::Gone("the driver".into())));
}

#[tokio::test]
async fn a_stopped_driver_takes_nothing_and_leaves_nobody_waiting() {
    let driver = in_process().await;
    let mut job = driver.submit(chain(&[1])).await.unwrap();
    driver.stop(ApplicationState::Finished, "done").await;
    assert_eq!(job.next().await, Some(JobNews::Over(Err(JobFailure::Cancelled("done".into())))));
    assert!(matches!(driver.submit(chain(&[1])).await, Err(Error::Stopped)));
    let (_ours, theirs) = hearth_core::link::pair();
    assert_eq!(driver.accept_executor(theirs), Err(Refusal::Gone("the driver".into())));
    // Once more does no harm.
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_driver_that_is_dropped_sends_its_executors_home() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, |_| None);
    let job = driver.submit(chain(&[1])).await.unwrap();
    heard.recv().await.unwrap();
    drop(driver);
    assert_eq!(heard.recv().await, Some(Said::Stopped("the driver was dropped".into())));
    drop(job);
}
