//! Rows in order, and every way in which they do not come.

use super::{QueryError, QueryRun, Session, SessionOptions, results::Reader};
use crate::{
    machine::JobFailure,
    shell::{
        DriverHandle,
        tests::{Said, chain, executor, in_process, named},
    },
};
use datafusion::arrow::{
    array::{Int32Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    ipc::writer::StreamWriter,
};
use futures::StreamExt;
use hearth_blocks::{FetchOptions, Fetcher, OutputId, OutputWriter, WriterOptions};
use hearth_core::{
    ApplicationState, TaskId,
    messages::{
        task::{BlockLocation, ResultBlock, TaskFailure, TaskLaunch, TaskMetrics, TaskNews, TaskOutput},
        worker::Address,
    },
};
use std::sync::Arc;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]))
}

/// One row that says which partition it is of, as an executor would send it.
fn block(partition: u32) -> Vec<u8> {
    let column = Int32Array::from(vec![partition as i32]);
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(column)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn succeeded(block: ResultBlock) -> TaskNews {
    TaskNews::Succeeded(TaskOutput::Result(block), TaskMetrics { rows: 1, ..TaskMetrics::default() })
}

fn inline(launch: &TaskLaunch) -> Option<TaskNews> {
    Some(succeeded(ResultBlock::Inline(block(launch.partition).into())))
}

async fn query(driver: &DriverHandle, tasks: u32, limit: Option<u64>) -> QueryRun {
    let job = driver.submit(chain(&[tasks])).await.unwrap();
    let reader = Reader::new(driver.clone(), Fetcher::new(FetchOptions::default()), limit);
    QueryRun::job(job, reader, schema(), String::new(), limit)
}

fn numbers(batches: &[RecordBatch]) -> Vec<i32> {
    let column = |batch: &RecordBatch| batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec();
    batches.iter().flat_map(column).collect()
}

#[tokio::test]
async fn rows_come_in_the_order_of_partitions() {
    let driver = in_process().await;
    // The first attempt at partition 0 fails, so that it is done after the others.
    let _heard = executor(&driver, 1, 2, |launch| match (launch.partition, launch.attempt) {
        (0, 0) => Some(TaskNews::Failed(TaskFailure::Transient("no luck".into()))),
        _ => inline(launch),
    });
    let mut query = query(&driver, 20, None).await;
    let mut rows = Vec::new();
    while let Some(batch) = query.next().await {
        rows.push(batch.unwrap());
    }
    assert_eq!(numbers(&rows), (0..20).collect::<Vec<_>>());
    assert!(query.next().await.is_none());
    let stages = query.stages();
    assert_eq!((stages[0].tasks, stages[0].done, stages[0].over), (20, 20, true));
    assert_eq!(query.metrics().rows, 20);
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_query_that_is_dropped_is_cancelled() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, |launch| (launch.partition == 0).then(|| inline(launch)).flatten());
    let mut stream = Box::pin(query(&driver, 2, None).await.into_stream());
    assert_eq!(numbers(&[stream.next().await.unwrap().unwrap()]), [0]);
    drop(stream);
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(0)])));
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(1)])));
    assert_eq!(heard.recv().await, Some(Said::Killed(TaskId(1))));
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_failed_query_gives_its_error_and_ends() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, |_| Some(TaskNews::Failed(TaskFailure::Query("divide by zero".into()))));
    let mut query = query(&driver, 2, None).await;
    let error = query.next().await.unwrap().unwrap_err();
    assert!(matches!(error, QueryError::Job(JobFailure::Query(_))));
    assert_eq!(error.to_string(), "divide by zero");
    assert!(query.next().await.is_none());
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn what_is_collected_is_bounded_and_what_streams_is_not() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, inline);
    let error = query(&driver, 50, Some(1000)).await.collect().await.unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit: 1000 }), "{error}");
    let streamed = query(&driver, 50, Some(1000)).await.into_stream().count().await;
    assert_eq!(streamed, 50);
    assert_eq!(query(&driver, 50, None).await.collect().await.unwrap().len(), 50);
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_damaged_result_is_said_to_be() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, |_| Some(succeeded(ResultBlock::Inline(vec![1; 40].into()))));
    let mut query = query(&driver, 1, None).await;
    let error = query.next().await.unwrap().unwrap_err();
    assert!(matches!(error, QueryError::Damaged { partition: 0, .. }), "{error}");
    assert!(query.next().await.is_none());
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn stored_results_are_fetched_when_it_is_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let driver = named().await;
    let path = dir.path().to_owned();
    let _heard = executor(&driver, 1, 1, move |launch| {
        let rows = block(launch.partition);
        let bytes = rows.len() as u64;
        let id = OutputId::Result { task: launch.task };
        let mut writer = OutputWriter::create(&path, id, 1, WriterOptions::default());
        writer.write(0, rows.into()).unwrap();
        writer.commit().unwrap();
        let address = Address { host: "127.0.0.1".into(), port: 0 };
        let directory = path.to_str().unwrap().to_owned();
        let location = BlockLocation { worker: "w1".parse().unwrap(), executor: None, address, directory };
        Some(succeeded(ResultBlock::Stored { task: launch.task, location, bytes }))
    });
    let batches = query(&driver, 3, None).await.collect().await.unwrap();
    assert_eq!(numbers(&batches), [0, 1, 2]);
    // A block is read as a whole, so it is bounded as a whole.
    let error = query(&driver, 1, Some(10)).await.next().await.unwrap().unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit: 10 }), "{error}");
    // What is gone is said to be.
    let mut lost = query(&driver, 1, None).await;
    let mut done = lost.progress();
    done.wait_for(|stages| stages.iter().any(|stage| stage.done == 1)).await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let error = lost.next().await.unwrap().unwrap_err();
    assert!(matches!(error, QueryError::Lost { partition: 0, .. }), "{error}");
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn statements_of_the_driver_need_no_executor() {
    let driver = in_process().await;
    let session = Session::new(driver.clone(), SessionOptions::default()).unwrap();
    let shown = session.sql("show tables").await.unwrap();
    assert!(shown.stages().is_empty());
    assert!(!shown.schema().fields().is_empty());
    assert!(!shown.collect().await.unwrap().is_empty());
    let error = session.sql("select * from nowhere").await.unwrap_err();
    assert!(matches!(error, QueryError::Plan(_)), "{error}");
    driver.stop(ApplicationState::Finished, "done").await;
}

/// The plan's one row is the fake executor's; what is tested is the way there and back.
#[tokio::test]
async fn sql_becomes_a_job() {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, |launch| {
        matches!(launch.target, hearth_core::messages::task::TaskTarget::Result).then(|| inline(launch)).flatten()
    });
    let session = Session::new(driver.clone(), SessionOptions::default()).unwrap();
    let text = "select n_nationkey as n from tpch.sf0_01.nation where n_nationkey = 0";
    let statements = session.statements(text).unwrap();
    let run = session.run(&statements[0]).await.unwrap();
    assert!(!run.explain().is_empty());
    assert_eq!(run.schema().field(0).name(), "n");
    let first = heard.recv().await.unwrap();
    assert!(matches!(first, Said::Launched(_)), "{first:?}");
    drop(run);
    driver.stop(ApplicationState::Finished, "done").await;
}
