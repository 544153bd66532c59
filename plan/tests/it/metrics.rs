//! What tasks say they did.

use crate::harness::{Memory, Outputs, env, graph, run_one, session};
use hearth_core::messages::task::TaskMetrics;
use hearth_plan::{DecodedPayload, run_task};
use std::sync::Arc;

/// What all tasks of each stage did, and the lines of the stages' plans.
async fn measured(sql: &str) -> Vec<(TaskMetrics, Vec<String>)> {
    let (graph, explain) = graph(&session(2), sql).await;
    // The stages' texts begin with the last stage.
    let mut texts: Vec<_> =
        explain.split("\n\n").map(|text| text.lines().skip(1).map(String::from).collect()).collect();
    texts.reverse();
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
    assert_eq!((all[0].0.rows_read, all[0].0.rows), (15_000, 10), "two tasks, five priorities");
    assert_eq!((all[1].0.rows_read, all[1].0.rows), (10, 5));
    assert_eq!((rows_of(&all[0], "table=orders"), rows_of(&all[0], "AggregateExec")), (15_000, 10));
    assert_eq!((rows_of(&all[1], "ExchangeReaderExec"), rows_of(&all[1], "AggregateExec")), (10, 5));
    assert!(all[0].0.peak_memory > 0, "an aggregate holds its groups");
    assert!(all.iter().all(|(metrics, _)| metrics.bytes_spilled == 0));
}
