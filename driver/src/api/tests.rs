//! Rows in order, and every way in which they do not come.

use super::{QueryError, QueryRun, Session, SessionOptions, results::Reader};
use crate::{
    machine::JobFailure,
    shell::{
        DriverHandle,
        tests::{Said, chain, executor, in_process, named, output},
    },
};
use datafusion::arrow::{
    array::{AsArray, Int32Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    ipc::writer::StreamWriter,
};
use futures::FutureExt;
use hearth_blocks::{FailureKind, FetchOptions, OutputId, OutputWriter, WriterOptions};
use hearth_core::{
    ApplicationState, Determinism, TaskId,
    messages::{
        task::{BlockLocation, ResultBlock, TaskFailure, TaskLaunch, TaskMetrics, TaskNews, TaskOutput},
        worker::Address,
    },
};
use std::{path::Path, sync::Arc};

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
    let reader = Reader::new(driver.clone(), FetchOptions::default());
    QueryRun::job(job, Arc::new(reader), schema(), String::new(), limit)
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
    let mut query = query(&driver, 2, None).await;
    assert_eq!(numbers(&[query.next().await.unwrap().unwrap()]), [0]);
    drop(query);
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
    // Each row is an i32.
    let error = query(&driver, 50, Some(196)).await.collect().await.unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit: 196 }), "{error}");
    assert_eq!(query(&driver, 50, Some(200)).await.collect().await.unwrap().len(), 50);
    assert_eq!(query(&driver, 50, None).await.collect().await.unwrap().len(), 50);
    // Whoever says that he holds them is held to it, and nothing comes after.
    let mut held = query(&driver, 3, Some(8)).await.bounded();
    assert!(held.next().await.unwrap().is_ok());
    assert!(held.next().await.unwrap().is_ok());
    assert!(matches!(held.next().await, Some(Err(QueryError::TooLarge { limit: 8 }))));
    assert!(held.next().await.is_none());
    let mut streamed = query(&driver, 50, Some(8)).await;
    let mut rows = Vec::new();
    while let Some(batch) = streamed.next().await {
        rows.push(batch.unwrap());
    }
    assert_eq!(numbers(&rows), (0..50).collect::<Vec<_>>());
    driver.stop(ApplicationState::Finished, "done").await;
}

/// Whoever asks with a timeout loses no rows, wherever it strikes.
#[tokio::test]
async fn to_ask_may_be_given_up_at_any_time() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, inline);
    let mut query = query(&driver, 30, None).await;
    let mut rows = Vec::new();
    loop {
        match query.next().now_or_never() {
            None => tokio::task::yield_now().await,
            Some(None) => break,
            Some(Some(batch)) => rows.push(batch.unwrap()),
        }
    }
    assert_eq!(numbers(&rows), (0..30).collect::<Vec<_>>());
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

/// Numbers from 0, in batches: more than one chunk of a file, and of the sort that does not become smaller.
fn large_block(batches: i32) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &schema()).unwrap();
    for batch in 0..batches {
        let column = Int32Array::from_iter_values(batch * 10_007..(batch + 1) * 10_007);
        writer.write(&RecordBatch::try_new(schema(), vec![Arc::new(column)]).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

/// What an executor says that stored this block in `dir`, where nobody serves it.
fn store(dir: &Path, task: TaskId, rows: Vec<u8>) -> TaskNews {
    let bytes = rows.len() as u64;
    let mut writer = OutputWriter::create(dir, OutputId::Result { task }, 1, WriterOptions::default());
    writer.write(0, rows.into()).unwrap();
    writer.commit().unwrap();
    let address = Address { host: "127.0.0.1".into(), port: 0 };
    let directory = dir.to_str().unwrap().to_owned();
    let location = BlockLocation { worker: "w1".parse().unwrap(), executor: None, address, directory };
    succeeded(ResultBlock::Stored { task, location, bytes })
}

/// A query of one partition whose result is stored and not read yet.
async fn stored(driver: &DriverHandle, limit: Option<u64>) -> QueryRun {
    let query = query(driver, 1, limit).await;
    let mut done = query.progress();
    done.wait_for(|stages| stages.iter().any(|stage| stage.done == 1)).await.unwrap();
    query
}

#[tokio::test]
async fn stored_results_are_read_when_it_is_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let driver = named().await;
    let path = dir.path().to_owned();
    let _heard = executor(&driver, 1, 1, move |launch| Some(store(&path, launch.task, block(launch.partition))));
    let batches = query(&driver, 3, None).await.collect().await.unwrap();
    assert_eq!(numbers(&batches), [0, 1, 2]);
    driver.stop(ApplicationState::Finished, "done").await;
}

/// What is gone before it was read is made again.
#[tokio::test]
async fn stored_results_that_are_lost_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let driver = named().await;
    let path = dir.path().to_owned();
    let mut heard = executor(&driver, 1, 1, move |launch| Some(store(&path, launch.task, block(launch.partition))));
    let mut lost = stored(&driver, None).await;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(numbers(&[lost.next().await.unwrap().unwrap()]), [0]);
    assert!(lost.next().await.is_none());
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(0)])));
    assert_eq!(heard.recv().await, Some(Said::Launched(vec![TaskId(1)])));
    driver.stop(ApplicationState::Finished, "done").await;
}

#[tokio::test]
async fn a_large_stored_result_comes_batch_by_batch_and_is_bounded_only_when_held() {
    let dir = tempfile::tempdir().unwrap();
    let driver = named().await;
    let path = dir.path().to_owned();
    let rows = large_block(100);
    assert!(rows.len() > 3 << 20, "several chunks");
    let _heard = executor(&driver, 1, 1, move |launch| Some(store(&path, launch.task, rows.clone())));
    let mut streamed = stored(&driver, Some(100_000)).await;
    let first = streamed.next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 10_007);
    let mut all = numbers(&[first]);
    while let Some(batch) = streamed.next().await {
        all.extend(numbers(&[batch.unwrap()]));
    }
    assert!(all.iter().copied().eq(0..1_000_700));
    let error = stored(&driver, Some(100_000)).await.collect().await.unwrap_err();
    assert!(matches!(error, QueryError::TooLarge { limit: 100_000 }), "{error}");
    driver.stop(ApplicationState::Finished, "done").await;
}

/// A stored result of several spans, whose data is damaged in the middle once its first rows, which it gives too, were read.
/// Rows that are made again come in an order of which `determinism` tells. Gives also where the damage is.
async fn damaged(
    dir: &Path,
    determinism: Determinism,
) -> (DriverHandle, QueryRun, Vec<i32>, std::path::PathBuf, usize) {
    let driver = named().await;
    let path = dir.to_owned();
    let rows = large_block(1000);
    assert!(rows.len() > 30 << 20, "several spans");
    let _heard = executor(&driver, 1, 1, move |launch| Some(store(&path, launch.task, rows.clone())));
    let mut graph = chain(&[1]);
    graph.stages[0].determinism = determinism;
    // No more is read ahead than this.
    let options = FetchOptions { max_in_flight: 1 << 20, ..FetchOptions::default() };
    let job = driver.submit(graph).await.unwrap();
    let reader = Arc::new(Reader::new(driver.clone(), options));
    let mut run = QueryRun::job(job, reader, schema(), String::new(), None);
    let first = numbers(&[run.next().await.unwrap().unwrap()]);
    let mut files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let data = files.find(|path| path.extension().is_some_and(|ext| ext == "data")).unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    (driver, run, first, data, place)
}

/// Rows come from verified bytes only: those before the damage, as far as they are whole, and then an error, where rows that
/// are made again may come in another order.
#[tokio::test]
async fn no_row_of_damaged_bytes_is_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let (driver, mut damaged, mut all, data, place) = damaged(dir.path(), Determinism::Unordered).await;
    let error = loop {
        match damaged.next().await.unwrap() {
            Ok(batch) => all.extend(numbers(&[batch])),
            Err(error) => break error,
        }
    };
    assert!(all.len() * size_of::<i32>() < place, "{} rows", all.len());
    assert!(all.iter().copied().eq(0..all.len() as i32));
    let QueryError::Lost { partition: 0, source } = &error else { panic!("{error}") };
    assert_eq!(source.kind, FailureKind::CorruptOnDisk);
    assert!(error.to_string().contains(data.to_str().unwrap()), "{error}");
    assert!(damaged.next().await.is_none());
    driver.stop(ApplicationState::Finished, "done").await;
}

/// Where they come in the same order, nobody notices: those that were handed out are left out the second time.
#[tokio::test]
async fn rows_that_come_again_in_the_same_order_are_handed_out_once() {
    let dir = tempfile::tempdir().unwrap();
    let (driver, mut damaged, mut all, _, place) = damaged(dir.path(), Determinism::Determinate).await;
    while let Some(batch) = damaged.next().await {
        all.extend(numbers(&[batch.unwrap()]));
    }
    assert!(all.len() * size_of::<i32>() > place, "beyond the damage");
    assert!(all.iter().copied().eq(0..10_007_000));
    assert_eq!(damaged.stages()[0].attempt, 1, "it was made again");
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

#[tokio::test]
async fn an_analyzed_query_gives_a_report_in_place_of_rows() {
    let driver = in_process().await;
    let _heard = executor(&driver, 1, 1, |launch| Some(output(launch, &[])));
    let session = Session::new(driver.clone(), SessionOptions::default()).unwrap();
    let text = "explain analyze select count(*) from tpch.sf0_01.nation";
    let mut run = session.sql(text).await.unwrap();
    let rows = run.next().await.unwrap().unwrap();
    assert_eq!((rows.num_rows(), rows.schema()), (1, run.schema()));
    let [kind, report] = [0, 1].map(|column| rows.column(column).as_string::<i32>().value(0).to_owned());
    assert_eq!(kind, "stages");
    // The fake executor says that each of its tasks gave one row.
    assert!(report.contains("1 of 1 done, 1 attempt") && report.contains("rows    0 in, 1 out"), "{report}");
    assert!(run.next().await.is_none());
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

/// What lies in a directory.
fn inside(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// A write whose first task the fake executor has got, and which `answer` ends or does not.
async fn writing(dir: &Path, answer: fn(&TaskLaunch) -> Option<TaskNews>) -> (DriverHandle, Session, QueryRun) {
    let driver = in_process().await;
    let mut heard = executor(&driver, 1, 1, answer);
    let session = Session::new(driver.clone(), SessionOptions::default()).unwrap();
    let copy = format!("copy tpch.sf0_01.nation to '{}' stored as csv", dir.join("out").display());
    let run = session.sql(&copy).await.unwrap();
    assert_eq!(run.schema().field(0).name(), "count");
    let first = heard.recv().await.unwrap();
    assert!(matches!(first, Said::Launched(_)), "{first:?}");
    (driver, session, run)
}

#[tokio::test]
async fn a_write_that_fails_is_undone_before_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // An error of the query's own, and rows that are no manifest.
    let failed: fn(&TaskLaunch) -> _ = |_| Some(TaskNews::Failed(TaskFailure::Query("divide by zero".into())));
    for (answer, words) in [(failed, "divide by zero"), (inline, "cannot be read")] {
        let (driver, _session, mut run) = writing(dir.path(), answer).await;
        let error = run.next().await.unwrap().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(inside(dir.path()), [""; 0]);
        assert!(run.next().await.is_none());
        driver.stop(ApplicationState::Finished, "done").await;
    }
}

#[tokio::test]
async fn a_write_that_is_cancelled_or_dropped_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let (driver, session, mut run) = writing(dir.path(), |_| None).await;
    assert_eq!(inside(dir.path()), ["_temporary"]);
    assert!(run.next().now_or_never().is_none());
    run.cancel("the user said so").await;
    let error = run.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, QueryError::Job(JobFailure::Cancelled(r)) if r == "the user said so"), "{error}");
    assert_eq!(inside(dir.path()), [""; 0]);
    session.settle().await;
    driver.stop(ApplicationState::Finished, "done").await;
    let (driver, session, run) = writing(dir.path(), |_| None).await;
    assert_eq!(inside(dir.path()), ["_temporary"]);
    drop(run);
    session.settle().await;
    assert_eq!(inside(dir.path()), [""; 0]);
    driver.stop(ApplicationState::Finished, "done").await;
}
