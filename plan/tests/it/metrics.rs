//! What tasks say they did.

use crate::harness::{Memory, Outputs, decode, env, local, refused, run_one, session};
use bytes::Bytes;
use hearth_core::messages::task::TaskMetrics;
use hearth_plan::{DecodedPayload, PlanError, Planned, run_task};
use std::sync::Arc;

/// What all tasks of each stage did, and the lines of the stages' plans.
async fn measured(sql: &str) -> Vec<(TaskMetrics, Vec<String>)> {
    let planned = session(2).plan(&format!("explain analyze verbose {sql}")).await.unwrap();
    let Planned::Analyze { graph, texts, verbose: true } = planned else { panic!("{planned:?}") };
    let texts = texts.iter().map(|text| text.plan.lines().map(String::from).collect());
    let env = env();
    let (mut outputs, mut all): (Vec<Outputs>, Vec<_>) = (Vec::new(), Vec::new());
    for (stage, text) in graph.stages.iter().zip(texts) {
        let inputs: Vec<Outputs> = stage.inputs.iter().map(|edge| outputs[edge.from].clone()).collect();
        let (mut sum, mut blocks) = (TaskMetrics::default(), Vec::new());
        for partition in 0..stage.tasks {
            let payload = DecodedPayload::decode(&stage.payload).unwrap();
            let mut run = run_task(&payload, partition, Arc::new(Memory(inputs.clone())), &env).unwrap();
            while let Some(chunk) = run.next().await {
                chunk.unwrap();
            }
            sum.add(&run.metrics());
            blocks.push(run_one(&stage.payload, partition, inputs.clone(), &env).await.unwrap().0);
        }
        if outputs.len() == graph.result() {
            let decoded = blocks.iter().map(|blocks: &Vec<Bytes>| decode(&blocks[0]));
            assert!(decoded.into_iter().all(|(schema, rows)| schema.is_some() && rows.is_empty()), "rows are dropped");
        }
        outputs.push(Arc::new(blocks));
        all.push((sum, text));
    }
    all
}

/// Rows of the operator on the line with this text.
fn rows_of((metrics, lines): &(TaskMetrics, Vec<String>), text: &str) -> u64 {
    let place = lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {lines:?}"));
    let operator = metrics.operators.iter().find(|operator| operator.place as usize == place);
    operator.unwrap_or_else(|| panic!("nothing of {text}: {metrics:?}")).rows
}

#[tokio::test]
async fn operators_have_the_place_of_their_line_also_in_a_branch_of_a_union() {
    let sql = "select n_nationkey from tpch.sf0_01.nation where n_nationkey < 7 \
               union all select r_regionkey from tpch.sf0_01.region where r_regionkey <> 3 \
               union all select s_suppkey from tpch.sf0_01.supplier";
    let all = measured(sql).await;
    let last = all.last().unwrap();
    assert_eq!(last.0.rows, 7 + 4 + 100);
    assert_eq!(last.0.rows_read, 25 + 5 + 100);
    assert_eq!(
        [rows_of(last, "table=nation"), rows_of(last, "table=region"), rows_of(last, "table=supplier")],
        [25, 5, 100]
    );
}

#[tokio::test]
async fn rows_are_counted_from_stage_to_stage() {
    let all = measured("select o_orderpriority, count(*) from tpch.sf0_01.orders group by 1 order by 1").await;
    let [map, reduce] = [&all[0], &all[1]];
    assert_eq!((map.0.rows_read, rows_of(map, "table=orders")), (15_000, 15_000));
    assert!(map.0.rows >= 5 && rows_of(map, "AggregateExec") == map.0.rows, "five priorities of each task");
    assert_eq!((reduce.0.rows_read, rows_of(reduce, "ExchangeReaderExec")), (map.0.rows, map.0.rows));
    assert_eq!((reduce.0.rows, rows_of(reduce, "AggregateExec")), (5, 5));
    assert!(all[0].0.peak_memory > 0, "an aggregate holds its groups");
    assert!(all.iter().all(|(metrics, _)| metrics.bytes_spilled == 0));
}

#[tokio::test]
async fn only_queries_are_analyzed() {
    let session = session(2);
    local(&session, "create view t as select 1 as a").await;
    for sql in ["insert into t values (1)", "copy t to '/nowhere/never.csv'", "create table u as select 1"] {
        let error = refused(&session, &format!("explain analyze {sql}")).await;
        assert!(matches!(error, PlanError::Unsupported(_)), "{sql}: {error:?}");
        assert!(error.to_string().contains("a statement that writes"), "{error}");
    }
    // What only this session knows, DataFusion analyzes here.
    let rows = local(&session, "explain analyze select table_name from information_schema.tables").await;
    assert!(rows[0].starts_with("Plan with Metrics|"), "{rows:?}");
}
