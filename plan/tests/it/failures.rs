//! Tasks that fail, run out of memory, or are dropped.

use crate::harness::{Memory, env, env_with, graph, run, session, session_over, write_tables};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use hearth_core::{Payload, messages::task::TaskFailure};
use hearth_plan::{BlockSource, DecodedPayload, Piece, Selection, run_task};
use std::{fs, sync::Arc};

async fn failure(sql: &str, session: &hearth_plan::SqlSession) -> TaskFailure {
    let (graph, _) = graph(session, sql).await;
    run(&graph, &env()).await.unwrap_err()
}

fn assert_query(failure: &TaskFailure, words: &[&str]) {
    let TaskFailure::Query(message) = failure else { panic!("{failure:?} is not the query's own") };
    for word in words {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn errors_of_the_query_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    assert_query(&failure("select id / (id - id) from orders", &session).await, &["Divide by zero"]);
    let sql = "select sum(cast(note as int)) from orders group by customer";
    assert_query(&failure(sql, &session).await, &["Cannot cast string 'note"]);
    let sql = "select id from orders where id = (select id from customers)";
    assert_query(&failure(sql, &session).await, &["subquery", "more than one row"]);
}

#[tokio::test]
async fn files_that_go_bad_after_planning_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 2).await;
    let (customers, _) = graph(&session, "select sum(id) from customers").await;
    let (orders, _) = graph(&session, "select sum(id) from orders").await;
    fs::remove_file(dir.path().join("customers.csv")).unwrap();
    assert_query(&run(&customers, &env()).await.unwrap_err(), &["customers.csv", "no such file"]);
    for part in 0..3 {
        let path = dir.path().join(format!("orders/part-{part}.parquet"));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 3;
        bytes[4..middle].fill(0xee);
        fs::write(&path, bytes).unwrap();
    }
    assert_query(&run(&orders, &env()).await.unwrap_err(), &["orders/part-"]);
}

#[tokio::test]
async fn corrupt_csv_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("a,b\n");
    (0..2000).for_each(|i| text.push_str(&format!("{i},1\n")));
    text.push_str("x,y,z,too,many\n");
    fs::write(dir.path().join("t.csv"), text).unwrap();
    let session = session(1);
    session.register_tables(dir.path()).await.unwrap();
    assert_query(&failure("select sum(a) from t", &session).await, &["t.csv"]);
}

/// Gives a failure in place of blocks.
struct Failing(TaskFailure);

impl BlockSource for Failing {
    fn read(&self, _: usize, _: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>> {
        stream::iter([Err(self.0.clone())]).boxed()
    }
}

#[tokio::test]
async fn a_failure_of_the_source_comes_out_as_it_went_in() {
    let session = session(2);
    let sql = "select a.o_custkey, count(*), sum(b.o_totalprice) from tpch.sf0_01.orders a \
               join tpch.sf0_01.orders b on a.o_custkey = b.o_orderkey group by a.o_custkey order by 2, 1 limit 9";
    let (graph, _) = graph(&session, sql).await;
    let sent = TaskFailure::Disk { path: "p".into(), message: "any typed failure will do".into() };
    let mut tried = 0;
    for stage in graph.stages.iter().filter(|s| !s.inputs.is_empty()) {
        let payload = DecodedPayload::decode(&stage.payload).unwrap();
        let mut run = run_task(&payload, 0, Arc::new(Failing(sent.clone())), &env()).unwrap();
        let found = loop {
            match run.next().await {
                Some(Ok(_)) => {}
                Some(Err(failure)) => break failure,
                None => panic!("{} did not fail", stage.name),
            }
        };
        assert_eq!(found, sent, "{}", stage.name);
        assert!(run.next().await.is_none(), "nothing follows a failure");
        tried += 1;
    }
    assert!(tried >= 2);
}

#[tokio::test]
async fn a_broken_block_fails_the_task_and_may_pass() {
    let session = session(2);
    let (graph, _) = graph(&session, "select o_custkey, count(*) from tpch.sf0_01.orders group by 1").await;
    let payload = DecodedPayload::decode(&graph.stages[1].payload).unwrap();
    let source = Memory(vec![Arc::new(vec![vec![Bytes::from_static(b"not arrow"); 2]])]);
    let mut run = run_task(&payload, 0, Arc::new(source), &env()).unwrap();
    assert!(matches!(run.next().await, Some(Err(TaskFailure::Transient(_)))));
}

#[tokio::test]
async fn malformed_payloads_are_refused() {
    let garbage = Payload::new(&b"\xff\xff\xff"[..]);
    assert!(matches!(DecodedPayload::decode(&garbage), Err(TaskFailure::Query(_))));
    let (graph, _) = graph(&session(2), "select n_name from tpch.sf0_01.nation").await;
    let bytes = graph.stages[0].payload.bytes();
    for cut in [1, bytes.len() / 2, bytes.len() - 1] {
        if let Ok(payload) = DecodedPayload::decode(&Payload::new(bytes.slice(..cut))) {
            assert!(run_task(&payload, 0, Arc::new(Memory(vec![])), &env()).is_err(), "{cut} bytes");
        }
    }
    let payload = DecodedPayload::decode(&graph.stages[0].payload).unwrap();
    assert!(matches!(run_task(&payload, 99, Arc::new(Memory(vec![])), &env()), Err(TaskFailure::Query(_))));
}

#[tokio::test]
async fn little_memory_makes_smaller_batches_not_failures() {
    let session = session(7);
    let (graph, _) = graph(&session, "select o_orderkey, o_custkey, o_comment from tpch.sf0_01.orders").await;
    // Less than one buffer: everything that waits for its block is written at once.
    let env = env_with(1 << 10);
    let rows: usize = run(&graph, &env).await.unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 15_000);
    assert_eq!(env.memory_used(), 0, "a task gives back what it reserved");
}

#[tokio::test]
async fn too_little_memory_is_out_of_memory() {
    let session = session(2);
    let sql = "select l_orderkey, l_comment, count(*) from tpch.sf0_01.lineitem group by 1, 2";
    let (graph, _) = graph(&session, sql).await;
    match run(&graph, &env_with(1 << 10)).await {
        Err(TaskFailure::OutOfMemory(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sorting_spills_and_tells_how_much() {
    let session = session(1);
    let sql = "select l_orderkey, l_partkey, l_suppkey, l_quantity, l_discount, l_extendedprice \
               from tpch.sf0_01.lineitem order by l_extendedprice";
    let (graph, _) = graph(&session, sql).await;
    // Less than the 72 bytes of each row.
    let env = env_with(4 << 20);
    let payload = DecodedPayload::decode(&graph.stages[0].payload).unwrap();
    let mut run = run_task(&payload, 0, Arc::new(Memory(vec![])), &env).unwrap();
    while let Some(chunk) = run.next().await {
        chunk.unwrap();
    }
    assert_eq!(run.rows(), 60_175);
    assert!(run.metrics().bytes_spilled > 0);
    drop(run);
    assert_eq!(env.memory_used(), 0);
}

#[tokio::test]
async fn a_dropped_task_gives_everything_back() {
    let session = session(2);
    let sql = "select l_orderkey, count(*) from tpch.sf0_01.lineitem group by 1 order by 2";
    let (graph, _) = graph(&session, sql).await;
    let env = env();
    let payload = DecodedPayload::decode(&graph.stages[0].payload).unwrap();
    let mut run = run_task(&payload, 0, Arc::new(Memory(vec![])), &env).unwrap();
    assert!(run.next().await.unwrap().is_ok());
    drop(run);
    assert_eq!(env.memory_used(), 0);
}
