//! Nested loop joins in tasks that have too little memory for their left side.

use crate::harness::{Memory, Outputs, decode, env_with, graph, options, rows, write_tables};
use bytes::Bytes;
use hearth_plan::{DecodedPayload, SessionOptions, SqlSession, TaskEnv, run_task};
use std::{path::Path, sync::Arc};

/// Runs a query, task after task. Gives its rows, and how much was spilled.
async fn run(dir: &Path, options: SessionOptions, sql: &str, env: &TaskEnv) -> (Vec<String>, u64) {
    let session = SqlSession::new(options).unwrap();
    session.register_tables(dir).await.unwrap();
    let (graph, explain) = graph(&session, sql).await;
    let (mut outputs, mut spilled): (Vec<Outputs>, _) = (Vec::new(), 0);
    for stage in &graph.stages {
        let inputs: Vec<Outputs> = stage.inputs.iter().map(|edge| outputs[edge.from].clone()).collect();
        let payload = DecodedPayload::decode(&stage.payload).unwrap();
        let mut blocks = Vec::new();
        for partition in 0..stage.tasks {
            let mut task = run_task(&payload, partition, Arc::new(Memory(inputs.clone())), env).unwrap();
            let mut of_task = vec![Vec::new(); task.output_partitions() as usize];
            while let Some(chunk) = task.next().await {
                let chunk = chunk.unwrap_or_else(|e| panic!("{}: {e}\n{explain}", stage.name));
                of_task[chunk.partition as usize].extend_from_slice(&chunk.bytes);
            }
            spilled += task.metrics().bytes_spilled;
            blocks.push(of_task.into_iter().map(Bytes::from).collect());
        }
        outputs.push(Arc::new(blocks));
    }
    assert_eq!(env.memory_used(), 0, "tasks give back what they reserved");
    let result = outputs.pop().unwrap();
    let batches: Vec<_> = result.iter().flat_map(|blocks| decode(&blocks[0]).1).collect();
    (rows(&batches), spilled)
}

/// Each of the 1,200 orders, with those of the 30 events that have a higher number: 29, 28, and so on down to one, which is 435
/// pairs of 29 orders, and 1,171 orders without an event.
const PAIRS: i64 = 435;
const ALONE: i64 = 1200 - 29;

fn layouts() -> [SessionOptions; 2] {
    [options(3), SessionOptions { fuse: Some(3), ..options(3) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_partner_comes_once_below_an_aggregate() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    for options in layouts() {
        for (sql, expected) in [
            ("select count(*) from orders o left join events e on o.id < e.n", PAIRS + ALONE),
            ("select count(*) from orders o where not exists (select 1 from events e where o.id < e.n)", ALONE),
            ("select count(*) from orders o where exists (select 1 from events e where o.id < e.n)", 29),
        ] {
            let (found, spilled) = run(dir.path(), options.clone(), sql, &env_with(6 << 10)).await;
            assert_eq!(found, [expected.to_string()], "{sql}");
            assert!(spilled > 0, "{sql}: the left side was in memory");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_left_side_over_an_exchange_is_spilled() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let sql = "select count(*), sum(length(o.t)) from (select id, repeat('x', 2000 + id % 2) as t from \
               (select id from orders group by id)) o left join events e on o.id < e.n";
    let length = |id: i64| (2000 + id % 2) * (29 - id).max(1);
    let expected = format!("{}|{}", PAIRS + ALONE, (0..1200).map(length).sum::<i64>());
    for options in layouts() {
        for env in [env_with(1 << 20), env_with(1 << 20).thrifty()] {
            let (found, spilled) = run(dir.path(), options.clone(), sql, &env).await;
            assert_eq!(found, [expected.as_str()]);
            assert!(spilled > 1200 * 2000, "{spilled}");
        }
    }
}
