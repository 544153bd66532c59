//! What goes wrong in a task, or around it. The executor lives.

use super::{
    super::{panics, runtime::TaskRuntime},
    *,
};
use datafusion::{
    common::Result as DataFusionResult,
    execution::{
        memory_pool::{MemoryPool, MemoryReservation},
        runtime_env::RuntimeEnvBuilder,
    },
};
use hearth_plan::TaskEnv;
use std::sync::atomic::{AtomicU32, Ordering};

/// A result task that needs no input.
async fn simple() -> Payload {
    graph("select count(*) from tpch.sf0_01.nation", 1).await.stages[0].payload.clone()
}

/// The executor still runs tasks.
async fn lives(stage: &mut Stage) {
    let results = stage.run(&graph("select n_name from tpch.sf0_01.nation limit 1", 1).await).await;
    assert_eq!(text(&inline(&results[0].0)), "| ALGERIA |");
}

/// A stage that writes all of a table to a shuffle, and how many blocks each of its tasks writes.
async fn wide_shuffle(table: &str) -> (Payload, TaskTarget) {
    let sql = format!("select a.l_orderkey from {table} a join {table} b on a.l_orderkey = b.l_partkey");
    let graph = graph(&sql, 4).await;
    let stage = &graph.stages[0];
    assert!(stage.output_partitions == 4 && stage.inputs.is_empty(), "{stage:?}");
    (stage.payload.clone(), TaskTarget::Shuffle { shuffle: ShuffleId(0), partitions: 4 })
}

/// A pool on which so many panics are left.
#[derive(Debug)]
struct PanickingPool(AtomicU32);

impl std::fmt::Display for PanickingPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a pool that panics")
    }
}

impl MemoryPool for PanickingPool {
    fn name(&self) -> &str {
        "panicking"
    }
    fn grow(&self, _: &MemoryReservation, _: usize) {}
    fn shrink(&self, _: &MemoryReservation, _: usize) {}
    fn try_grow(&self, _: &MemoryReservation, _: usize) -> DataFusionResult<()> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "the pool is on fire");
        Ok(())
    }
    fn reserved(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn a_panic_is_that_tasks_failure_with_its_place() {
    let on_fire = |_: &mut ShellOptions| {
        let pool = Arc::new(PanickingPool(AtomicU32::new(2)));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        Some(Memory::of(TaskEnv::new(runtime)))
    };
    let mut stage = Stage::with(&[], 0, on_fire).await;
    let sorted = graph("select n_name from tpch.sf0_01.nation order by n_name", 1).await.stages[0].payload.clone();
    for _ in 0..2 {
        let task = stage.launch(&sorted, 0, &[], TaskTarget::Result).await;
        let Err(TaskFailure::Panicked(message)) = stage.ended(task).await else { panic!("another end") };
        assert!(message.starts_with("the pool is on fire, at "), "{message}");
        assert!(message.contains("tests/faults.rs:"), "{message}");
    }
    lives(&mut stage).await;
}

#[tokio::test]
async fn a_panic_keeps_its_place_when_it_crosses_threads() {
    let runtime = TaskRuntime::new(2).unwrap();
    let task = runtime.spawn(async {
        let inner = tokio::task::spawn_blocking(|| panic!("far away"));
        std::panic::resume_unwind(inner.await.unwrap_err().into_panic());
    });
    let thrown = task.await.unwrap_err().into_panic();
    let failure = panics::failure(thrown.as_ref()).to_string();
    assert!(failure.starts_with("the task panicked: far away, at ") && failure.contains("faults.rs:"), "{failure}");
}

#[tokio::test]
async fn a_payload_that_is_none_fails_its_task_for_good() {
    let mut stage = Stage::new().await;
    for bytes in [&b""[..], b"\xff\xff\xff", b"not a payload at all"] {
        let task = stage.launch(&Payload::new(bytes), 0, &[], TaskTarget::Result).await;
        let Err(TaskFailure::Query(message)) = stage.ended(task).await else { panic!("another end") };
        assert!(message.starts_with("malformed payload"), "{message}");
    }
    // A plan that is fine, and does not fit its stage.
    let payload = simple().await;
    let task = stage.launch(&payload, 99, &[], TaskTarget::Result).await;
    assert!(matches!(stage.ended(task).await, Err(TaskFailure::Query(_))));
    let target = TaskTarget::Shuffle { shuffle: ShuffleId(0), partitions: 7 };
    let task = stage.launch(&payload, 0, &[], target).await;
    let Err(TaskFailure::Query(message)) = stage.ended(task).await else { panic!("another end") };
    assert!(message.contains("where shuffle 0 has 7 reduce partitions"), "{message}");
    lives(&mut stage).await;
}

#[tokio::test]
async fn a_payload_that_is_gone_fails_its_task() {
    let mut stage = Stage::new().await;
    let hash = Payload::new(&b"never given"[..]).hash();
    let task = TaskId(99);
    stage.say(TaskDown::Launch(vec![launch(task, hash, 0, &[], TaskTarget::Result)])).await;
    let message = format!("the driver does not give payload {hash}: payload {hash} is gone");
    let failed = TaskNews::Failed(TaskFailure::Transient(message));
    assert_eq!(stage.news().await, TaskStatus { task, news: failed });
    lives(&mut stage).await;
}

#[tokio::test]
async fn a_cancelled_task_leaves_no_files() {
    // So little memory that rows are spilled as they come: the files are there early.
    let small = |options: &mut ShellOptions| {
        options.memory_bytes = 64 << 10;
        None
    };
    let mut stage = Stage::with(&[], 0, small).await;
    let (payload, target) = wide_shuffle("tpch.sf10.lineitem").await;
    let task = stage.launch(&payload, 0, &[], target).await;
    assert_eq!(stage.news().await, TaskStatus { task, news: TaskNews::Started });
    let dir = stage.shuffle_dir.clone();
    let appears = async {
        // Nobody tells of files.
        while stage.files(&dir).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, appears).await.expect("it spills");
    stage.say(TaskDown::Kill { task, reason: "enough".into() }).await;
    let killed = TaskNews::Failed(TaskFailure::Killed("enough".into()));
    assert_eq!(stage.news().await, TaskStatus { task, news: killed });
    assert_eq!(stage.files(&dir), [""; 0]);
    lives(&mut stage).await;
}

#[tokio::test]
async fn an_executor_that_stops_takes_its_tasks_files_along() {
    let small = |options: &mut ShellOptions| {
        options.memory_bytes = 64 << 10;
        None
    };
    let mut stage = Stage::with(&[], 0, small).await;
    let (payload, target) = wide_shuffle("tpch.sf10.lineitem").await;
    let task = stage.launch(&payload, 0, &[], target).await;
    assert_eq!(stage.news().await, TaskStatus { task, news: TaskNews::Started });
    stage.say(TaskDown::Stop { reason: "cancelled".into() }).await;
    let exit = timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert_eq!(exit.code, 0);
    assert_eq!(stage.files(&stage.shuffle_dir), [""; 0]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let mut stage = Stage::new().await;
    let (payload, target) = wide_shuffle("tpch.sf0_01.lineitem").await;
    // A file in its place. (To a process of root no directory is read-only.)
    std::fs::write(&stage.shuffle_dir, "in the way").unwrap();
    let task = stage.launch(&payload, 0, &[], target).await;
    let Err(TaskFailure::Disk { path, message }) = stage.ended(task).await else { panic!("another end") };
    assert!(Path::new(&path).starts_with(&stage.shuffle_dir), "{path}: {message}");
    assert!(message.contains("Not a directory"), "{message}");
    std::fs::remove_file(&stage.shuffle_dir).unwrap();
    // A directory that is only missing is made.
    let task = stage.launch(&payload, 0, &[], target).await;
    assert!(matches!(stage.ended(task).await, Ok((TaskOutput::Map(_), _))));
}

#[tokio::test]
async fn an_output_that_cannot_be_fetched_is_told_with_its_place() {
    let mut stage = Stage::new().await;
    let graph = graph("select n_regionkey, count(*) from tpch.sf0_01.nation group by n_regionkey", 2).await;
    stage.run(&graph).await;
    std::fs::remove_dir_all(&stage.shuffle_dir).unwrap();
    let last = &graph.stages[graph.result()];
    let reads = u32::try_from(last.inputs[0].from).unwrap();
    let mut told = 0;
    for partition in 0..last.tasks {
        let task = stage.launch(&last.payload, partition, &[reads], TaskTarget::Result).await;
        match stage.ended(task).await {
            // It had nothing to read.
            Ok(_) => {}
            Err(TaskFailure::FetchFailed { shuffle, location, map_task, .. }) => {
                assert_eq!(shuffle, ShuffleId(reads));
                let statuses = stage.known.statuses.lock().unwrap()[&shuffle].clone();
                assert!(statuses.statuses.iter().any(|s| s.task == map_task && s.location == *location));
                told += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(told > 0, "some of the outputs had rows");
    lives(&mut stage).await;
}

#[tokio::test]
async fn too_little_memory_is_told_with_the_bound() {
    let tiny = |options: &mut ShellOptions| {
        options.memory_bytes = 1 << 20;
        None
    };
    let mut stage = Stage::with(&[], 0, tiny).await;
    let sql = "select l_comment, row_number() over (order by l_comment) from tpch.sf0_01.lineitem";
    let payload = graph(sql, 1).await.stages[0].payload.clone();
    let task = stage.launch(&payload, 0, &[], TaskTarget::Result).await;
    let Err(TaskFailure::OutOfMemory(message)) = stage.ended(task).await else { panic!("another end") };
    assert!(message.contains("the executor's pool has 1 MiB for all its tasks"), "{message}");
    lives(&mut stage).await;
}

#[tokio::test]
async fn a_lost_link_is_opened_again_and_the_news_follows() {
    let mut stage = Stage::new().await;
    let (payload, target) = wide_shuffle("tpch.sf0_1.lineitem").await;
    let task = stage.launch(&payload, 0, &[], target).await;
    assert_eq!(stage.news().await, TaskStatus { task, news: TaskNews::Started });
    // The link breaks under the task.
    stage.link = pair().0;
    stage.link = timeout(PATIENCE, stage.dials.recv()).await.expect("it dials again").unwrap();
    stage.register(&[task.0]).await;
    let ended = stage.news().await;
    assert!(ended.task == task && matches!(ended.news, TaskNews::Succeeded(..)), "{ended:?}");
    lives(&mut stage).await;
}

#[tokio::test]
async fn an_executor_without_a_driver_ends() {
    let stage = Stage::with(&[("hearth.executor.driverTimeout", "1s")], 0, |_| None).await;
    *stage.known.dialed.lock().unwrap() = None;
    drop((stage.link, stage.dials));
    let exit = timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert_eq!(
        (exit.code, exit.reason.as_str()),
        (75, "the driver has said nothing for 1 s (hearth.executor.driverTimeout)")
    );
}
