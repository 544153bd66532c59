//! A cluster without processes: every payload goes through bytes and back, every block lies in a vector.

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::reader::StreamReader,
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;
use datafusion::{
    execution::disk_manager::DiskManagerMode,
    prelude::{SessionConfig, SessionContext},
};
use futures::{StreamExt, future::try_join_all, stream, stream::BoxStream};
use hearth_core::{Determinism, Payload, StageGraph, conf::RangeSort, messages::task::TaskFailure};
use hearth_plan::{
    BegunWrite, BlockSource, DecodedPayload, Manifest, Maps, Piece, PlanError, Planned, Selection, SessionOptions,
    SqlSession, TaskEnv, TaskEnvOptions, run_task,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The blocks that one stage's tasks wrote: by map, then by reduce partition.
pub(crate) type Outputs = Arc<Vec<Vec<Bytes>>>;

/// Blocks in memory, by input.
pub(crate) struct Memory(pub(crate) Vec<Outputs>);

impl BlockSource for Memory {
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>> {
        let maps = &self.0[input];
        let reduce = blocks.reduce as usize;
        let chosen: Vec<_> = match blocks.maps {
            Maps::All => maps.iter().map(|map| map[reduce].clone()).collect(),
            Maps::One(map) => vec![maps[map as usize][reduce].clone()],
        };
        stream::iter(chosen.into_iter().filter(|b| !b.is_empty()).map(|b| Ok(b.into()))).boxed()
    }
}

pub(crate) fn env() -> TaskEnv {
    env_with(512 << 20)
}

pub(crate) fn env_with(memory_bytes: usize) -> TaskEnv {
    let spill = DiskManagerMode::Directories(vec![std::env::temp_dir()]);
    TaskEnv::with_limits(TaskEnvOptions { memory_bytes, slots: 1, spill }).unwrap()
}

/// The schema and the rows of a block, as arrow reads it. There is no schema when there is no block.
pub(crate) fn decode(block: &Bytes) -> (Option<SchemaRef>, Vec<RecordBatch>) {
    if block.is_empty() {
        return (None, vec![]);
    }
    let reader = StreamReader::try_new(block.as_ref(), None).unwrap();
    (Some(reader.schema()), reader.collect::<Result<_, _>>().unwrap())
}

/// Runs one task. Gives its blocks and its rows.
pub(crate) async fn run_one(
    payload: &Payload,
    partition: u32,
    inputs: Vec<Outputs>,
    env: &TaskEnv,
) -> Result<(Vec<Bytes>, u64), TaskFailure> {
    let payload = DecodedPayload::decode(&Payload::new(payload.bytes().to_vec()))?;
    let mut run = run_task(&payload, partition, Arc::new(Memory(inputs)), env)?;
    let mut blocks = vec![Vec::new(); run.output_partitions() as usize];
    while let Some(chunk) = run.next().await {
        let chunk = chunk?;
        assert!(!chunk.bytes.is_empty());
        blocks[chunk.partition as usize].extend_from_slice(&chunk.bytes);
    }
    Ok((blocks.into_iter().map(Bytes::from).collect(), run.rows()))
}

/// Runs a graph, the tasks of a stage side by side. Gives the result's partitions.
pub(crate) async fn run(graph: &StageGraph, env: &TaskEnv) -> Result<Vec<RecordBatch>, TaskFailure> {
    graph.validate().unwrap();
    let mut outputs: Vec<Outputs> = Vec::new();
    for (place, stage) in graph.stages.iter().enumerate() {
        let inputs: Vec<Outputs> = stage.inputs.iter().map(|e| outputs[e.from].clone()).collect();
        let tasks = (0..stage.tasks).map(|p| run_one(&stage.payload, p, inputs.clone(), env));
        let blocks = try_join_all(tasks).await?;
        for (map, rows) in &blocks {
            assert_eq!(map.len(), stage.output_partitions as usize, "{}", stage.name);
            let decoded = map.iter().map(|b| decode(b).1);
            let counted: usize = decoded.flatten().map(|b| b.num_rows()).sum();
            assert_eq!(counted as u64, *rows, "rows of {}", stage.name);
        }
        if place < graph.result() {
            rerun(graph, place, &inputs, &blocks, env).await?;
        }
        outputs.push(Arc::new(blocks.into_iter().map(|(map, _)| map).collect()));
    }
    let mut batches = Vec::new();
    for map in outputs.last().unwrap().iter() {
        let (schema, partition) = decode(&map[0]);
        assert!(schema.is_some(), "a result partition has its schema even without rows");
        batches.extend(partition);
    }
    Ok(batches)
}

/// The first task of a stage once more: what its level promises must hold.
async fn rerun(
    graph: &StageGraph,
    place: usize,
    inputs: &[Outputs],
    before: &[(Vec<Bytes>, u64)],
    env: &TaskEnv,
) -> Result<(), TaskFailure> {
    let stage = &graph.stages[place];
    let (again, _) = run_one(&stage.payload, 0, inputs.to_vec(), env).await?;
    let (first, _) = &before[0];
    for (a, b) in first.iter().zip(&again) {
        let (a, b) = (decode(a).1, decode(b).1);
        match stage.determinism {
            Determinism::Determinate => assert_eq!(rows(&a), rows(&b), "order of {}", stage.name),
            Determinism::Unordered => assert_eq!(sorted(rows(&a)), sorted(rows(&b)), "rows of {}", stage.name),
            Determinism::Indeterminate => {}
        }
    }
    Ok(())
}

/// Each row as text, nulls as `NULL`. Floats are rounded: partial sums add up in another order.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut all = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for i in 0..batch.num_rows() {
            let cell = |(c, f): (usize, &ArrayFormatter<'_>)| {
                let text = f.value(i).to_string();
                match text.parse::<f64>() {
                    Ok(number) if batch.column(c).data_type().is_floating() => format!("{number:.6}"),
                    _ => text,
                }
            };
            all.push(columns.iter().enumerate().map(cell).collect::<Vec<_>>().join("|"));
        }
    }
    all
}

pub(crate) fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

pub(crate) fn options(partitions: usize) -> SessionOptions {
    // Small files are cut too, so that tests see scans of several tasks.
    let settings = BTreeMap::from([("datafusion.optimizer.repartition_file_min_size".to_owned(), "1".to_owned())]);
    SessionOptions { partitions, batch_size: 100, settings, ..SessionOptions::default() }
}

pub(crate) fn session(partitions: usize) -> SqlSession {
    session_with(partitions, RangeSort::Auto)
}

pub(crate) fn session_with(partitions: usize, range_sort: RangeSort) -> SqlSession {
    SqlSession::new(SessionOptions { range_sort, ..options(partitions) }).unwrap()
}

pub(crate) async fn session_over(dir: &Path, partitions: usize) -> SqlSession {
    let session = session(partitions);
    session.register_tables(dir).await.unwrap();
    session
}

pub(crate) async fn graph(session: &SqlSession, sql: &str) -> (StageGraph, String) {
    match session.plan(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")) {
        Planned::Query { graph, explain, .. } => (graph, explain),
        other => panic!("{sql} is no query: {other:?}"),
    }
}

/// Runs a query through stages and tasks.
pub(crate) async fn query(session: &SqlSession, sql: &str) -> Vec<String> {
    let (graph, explain) = graph(session, sql).await;
    let batches = run(&graph, &env()).await.unwrap_or_else(|e| panic!("{sql}: {e}\n{explain}"));
    rows(&batches)
}

pub(crate) async fn local(session: &SqlSession, sql: &str) -> Vec<String> {
    match session.plan(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")) {
        Planned::Local(batches, _) => rows(&batches),
        other => panic!("{sql} is for executors: {other:?}"),
    }
}

/// A write that was begun, and its stages.
pub(crate) async fn begin(session: &SqlSession, sql: &str) -> (StageGraph, BegunWrite) {
    match session.plan(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")) {
        Planned::Write { graph, write, .. } => (graph, write.begin().await.unwrap()),
        other => panic!("{sql} writes nothing: {other:?}"),
    }
}

/// Runs a write through stages, tasks and the commit. Gives the number of rows.
pub(crate) async fn write(session: &SqlSession, sql: &str) -> Result<u64, String> {
    let (graph, begun) = begin(session, sql).await;
    let batches = run(&graph, &env()).await.map_err(|e| e.to_string())?;
    let manifests = batches.iter().flat_map(|batch| Manifest::read(batch).unwrap()).collect();
    begun.commit(manifests).await.map_err(|e| e.to_string())
}

pub(crate) async fn refused(session: &SqlSession, sql: &str) -> PlanError {
    match session.plan(sql).await {
        Err(error) => error,
        Ok(planned) => panic!("{sql} was planned: {planned:?}"),
    }
}

/// Writes the tables of these tests into a directory, through DataFusion: the same files serve both sides.
pub(crate) async fn write_tables(dir: &Path) {
    let context = SessionContext::new();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let run = async |sql: String| {
        context.sql(&sql).await.unwrap().collect().await.unwrap();
    };
    std::fs::create_dir(dir.join("orders")).unwrap();
    for part in 0..3 {
        let from = part * 400;
        run(format!(
            "copy (select i as id, case when i % 11 = 0 then null else i % 40 end as customer, \
             cast(i % 97 as decimal(12,2)) / 4 as amount, i % 13 * 0.5 as weight, \
             date '2026-01-01' + cast(i % 60 as int) as day, 'note ' || (i % 17) as note \
             from unnest(range({from}, {from} + 400)) as t(i)) to '{}' stored as parquet",
            file(&format!("orders/part-{part}.parquet"))
        ))
        .await;
    }
    run(format!(
        "copy (select i as id, 'customer ' || i as name, case when i % 5 = 0 then null else 'city ' || (i % 6) end as city \
         from unnest(range(0, 50)) as t(i)) to '{}' stored as csv options ('format.has_header' 'true')",
        file("customers.csv")
    ))
    .await;
    run(format!(
        "copy (select i as n, 'kind ' || (i % 3) as kind from unnest(range(0, 30)) as t(i)) to '{}' stored as json",
        file("events.json")
    ))
    .await;
    run(format!(
        "copy (select nullif(1, 2) as a, nullif('x', 'y') as b where false) to '{}' stored as parquet",
        file("nothing.parquet")
    ))
    .await;
}

/// DataFusion by itself over the same files.
pub(crate) async fn plain(dir: &Path) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    let create = |name: &str, file: &str, kind: &str| {
        let path = dir.join(file);
        format!("create external table {name} stored as {kind} location '{}'", path.to_str().unwrap())
    };
    for sql in [
        create("orders", "orders/", "parquet"),
        create("customers", "customers.csv", "csv") + " options ('format.has_header' 'true')",
        create("events", "events.json", "json"),
        create("nothing", "nothing.parquet", "parquet"),
    ] {
        context.sql(&sql).await.unwrap();
    }
    context
}

/// An Avro file of ids and names, byte by byte after the format's specification: nothing here writes one.
pub(crate) fn avro(rows: i64) -> Vec<u8> {
    fn long(number: i64, out: &mut Vec<u8>) {
        let mut rest = ((number << 1) ^ (number >> 63)) as u64;
        while rest > 0x7f {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    fn text(text: &str, out: &mut Vec<u8>) {
        long(text.len() as i64, out);
        out.extend_from_slice(text.as_bytes());
    }
    const SYNC: [u8; 16] = *b"sixteen bytes...";
    let schema =
        r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}"#;
    let mut file = b"Obj\x01".to_vec();
    long(2, &mut file);
    for (key, value) in [("avro.schema", schema), ("avro.codec", "null")] {
        text(key, &mut file);
        text(value, &mut file);
    }
    long(0, &mut file);
    file.extend_from_slice(&SYNC);
    let mut block = Vec::new();
    for id in 0..rows {
        long(id, &mut block);
        text(&format!("n{id}"), &mut block);
    }
    long(rows, &mut file);
    long(block.len() as i64, &mut file);
    file.extend_from_slice(&block);
    file.extend_from_slice(&SYNC);
    file
}
