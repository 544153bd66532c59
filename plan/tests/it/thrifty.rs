//! Tasks that run out of memory, and what they do then.

use crate::harness::{Memory, Outputs, env_with, graph, rows, run_one};
use hearth_core::messages::task::TaskFailure;
use hearth_plan::{DecodedPayload, SessionOptions, SqlSession, TaskEnv, run_task};
use std::sync::Arc;

/// Runs the stages of a query; a task that runs out of memory runs again thriftily. Gives the result's rows, how many tasks
/// ran out, and how much the others spilled.
async fn frugally(session: &SqlSession, sql: &str, env: &TaskEnv) -> (Vec<String>, usize, u64) {
    let (graph, _) = graph(session, sql).await;
    let (mut outputs, mut ran_out, mut spilled): (Vec<Outputs>, _, _) = (Vec::new(), 0, 0);
    for stage in &graph.stages {
        let inputs: Vec<Outputs> = stage.inputs.iter().map(|edge| outputs[edge.from].clone()).collect();
        let mut blocks = Vec::new();
        for partition in 0..stage.tasks {
            match run_one(&stage.payload, partition, inputs.clone(), env).await {
                Ok((of_task, _)) => blocks.push(of_task),
                Err(TaskFailure::OutOfMemory(_)) => {
                    ran_out += 1;
                    let payload = DecodedPayload::decode(&stage.payload).unwrap();
                    let source = Arc::new(Memory(inputs.clone()));
                    let mut task = run_task(&payload, partition, source, &env.thrifty()).unwrap();
                    let mut of_task = vec![Vec::new(); task.output_partitions() as usize];
                    while let Some(chunk) = task.next().await {
                        let chunk = chunk.unwrap();
                        of_task[chunk.partition as usize].extend_from_slice(&chunk.bytes);
                    }
                    spilled += task.metrics().bytes_spilled;
                    blocks.push(of_task.into_iter().map(Into::into).collect());
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        outputs.push(Arc::new(blocks));
    }
    assert_eq!(env.memory_used(), 0, "tasks give back what they reserved");
    let blocks = outputs.pop().unwrap();
    let batches: Vec<_> = blocks.iter().flat_map(|blocks| crate::harness::decode(&blocks[0]).1).collect();
    (rows(&batches), ran_out, spilled)
}

/// Joins that move both sides.
fn shuffling(partitions: usize) -> SqlSession {
    let options = SessionOptions { partitions, broadcast_bytes: None, ..SessionOptions::default() };
    SqlSession::new(options).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_side_of_four_times_the_memory() {
    let sql = "select count(*) as n, sum(length(a.l_comment)) as a, sum(length(b.l_comment)) as b \
               from tpch.sf0_1.lineitem a join tpch.sf0_1.lineitem b \
               on a.l_orderkey = b.l_orderkey and a.l_linenumber = b.l_linenumber";
    // A row of either side takes 60 bytes at least: two keys, a view, and a text of 26 letters on average.
    let bytes = 600_572 * 60;
    let session = shuffling(1);
    let env = env_with(bytes / 4);
    let (found, ran_out, spilled) = frugally(&session, sql, &env).await;
    assert_eq!(ran_out, 1, "the join alone");
    assert!(spilled as usize > bytes, "{spilled}");
    let expected = frugally(&session, sql, &env_with(1 << 30)).await;
    assert_eq!((found, 0), (expected.0, expected.1));
}
