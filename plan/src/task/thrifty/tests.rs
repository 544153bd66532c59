use super::*;
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray},
    util::pretty::pretty_format_batches,
};
use datafusion::{
    datasource::MemTable,
    physical_plan::{collect, displayable},
    prelude::{SessionConfig, SessionContext, col},
};

/// Rows of a table: every key some times, and rows without one.
fn batches(rows: i64, keys: i64) -> Vec<RecordBatch> {
    let row = |i: i64| {
        let key = (i % 7 != 0).then_some(i * 31 % keys);
        (key, key.map(|key| format!("the text of key {key}")), i)
    };
    let batch = |from: i64| {
        let rows = from..(from + 100).min(rows);
        let key: ArrayRef = Arc::new(Int64Array::from_iter(rows.clone().map(|i| row(i).0)));
        let text: ArrayRef = Arc::new(StringViewArray::from_iter(rows.clone().map(|i| row(i).1)));
        let id: ArrayRef = Arc::new(Int64Array::from_iter(rows.clone().map(Some)));
        let float: ArrayRef = Arc::new(Float64Array::from_iter(rows.map(|i| row(i).0.map(|key| key as f64))));
        RecordBatch::try_from_iter_with_nullable([
            ("k", key, true),
            ("t", text, true),
            ("id", id, false),
            ("f", float, true),
        ])
        .unwrap()
    };
    (0..rows).step_by(100).map(batch).collect()
}

/// Two tables, the second in the order of its ids; joins collect a side, or do not.
fn context(partitions: usize, collect_left: bool) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(64);
    if !collect_left {
        let optimizer = &mut config.options_mut().optimizer;
        optimizer.hash_join_single_partition_threshold = 0;
        optimizer.hash_join_single_partition_threshold_rows = 0;
    }
    let context = SessionContext::new_with_config(config);
    let table = |rows, keys| {
        let batches = batches(rows, keys);
        // Whoever computes a partition sees its rows in order.
        let parts = batches.chunks(batches.len().div_ceil(partitions)).map(<[_]>::to_vec).collect();
        MemTable::try_new(batches[0].schema(), parts).unwrap()
    };
    let ordered = table(900, 50).with_sort_order(vec![vec![col("id").sort(true, false)]]);
    context.register_table("a", Arc::new(table(700, 60))).unwrap();
    context.register_table("b", Arc::new(ordered)).unwrap();
    context
}

async fn rows(context: &SessionContext, plan: Plan) -> Vec<String> {
    let batches = collect(plan, context.task_ctx()).await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string().lines().map(String::from).collect()
}

fn count<T: ExecutionPlan>(plan: &Plan) -> usize {
    usize::from(plan.is::<T>()) + plan.children().into_iter().map(count::<T>).sum::<usize>()
}

async fn planned(context: &SessionContext, sql: &str) -> Plan {
    context.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

const JOINS: &[&str] = &[
    "select * from a join b on a.k = b.k",
    "select a.id, b.t, a.t from a join b on a.t = b.t and a.k = b.k and a.id < b.id",
    "select a.id, b.id from a left join b on a.k = b.k and a.id > b.id",
    "select a.id, b.id from a right join b on a.k = b.k and a.id + b.id > 900",
    "select a.id, b.id, b.t from a full join b on a.k = b.k and a.id * 2 < b.id",
    "select a.id from a left semi join b on a.k = b.k and a.id > b.id",
    "select b.id from a right semi join b on a.k = b.k",
    "select a.id from a left anti join b on a.k = b.k",
    "select b.id from a right anti join b on a.k = b.k and b.id > a.id",
    "select id from a where k in (select k from b where id < 20) or id < 5",
    "select a.id, b.id from a join b on (a.k is not distinct from b.k) where a.id < 90 and b.id < 90",
    "select a.id, b.id from a full join b on (a.k is not distinct from b.k) and a.id < b.id",
    "select a.k + 1, count(*), sum(b.id) from a join b on a.k + 1 = b.k group by a.k + 1",
    "select x.id, c.id from a join b x on a.k = x.k left join b c on x.id = c.id",
];

/// By how many partitions, and whether joins collect a side.
const LAYOUTS: [(usize, bool); 3] = [(1, true), (3, true), (3, false)];

#[tokio::test]
async fn a_merge_gives_the_rows_of_a_hash_join() {
    for (partitions, collect_left) in LAYOUTS {
        let context = context(partitions, collect_left);
        for sql in JOINS {
            let plan = planned(&context, sql).await;
            let before = count::<HashJoinExec>(&plan);
            let twin = spilling(planned(&context, sql).await).unwrap();
            let text = displayable(twin.as_ref()).indent(false).to_string();
            assert!(before > 0, "{partitions}: {sql}");
            assert_eq!(count::<HashJoinExec>(&twin), 0, "{partitions}: {sql}\n{text}");
            assert_eq!(count::<SortMergeJoinExec>(&twin), before, "{partitions}: {sql}\n{text}");
            assert_eq!(twin.schema(), plan.schema());
            let (mut expected, mut found) = (rows(&context, plan).await, rows(&context, twin).await);
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{partitions}: {sql}\n{text}");
        }
    }
}

#[tokio::test]
async fn an_order_that_a_join_kept_is_made_again() {
    // Nobody sorts: the second table is in this order, and a hash join keeps it.
    let sql = "select b.id, a.t, row_number() over (order by b.id, a.id) as n from a join b on a.k = b.k \
               order by b.id, n";
    for (partitions, collect_left) in LAYOUTS {
        let context = context(partitions, collect_left);
        let plan = planned(&context, sql).await;
        let twin = spilling(planned(&context, sql).await).unwrap();
        assert_eq!(count::<SortMergeJoinExec>(&twin), 1);
        if partitions == 1 {
            assert!(count::<SortExec>(&twin) > 2, "{}", displayable(twin.as_ref()).indent(false));
        }
        assert_eq!(rows(&context, twin).await, rows(&context, plan).await, "{partitions}");
    }
}

#[tokio::test]
async fn a_cross_join_goes_over_its_side_in_pieces() {
    for (partitions, _) in LAYOUTS {
        let context = context(partitions, true);
        let sql = "select a.id, b.id from a, b where a.id < 50";
        let twin = spilling(planned(&context, sql).await).unwrap();
        assert_eq!((count::<CrossJoinExec>(&twin), count::<NestedLoopJoinExec>(&twin)), (0, 1));
        let (mut expected, mut found) =
            (rows(&context, planned(&context, sql).await).await, rows(&context, twin).await);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn what_a_merge_would_answer_otherwise_stays() {
    let context = context(1, true);
    for sql in [
        "select a.id, b.id from a join b on a.f = b.f",
        // NULL among the right ones makes the answer empty.
        "select id from a where k not in (select k from b)",
    ] {
        let twin = spilling(planned(&context, sql).await).unwrap();
        assert_eq!((count::<HashJoinExec>(&twin), count::<SortMergeJoinExec>(&twin)), (1, 0), "{sql}");
    }
}
