use super::*;
use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
        datatypes::Int64Type,
    },
    common::resources_err,
    datasource::{memory::MemorySourceConfig, source::DataSourceExec},
    execution::{
        TaskContext,
        disk_manager::DiskManagerBuilder,
        memory_pool::{MemoryPool, MemoryReservation},
        runtime_env::RuntimeEnvBuilder,
    },
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col},
    physical_plan::{ExecutionPlan, Partitioning, collect_partitioned, repartition::RepartitionExec},
    prelude::SessionConfig,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use hearth_plan::{
    BlockSource, DecodedPayload, Piece, Planned, Selection, SessionOptions, SqlSession, TaskEnv,
    exchange::BlockDecoder, failure_of, run_task,
};
use std::fmt;

fn spills(dir: &Path) -> Spills {
    Spills::new(Arc::new(Disks::new(vec![dir.to_owned()], 0)))
}

async fn read(file: &Arc<dyn SpillFile>) -> Result<Vec<u8>> {
    Ok(file.read_stream()?.try_collect::<Vec<_>>().await?.concat())
}

fn written(spills: &Spills, sizes: &[usize]) -> (Arc<dyn SpillFile>, Vec<u8>) {
    let file = spills.create_temp_file("test").unwrap();
    let mut all = Vec::new();
    let mut writer = file.open_writer().unwrap();
    for (n, size) in sizes.iter().enumerate() {
        let bytes: Vec<u8> = (0..*size).map(|i| (i * 7 + n) as u8).collect();
        writer.write_all(&bytes).unwrap();
        all.extend(bytes);
    }
    writer.finish().unwrap();
    (file, all)
}

#[tokio::test]
async fn what_is_written_is_read_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let spills = spills(dir.path());
    for sizes in [&[][..], &[1], &[PIECE], &[PIECE - 1, 2, PIECE], &[3 * PIECE + 5]] {
        let (file, bytes) = written(&spills, sizes);
        assert_eq!(file.size(), Some(bytes.len() as u64));
        assert_eq!(read(&file).await.unwrap(), bytes);
        assert_eq!(read(&file).await.unwrap(), bytes, "as often as one likes");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn bytes_that_changed_are_not_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut bytes) = written(&spills(dir.path()), &[2 * PIECE]);
    bytes[PIECE + 9] ^= 1;
    fs::write(file.path().unwrap(), &bytes).unwrap();
    let TaskFailure::Disk { path, message } = failure_of(&read(&file).await.unwrap_err()) else {
        panic!("another failure")
    };
    assert_eq!(Path::new(&path), file.path().unwrap());
    assert_eq!(
        message,
        "bytes 131072 to 262144: the disk gave back other bytes than were written; check it, or take it out of \
         SPARK_LOCAL_DIRS / spark.local.dir"
    );
    fs::write(file.path().unwrap(), &bytes[..PIECE]).unwrap();
    assert!(matches!(failure_of(&read(&file).await.unwrap_err()), TaskFailure::Disk { .. }));
}

#[test]
fn a_full_disk_is_that_through_arrow() {
    let dir = tempfile::tempdir().unwrap();
    let file = spills(dir.path()).create_temp_file("test").unwrap();
    std::os::unix::fs::symlink("/dev/full", file.path().unwrap()).unwrap();
    let mut writer = file.open_writer().unwrap();
    let error = writer.write_all(b"x").unwrap_err();
    let error = DataFusionError::from(datafusion::arrow::error::ArrowError::from(error));
    let TaskFailure::Disk { path, message } = failure_of(&error) else { panic!("another failure: {error}") };
    assert_eq!(Path::new(&path), file.path().unwrap());
    assert!(message.contains("No space left on device"), "{message}");
}

/// Bytes that differ from place to place.
fn some(from: usize, size: usize) -> Vec<u8> {
    (from..from + size).map(|i| (i * 31 / 7) as u8).collect()
}

#[tokio::test]
async fn a_reader_goes_on_to_what_was_written_after_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let file = spills(dir.path()).create_temp_file("test").unwrap();
    let mut writer = file.open_writer().unwrap();
    let (mut all, mut found) = (Vec::new(), Vec::new());
    let mut reader = None;
    // Within a piece, over its end, to its end exactly, and of several pieces at once.
    for size in [5, PIECE - 9, 20, PIECE - 16, PIECE, 1, 3 * PIECE] {
        let bytes = some(all.len(), size);
        writer.write_all(&bytes).unwrap();
        all.extend(bytes);
        let reader = reader.get_or_insert_with(|| file.read_stream().unwrap());
        while found.len() < all.len() {
            found.extend(reader.try_next().await.unwrap().expect("there is more"));
        }
        assert!(found == all, "{} bytes", all.len());
    }
    let mut reader = reader.unwrap();
    // There may be more.
    assert!(futures::poll!(reader.try_next()).is_pending());
    writer.write_all(b"the end").unwrap();
    assert_eq!(reader.try_next().await.unwrap().unwrap(), "the end");
    let end = tokio::spawn(async move { reader.try_next().await });
    tokio::task::yield_now().await;
    drop(writer);
    assert_eq!(end.await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn a_piece_that_grows_is_verified_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let file = spills(dir.path()).create_temp_file("test").unwrap();
    let mut writer = file.open_writer().unwrap();
    writer.write_all(b"good, ").unwrap();
    let mut reader = file.read_stream().unwrap();
    assert_eq!(reader.try_next().await.unwrap().unwrap(), "good, ");
    writer.write_all(b"and bad").unwrap();
    drop(writer);
    fs::write(file.path().unwrap(), b"good, and BAD").unwrap();
    let failure = failure_of(&reader.try_next().await.unwrap_err());
    let TaskFailure::Disk { message, .. } = failure else { panic!("another failure") };
    assert!(message.starts_with("bytes 6 to 13: "), "{message}");
}

/// A number for each row, and a text that makes rows long.
fn batch(from: i64, rows: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((from..from + rows).map(|n| format!("{n:0>40}"))));
    RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
}

/// DataFusion's repartition reads its files while it writes them, and counts what comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repartition_that_spills_keeps_its_rows() {
    const BATCHES: i64 = 60;
    for keeps_order in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let input = |part: i64| (0..BATCHES).map(|i| batch((i * 3 + part) * 100, 100)).collect::<Vec<_>>();
        let parts = [0, 1, 2].map(input);
        let schema = parts[0][0].schema();
        let key = col("n", &schema).unwrap();
        let order = LexOrdering::new([PhysicalSortExpr::new_default(Arc::clone(&key))]).unwrap();
        let source = MemorySourceConfig::try_new(&parts, schema, None).unwrap();
        let source = source.try_with_sort_information(vec![order]).unwrap();
        let source = DataSourceExec::from_data_source(source);
        let repartition = RepartitionExec::try_new(source, Partitioning::Hash(vec![key], 2)).unwrap();
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(if keeps_order { repartition.with_preserve_order() } else { repartition });
        let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(spills(dir.path())));
        let pool = Arc::new(NothingForSpillers);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk);
        let context = TaskContext::default().with_session_config(SessionConfig::new().with_batch_size(100));
        let context = Arc::new(context.with_runtime(runtime.build_arc().unwrap()));
        let found = collect_partitioned(Arc::clone(&plan), context).await.unwrap();
        let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        let mut found: Vec<Vec<i64>> =
            found.iter().map(|partition| partition.iter().flat_map(numbers).collect()).collect();
        if keeps_order {
            assert!(found.iter().all(|partition| partition.is_sorted()));
        }
        let mut all = found.drain(..).flatten().collect::<Vec<_>>();
        all.sort_unstable();
        assert!(all == (0..BATCHES * 300).collect::<Vec<_>>(), "{} of {} rows", all.len(), BATCHES * 300);
        let metrics = plan.metrics().unwrap();
        assert!(metrics.spilled_rows().unwrap_or(0) > 0, "{metrics}");
    }
}

/// Has memory for those alone who cannot spill: the merge of what keeps its order needs some.
#[derive(Debug)]
struct NothingForSpillers;

impl fmt::Display for NothingForSpillers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MemoryPool for NothingForSpillers {
    fn name(&self) -> &str {
        "nothing for those who spill"
    }
    fn grow(&self, _: &MemoryReservation, _: usize) {}
    fn shrink(&self, _: &MemoryReservation, _: usize) {}
    fn try_grow(&self, reservation: &MemoryReservation, _: usize) -> Result<()> {
        match reservation.consumer().can_spill() {
            true => resources_err!("nothing for {}", reservation.consumer().name()),
            false => Ok(()),
        }
    }
    fn reserved(&self) -> usize {
        0
    }
}

/// A task that takes all slots reads no blocks.
struct NoBlocks;

impl BlockSource for NoBlocks {
    fn read(&self, _: usize, _: Selection) -> BoxStream<'static, std::result::Result<Piece, TaskFailure>> {
        stream::empty().boxed()
    }
}

/// What `local[2]` runs: one task with exchanges inside, whose every batch goes through a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_whose_exchange_spills_keeps_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let zero =
        |name: &str| (format!("datafusion.optimizer.hash_join_single_partition_threshold{name}"), "0".to_owned());
    let settings = [zero(""), zero("_rows")].into();
    let options = SessionOptions { partitions: 2, fuse: Some(2), settings, ..SessionOptions::default() };
    let session = SqlSession::new(options).unwrap();
    let sql = "select count(*) from tpch.sf0_1.lineitem join tpch.sf0_1.orders on l_orderkey = o_orderkey";
    let Planned::Query { graph, explain, .. } = session.plan(sql).await.unwrap() else { panic!("a query") };
    assert!(graph.stages.len() == 1 && explain.contains("RepartitionExec: partitioning=Hash"), "{explain}");
    let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(spills(dir.path())));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(NothingForSpillers));
    let runtime = runtime.with_disk_manager_builder(disk).build_arc().unwrap();
    let payload = DecodedPayload::decode(&graph.stages[0].payload).unwrap();
    let mut run = run_task(&payload, 0, Arc::new(NoBlocks), &TaskEnv::new(runtime).with_slots(2)).unwrap();
    let mut block = Vec::new();
    while let Some(chunk) = run.next().await {
        block.extend(chunk.unwrap().bytes);
    }
    let mut decoder = BlockDecoder::new(None);
    decoder.push(Bytes::from(block).into());
    let row = decoder.next_batch().unwrap().unwrap();
    // As many as TPC-H says, each of which has one order.
    assert_eq!(row.column(0).as_primitive::<Int64Type>().values(), &[600_572]);
    // A key has 8 bytes on either side.
    assert!(run.metrics().bytes_spilled > (600_572 + 150_000) * 8, "{:?}", run.metrics());
}
