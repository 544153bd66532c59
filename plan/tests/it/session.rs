//! Statements that run in the driver, and errors with their place.

use crate::harness::{graph, local, query, refused, session, session_over, sorted, write, write_tables};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use hearth_plan::PlanError;
use std::sync::Arc;

#[tokio::test]
async fn catalogue_statements_run_in_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 2).await;
    let tables =
        local(&session, "select table_name from information_schema.tables where table_schema = 'public'").await;
    assert_eq!(sorted(tables), ["customers", "events", "nothing", "orders"]);
    assert!(!local(&session, "show tables").await.is_empty());
    assert_eq!(local(&session, "describe events").await, ["kind|Utf8|YES", "n|Int64|YES"]);
    local(&session, "set datafusion.execution.time_zone = '+02:00'").await;
    let zone = local(&session, "show datafusion.execution.time_zone").await;
    assert_eq!(zone, ["datafusion.execution.time_zone|+02:00"]);
    // Amounts are i % 97 / 4 over 0..1200: of each 97 the last 16, twelve times.
    local(&session, "create view big as select * from orders where amount > 20").await;
    assert_eq!(query(&session, "select count(*) from big").await, ["192"]);
    write(&session, "create table kept as select n from events where n < 4").await.unwrap();
    assert_eq!(sorted(query(&session, "select n from kept").await), ["0", "1", "2", "3"]);
    let path = dir.path().join("events.json");
    local(&session, &format!("create external table again stored as json location '{}'", path.display())).await;
    assert_eq!(query(&session, "select count(*) from again").await, ["30"]);
    local(&session, "prepare q(bigint) as select count(*) from events where n < $1").await;
    assert_eq!(query(&session, "execute q(7)").await, ["7"]);
    local(&session, "drop view big").await;
    assert!(refused(&session, "select * from big").await.to_string().contains("not found"));
}

#[tokio::test]
async fn schemas_come_and_go() {
    let session = session(2);
    local(&session, "create schema s").await;
    write(&session, "create table s.t as select 1 as a").await.unwrap();
    let depended = refused(&session, "drop schema s restrict").await.to_string();
    assert!(depended.contains("Cannot drop schema s because other tables depend on it: t"), "{depended}");
    local(&session, "drop schema s cascade").await;
    assert!(refused(&session, "select * from s.t").await.to_string().contains("not found"));
    local(&session, "drop schema if exists s").await;
    let gone = refused(&session, "drop schema s").await.to_string();
    assert!(gone.contains("Schema 's' doesn't exist"), "{gone}");
    local(&session, "create schema s").await;
    local(&session, "drop schema datafusion.s").await;
    let fixed = refused(&session, "drop schema tpch.sf1").await.to_string();
    assert_eq!(fixed, "tpch.sf1: the schemas of tpch are fixed");
}

#[tokio::test]
async fn a_table_whose_folder_is_gone_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 2).await;
    local(&session, "create view big as select * from orders where id in (select id from orders)").await;
    std::fs::rename(dir.path().join("orders"), dir.path().join("elsewhere")).unwrap();
    for sql in ["select count(*) from orders", "select 1 where exists (select 1 from big)"] {
        let error = refused(&session, sql).await.to_string();
        assert!(error.contains("/orders/: the folder of table orders is not there"), "{sql}: {error}");
    }
    assert!(local(&session, "explain select * from orders").await[0].contains("the folder of table orders"));
    // One without files is a table without rows.
    std::fs::create_dir(dir.path().join("orders")).unwrap();
    assert_eq!(query(&session, "select count(*) from big").await, ["0"]);
}

#[tokio::test]
async fn explain_tells_the_stages() {
    let rows = local(&session(3), "explain select o_custkey, count(*) from tpch.sf1.orders group by 1").await;
    let stages = &rows[0];
    assert!(stages.starts_with("stages|stage 1: exchange -> final aggregate (3 tasks)\n"), "{stages}");
    assert!(
        stages.contains("\n└─ hash, 3 partitions ── stage 0: scan orders -> partial aggregate (3 tasks)\n"),
        "{stages}"
    );
    assert!(
        stages.contains("stage 0: scan orders -> partial aggregate (3 tasks, writes 3 blocks a task by Hash"),
        "{stages}"
    );
}

/// What a COPY says of its store is a secret, and holds for nobody until the COPY is done.
#[tokio::test]
async fn explain_shows_no_secret_and_changes_no_store() {
    let session = session(2);
    let copy = |options: &str| format!("copy (select 1 as a) to 's3://b/x/' stored as csv options ({options})");
    let said =
        "'aws.access_key_id' 'AKIA', 'aws.secret_access_key' 'hunter2', 'aws.region' 'eu-1', 'format.delimiter' ';'";
    for explain in ["explain", "explain verbose", "explain format tree", "explain format graphviz"] {
        let rows = local(&session, &format!("{explain} {}", copy(said))).await.join("\n");
        assert!(rows.contains("write csv (1 task"), "{rows}");
        assert!(!rows.contains("hunter2") && !rows.contains("AKIA"), "{rows}");
    }
    // A mistake is told where it was made.
    let error = refused(&session, &copy("'aws.acces_key' 'x'")).await.to_string();
    assert!(error.contains("S3 has no option aws.acces_key"), "{error}");
}

#[tokio::test]
async fn a_setting_reaches_the_tasks() {
    let session = session(2);
    local(&session, "set datafusion.execution.batch_size = 7").await;
    let (plan, _) = graph(&session, "select n_name from tpch.sf0_01.nation").await;
    let batches = crate::harness::run(&plan, &crate::harness::env()).await.unwrap();
    assert!(
        batches.iter().all(|b| b.num_rows() <= 7),
        "{:?}",
        batches.iter().map(|b| b.num_rows()).collect::<Vec<_>>()
    );
}

/// The encoding of plans has no place for either.
#[tokio::test]
async fn what_a_window_would_lose_is_kept_or_refused() {
    let session = session(2);
    write(&session, "create table t as values (1, 2), (2, null), (3, 5), (4, null)").await.unwrap();
    let filter = "select column1, sum(column1) filter (where column1 > 1) over (order by column1), \
                  count(*) filter (where column2 is null) over () from t";
    let filtered = ["1|NULL|2", "2|2|2", "3|5|2", "4|9|2"];
    let nulls = "select column1, lag(column2) ignore nulls over (order by column1), \
                 first_value(column2) ignore nulls over (order by column1 desc), lag(column2) over (order by column1) from t";
    let ignored = ["1|NULL|5|NULL", "2|2|5|2", "3|2|5|NULL", "4|5|NULL|5"];
    for (sql, expected) in [(filter, filtered), (nulls, ignored)] {
        local(&session, &format!("create or replace view v as {sql}")).await;
        for sql in [sql, "select * from v", "select * from (select * from v) where 1 = (select 1)"] {
            assert_eq!(sorted(query(&session, sql).await), expected, "{sql}");
        }
    }
    // Of two orders the optimizer sorts by one, and reverses what has the other.
    let both = "select column1, lag(column1) over (order by column1), lead(column1) over (order by column1 desc), \
                nth_value(column1, 2) over (order by column1), last_value(column1) over (order by column1 desc) from t";
    assert_eq!(sorted(query(&session, both).await), ["1|NULL|NULL|NULL|1", "2|1|1|2|2", "3|2|2|2|3", "4|3|3|2|4"]);
    let both = "select array_agg(column1) over (order by column1), lead(column1) over (order by column1 desc) from t";
    let error = refused(&session, both).await.to_string();
    assert!(error.contains("array_agg over a window whose order is the reverse of another window's"), "{error}");
    assert_eq!(
        query(&session, "select array_agg(column1) over (order by column1) as a from t order by a").await,
        ["[1]", "[1, 2]", "[1, 2, 3]", "[1, 2, 3, 4]"]
    );
    let error =
        refused(&session, "select array_agg(column1) filter (where column1 > 1) over () from t").await.to_string();
    assert!(error.contains("FILTER of array_agg over a window") && error.contains("is not supported yet"), "{error}");
    assert_eq!(query(&session, "select sum(column1) filter (where column1 > 1) from t").await, ["9"]);
    let array = "select array_agg(column2) ignore nulls over () from t limit 1";
    assert_eq!(query(&session, array).await, ["[2, 5]"]);
}

#[tokio::test]
async fn what_is_not_supported_says_so() {
    let session = session(2);
    local(&session, "create view t as select 1 as a").await;
    for sql in ["delete from t", "update t set a = 2"] {
        let error = refused(&session, sql).await;
        assert!(matches!(error, PlanError::Unsupported(_)), "{sql}: {error:?}");
        assert!(error.to_string().ends_with("is not supported yet"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn errors_tell_where_and_what_instead() {
    let session = session(2);
    let syntax = refused(&session, "select n_name\nfrom (values (1) as t").await;
    assert!(matches!(syntax, PlanError::Syntax(_)), "{syntax:?}");
    assert_eq!(syntax.to_string(), "syntax error: Expected: ), found: EOF at Line: 2, Column: 22");
    let syntax = refused(&session, "select 1;\nselec 2").await;
    assert_eq!(syntax.to_string(), "syntax error: Expected: an SQL statement, found: selec at Line: 2, Column: 1");
    let column = refused(&session, "select n_nam from tpch.sf0_01.nation").await;
    assert!(column.to_string().contains("Line: 1, Column: 8"), "{column}");
    assert!(column.to_string().contains("n_name"), "{column}");
    let table = refused(&session, "select 1 from tpch.sf0_01.natoin").await;
    assert!(table.to_string().ends_with("did you mean 'nation'?"), "{table}");
    assert!(table.to_string().contains("Line: 1, Column: 15"), "{table}");
    let several = refused(&session, "select 1; select 2").await;
    assert!(several.to_string().contains("found 2"), "{several}");
    assert!(matches!(refused(&session, " -- nothing\n").await, PlanError::Syntax(_)));
    assert_eq!(session.statements("select 1; select ';' ; -- end").unwrap().len(), 2);
}

#[tokio::test]
async fn a_table_too_large_for_a_message_is_refused() {
    let session = session(2);
    let large: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..20_000).map(|n| "x".repeat(1000) + &n.to_string())));
    let large = RecordBatch::try_from_iter([("s", large)]).unwrap();
    session.context().register_batch("large", large).unwrap();
    let error = refused(&session, "select * from large").await;
    assert!(matches!(error, PlanError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn errors_say_what_the_user_wrote() {
    let session = session(2);
    let table = refused(&session, "select 1 from nope").await.to_string();
    assert!(table.starts_with("table 'nope' not found"), "{table}");
    for schema in ["sf100000000", "sf0_03x"] {
        let scale = refused(&session, &format!("select 1 from tpch.{schema}.nation")).await.to_string();
        assert!(scale.starts_with(&format!("table 'tpch.{schema}.nation' not found")), "{scale}");
        assert!(scale.contains(&format!("{schema} is no schema of tpch: those are sf and a scale")), "{scale}");
    }
    let column = refused(&session, "select nope from tpch.sf1.nation").await.to_string();
    assert!(!column.contains("Schema error") && !column.contains("Error during"), "{column}");
}
