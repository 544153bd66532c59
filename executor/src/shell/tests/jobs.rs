//! Real queries, stage by stage.

use super::*;
use hearth_blocks::{OutputId, OutputReader};

const NATIONS: &str = "select n_regionkey, count(*) as nations from tpch.sf0_01.nation group by n_regionkey order by 1";
const COUNTED: &str = "\
| 0           | 5       |\n| 1           | 5       |\n| 2           | 5       |\n| 3           | 5       |\n| 4           | 5       |";

#[tokio::test]
async fn a_job_of_several_stages_goes_through_files() {
    let mut stage = Stage::new().await;
    let graph = graph(NATIONS, 3).await;
    assert!(graph.stages.len() > 1, "there is an exchange");
    let results = stage.run(&graph).await;
    let batches: Vec<_> = results.iter().flat_map(|(block, _)| inline(block)).collect();
    assert_eq!(text(&batches), COUNTED);
    let (_, metrics) = results.last().unwrap();
    assert!(metrics.rows > 0 && metrics.bytes_read > 0 && metrics.bytes_written > 0, "{metrics:?}");
    let files = stage.files(&stage.shuffle_dir);
    assert!(!files.is_empty() && files.iter().all(|f| f.starts_with("shuffle_") && !f.ends_with(".tmp")), "{files:?}");

    // The job is over.
    let shuffles = (0..graph.stages.len()).map(|s| ShuffleId(u32::try_from(s).unwrap())).collect();
    let payloads = graph.stages.iter().map(|s| s.payload.hash()).collect();
    stage.say(TaskDown::Forget { payloads, shuffles, results: vec![] }).await;
    stage.say(TaskDown::Stop { reason: "done".into() }).await;
    let exit = timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert_eq!((exit.code, exit.reason.as_str()), (0, "the driver said stop: done"));
    assert_eq!(stage.files(&stage.shuffle_dir), [""; 0], "outputs are removed before it has ended");
}

#[tokio::test]
async fn an_executor_serves_its_own_outputs_when_nobody_else_does() {
    let conf = [("spark.shuffle.service.enabled", "false"), ("hearth.shuffle.localRead", "false")];
    let mut stage = Stage::with(&conf, 9, |_| None).await;
    let graph = graph(NATIONS, 3).await;
    let results = stage.run(&graph).await;
    let batches: Vec<_> = results.iter().flat_map(|(block, _)| inline(block)).collect();
    assert_eq!(text(&batches), COUNTED);
    let location = stage.known.statuses.lock().unwrap()[&ShuffleId(0)].statuses[0].location.clone();
    assert_eq!(location.executor, Some(ExecutorId(3)));
    assert!(location.address.port != 9 && location.address.port != 0, "{location:?}");
    let blocks = stage.work_dir.join("blocks");
    assert_eq!(Path::new(&location.directory), blocks);
    assert!(!stage.files(&blocks).is_empty());
    assert!(!stage.shuffle_dir.exists(), "the block service has nothing to do with it");

    stage.executor.stop("enough").await;
    assert_eq!(stage.hear().await, TaskUp::Leaving { reason: "enough".into() });
    drop(stage.link);
    let exit = timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert_eq!((exit.code, exit.reason.as_str()), (0, "enough"));
    assert!(!blocks.exists(), "nobody serves them any more");
}

#[tokio::test]
async fn a_large_result_is_stored() {
    let mut stage = Stage::new().await;
    let graph = graph("select * from tpch.sf0_01.lineitem", 1).await;
    let results = stage.run(&graph).await;
    let [(ResultBlock::Stored { task, location, bytes }, metrics)] = results.as_slice() else {
        panic!("one stored block: {results:?}")
    };
    assert_eq!(location.executor, None);
    assert_eq!((metrics.rows, metrics.bytes_written), (60_175, *bytes), "as many rows as TPC-H says");
    let reader = OutputReader::open(Path::new(&location.directory), &OutputId::Result { task: *task }).unwrap();
    let batches = rows(reader.read_span(0, *bytes, 0..*bytes).unwrap());
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 60_175);

    stage.say(TaskDown::Forget { payloads: vec![], shuffles: vec![], results: vec![*task] }).await;
    stage.say(TaskDown::Stop { reason: "done".into() }).await;
    timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert_eq!(stage.files(&stage.shuffle_dir), [""; 0]);
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_spilled() {
    let small = |options: &mut ShellOptions| {
        options.memory_bytes = 14 << 20;
        None
    };
    let mut stage = Stage::with(&[], 0, small).await;
    let sql = "select l_orderkey, l_comment from tpch.sf0_1.lineitem order by l_comment, l_orderkey";
    let results = stage.run(&graph(sql, 1).await).await;
    let [(ResultBlock::Stored { .. }, metrics)] = results.as_slice() else { panic!("one block: {results:?}") };
    assert_eq!(metrics.rows, 600_572, "as many rows as TPC-H says");
    assert!(metrics.bytes_spilled > 0, "{metrics:?}");
    stage.executor.stop("enough").await;
    timeout(PATIENCE, stage.executor.wait()).await.unwrap();
    assert!(!stage.work_dir.join("tmp").exists());
}

#[tokio::test]
async fn what_an_output_buffers_is_of_its_tasks_memory() {
    let mut stage = Stage::new().await;
    let sql = "select a.l_comment, b.l_comment from tpch.sf0_1.lineitem a join tpch.sf0_1.lineitem b \
               on a.l_orderkey = b.l_partkey";
    // Small batches, so that what waits to be written is little beside what is.
    let options = SessionOptions { partitions: 2, broadcast_bytes: None, batch_size: 512, ..SessionOptions::default() };
    let planned = SqlSession::new(options).unwrap().plan(sql).await.unwrap();
    let Planned::Query { graph, .. } = planned else { panic!("{planned:?} is no query") };
    let map = &graph.stages[0];
    assert!(map.output_partitions == 2 && map.inputs.is_empty(), "{map:?}");
    let target = TaskTarget::Shuffle { shuffle: ShuffleId(0), partitions: 2 };
    let task = stage.launch(&map.payload, 0, &[], target).await;
    let (_, metrics) = stage.ended(task).await.unwrap();
    // All of it waits for the commit.
    assert_eq!(metrics.bytes_spilled, 0);
    assert!(metrics.bytes_written > 4 << 20, "{metrics:?}");
    assert!(metrics.peak_memory >= metrics.bytes_written, "{metrics:?}");
}
