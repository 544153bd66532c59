//! Writes: what lies where afterwards, and that nothing does when they fail.

use crate::harness::{
    Memory, begin, decode, env, local, plain, query, refused, rows, run, run_one, session, session_over, sorted, write,
    write_tables,
};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream, stream::BoxStream};
use hearth_core::messages::task::TaskFailure;
use hearth_plan::{
    BlockSource, DecodedPayload, Manifest, Piece, PlanError, Selection, SqlSession, WriteError, run_task,
};
use std::{fs, path::Path, sync::Arc};
use tempfile::TempDir;

/// Tables, and room for what is written.
struct Fixture {
    dir: TempDir,
    session: SqlSession,
}

impl Fixture {
    async fn new(partitions: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        write_tables(&dir.path().join("in")).await;
        let session = session_over(&dir.path().join("in"), partitions).await;
        fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir, session }
    }

    fn out(&self, name: &str) -> String {
        self.dir.path().join("out").join(name).to_str().unwrap().to_owned()
    }

    async fn write(&self, sql: &str) -> u64 {
        write(&self.session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// The rows of a query by DataFusion alone over the tables.
    async fn expected(&self, sql: &str) -> Vec<String> {
        by(&plain(&self.dir.path().join("in")).await, sql).await
    }

    /// Everything below `out`.
    fn all(&self) -> Vec<String> {
        files(&self.dir.path().join("out"))
    }
}

async fn by(context: &SessionContext, sql: &str) -> Vec<String> {
    sorted(rows(&context.sql(sql).await.unwrap().collect().await.unwrap()))
}

/// The rows of a folder, by DataFusion alone. `table` is what follows the table's name.
async fn read(table: &str, sql: &str) -> Vec<String> {
    let context = SessionContext::new();
    context.sql(&format!("create external table t {table}")).await.unwrap_or_else(|e| panic!("{table}: {e}"));
    by(&context, sql).await
}

/// Paths of files below a folder, sorted, and of folders without any, with a `/`.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_str().unwrap().to_owned();
        if entry.path().is_dir() {
            let inside = files(&entry.path());
            found.push(format!("{name}/"));
            found.extend(inside.iter().map(|f| format!("{name}/{f}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

const ORDERS: &str = "select id, customer, amount, weight, day, note from orders";

#[tokio::test]
async fn a_folder_has_a_file_a_task_and_says_when_it_is_whole() {
    let fixture = Fixture::new(3).await;
    let expected = fixture.expected(ORDERS).await;
    for (format, options, table) in [
        ("parquet", "", ""),
        ("csv", "", ""),
        ("json", "", ""),
        ("arrow", "", ""),
        (
            "csv",
            "options ('format.compression' 'gzip', 'format.delimiter' ';')",
            "options ('format.compression' 'gzip', 'format.delimiter' ';')",
        ),
    ] {
        let out = fixture.out(&format!("{format}{}/", table.len()));
        let copy = format!("copy ({ORDERS}) to '{out}' stored as {format} {options}");
        assert_eq!(fixture.write(&copy).await, 1200, "{copy}");
        let found = files(Path::new(&out));
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "_SUCCESS");
        for (place, name) in found[1..].iter().enumerate() {
            assert!(name.starts_with(&format!("part-{place:05}-")), "{found:?}");
            assert!(name.contains(&format!(".{format}")), "{found:?}");
        }
        let columns = "(id bigint, customer bigint, amount decimal(12,2), weight double, day date, note varchar)";
        let schema = if format == "csv" { columns } else { "" };
        let select = "select id, customer, cast(amount as decimal(15,6)), weight, cast(day as date), note from t";
        let wanted = fixture.expected(&select.replace("from t", "from orders")).await;
        assert_eq!(wanted.len(), expected.len());
        assert_eq!(
            read(&format!("{schema} stored as {format} location '{out}' {table}"), select).await,
            wanted,
            "{copy}"
        );
    }
    assert!(!fixture.all().iter().any(|f| f.contains("_temporary")), "{:?}", fixture.all());
}

#[tokio::test]
async fn one_file_is_written_by_one_task_in_order() {
    let fixture = Fixture::new(3).await;
    let out = fixture.out("deep/down/x.csv");
    let copy = format!("copy (select id from orders where id < 500 order by id desc) to '{out}'");
    assert_eq!(fixture.write(&copy).await, 500);
    let text = fs::read_to_string(&out).unwrap();
    let expected: Vec<_> = std::iter::once("id".to_owned()).chain((0..500).rev().map(|i| i.to_string())).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(fixture.all(), ["deep/", "deep/down/", "deep/down/x.csv"]);
    // Without an order, the partitions go through one task.
    let unordered = fixture.out("y.parquet");
    assert_eq!(fixture.write(&format!("copy orders to '{unordered}'")).await, 1200);
    assert_eq!(read(&format!("stored as parquet location '{unordered}'"), "select count(*) from t").await, ["1200"]);
}

#[tokio::test]
async fn no_rows_still_have_columns() {
    let fixture = Fixture::new(3).await;
    let copy =
        format!("copy (select id, note from orders where id < 0) to '{}' stored as parquet", fixture.out("none"));
    assert_eq!(fixture.write(&copy).await, 0);
    assert_eq!(fixture.all().len(), 3, "{:?}", fixture.all());
    assert!(fixture.all()[2].starts_with("none/part-00000-"));
    let out = fixture.out("none/");
    assert_eq!(
        read(&format!("stored as parquet location '{out}'"), "select count(id), count(note) from t").await,
        ["0|0"]
    );
}

#[tokio::test]
async fn columns_become_folders() {
    let fixture = Fixture::new(2).await;
    let out = fixture.out("by");
    let input = "select id, case when id % 3 = 0 then 'a/b c=%' else 'x' || (id % 3) end as k, id % 2 = 0 as even from customers";
    let copy = format!("copy ({input}) to '{out}' stored as parquet partitioned by (k, even)");
    assert_eq!(fixture.write(&copy).await, 50);
    let found = fixture.all();
    let folder = |f: &&String| f.ends_with('/') && f.matches('/').count() == 3;
    assert_eq!(found.iter().filter(folder).count(), 6, "{found:?}");
    assert!(found.contains(&"by/_SUCCESS".to_owned()), "{found:?}");
    assert!(!found.iter().any(|f| f.contains("_temporary")), "{found:?}");
    // DataFusion alone would take it for a file without partitions.
    fs::remove_file(fixture.out("by/_SUCCESS")).unwrap();
    let table =
        format!("(id bigint, k varchar, even boolean) stored as parquet partitioned by (k, even) location '{out}/'");
    assert_eq!(read(&table, "select id, k, even from t").await, fixture.expected(input).await);
}

#[tokio::test]
async fn a_partition_without_a_name_is_refused() {
    let fixture = Fixture::new(2).await;
    let out = fixture.out("by");
    let copy = format!("copy (select id, city from customers) to '{out}' stored as csv partitioned by (city)");
    let error = write(&fixture.session, &copy).await.unwrap_err();
    assert!(error.contains("NULL in column city") && error.contains("coalesce(city"), "{error}");
    assert_eq!(fixture.all(), [""; 0]);
    for (columns, words) in [
        ("(nope)", "No field named nope"),
        ("(id, amount, city)", "none is left"),
        ("(city, city)", "twice"),
        ("(amount)", "cannot be a folder's name"),
    ] {
        let amount = if columns.contains(',') { "1" } else { "cast(1.5 as decimal(4,2))" };
        let sql = format!("select id, {amount} as amount, 'c' as city from customers");
        let copy = format!("copy ({sql}) to '{out}' stored as csv partitioned by {columns}");
        let error = refused(&fixture.session, &copy).await.to_string();
        assert!(error.contains(words), "{columns}: {error}");
    }
    let one = format!("copy customers to '{}' partitioned by (city)", fixture.out("x.csv"));
    assert!(refused(&fixture.session, &one).await.to_string().contains("is one file"));
}

#[tokio::test]
async fn a_failure_half_way_leaves_nothing() {
    let fixture = Fixture::new(2).await;
    for (format, extra) in [("parquet", ""), ("csv", ""), ("csv", "partitioned by (k)"), ("arrow", "")] {
        // Rows before the bad one are written: batches have 100 rows.
        let out = fixture.out("out");
        let copy = format!(
            "copy (select 100 / (id - 1150) as x, id % 3 as k from orders) to '{out}' stored as {format} {extra}"
        );
        let error = write(&fixture.session, &copy).await.unwrap_err();
        assert!(error.contains("Divide by zero"), "{error}");
        assert_eq!(fixture.all(), [""; 0], "{copy}");
    }
}

#[tokio::test]
async fn of_several_attempts_one_is_committed() {
    let fixture = Fixture::new(2).await;
    let out = fixture.out("out");
    let (graph, begun) = begin(&fixture.session, &format!("copy orders to '{out}' stored as parquet")).await;
    let stage = &graph.stages[0];
    assert_eq!(stage.tasks, 2);
    let attempt = async |partition| {
        let (blocks, _) = run_one(&stage.payload, partition, vec![], &env()).await.unwrap();
        let (_, batches) = decode(&blocks[0]);
        Manifest::read(&batches[0]).unwrap().remove(0)
    };
    // One whose result was lost, say, after it had written everything.
    attempt(0).await;
    let manifests = vec![attempt(0).await, attempt(1).await];
    assert_eq!(begun.commit(manifests).await.unwrap(), 1200);
    assert_eq!(files(Path::new(&out)).len(), 3);
    let table = format!("stored as parquet location '{out}/'");
    assert_eq!(read(&table, "select count(*), count(distinct id) from t").await, ["1200|1200"]);
    assert!(!fixture.all().iter().any(|f| f.contains("_temporary")));
}

/// Gives the first blocks and then waits for ever.
struct Stuck(Memory);

impl BlockSource for Stuck {
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>> {
        self.0.read(input, blocks).chain(stream::pending()).boxed()
    }
}

#[tokio::test]
async fn an_attempt_that_is_dropped_takes_its_files_with_it() {
    let fixture = Fixture::new(2).await;
    let copy =
        format!("copy (select distinct id, note from orders order by id) to '{}' stored as csv", fixture.out("out"));
    let (graph, begun) = begin(&fixture.session, &copy).await;
    let mut outputs = Vec::new();
    for stage in &graph.stages[..graph.result()] {
        let inputs: Vec<_> = stage.inputs.iter().map(|e| Arc::clone(&outputs[e.from])).collect();
        let mut maps = Vec::new();
        for partition in 0..stage.tasks {
            maps.push(run_one(&stage.payload, partition, inputs.clone(), &env()).await.unwrap().0);
        }
        outputs.push(Arc::new(maps));
    }
    let last = &graph.stages[graph.result()];
    let inputs: Vec<_> = last.inputs.iter().map(|e| Arc::clone(&outputs[e.from])).collect();
    let payload = DecodedPayload::decode(&last.payload).unwrap();
    let mut run = run_task(&payload, 0, Arc::new(Stuck(Memory(inputs))), &env()).unwrap();
    let attempts = || fixture.all().iter().filter(|f| f.contains("/00000-") && f.ends_with('/')).count();
    tokio::select! {
        got = run.next() => panic!("it cannot be done: {got:?}"),
        () = async { while attempts() == 0 { tokio::task::yield_now().await } } => {}
    }
    drop(run);
    // What the sink had spawned ends at its next pause.
    while attempts() > 0 {
        tokio::task::yield_now().await;
    }
    begun.undo(Vec::new()).await;
    assert_eq!(fixture.all(), [""; 0]);
}

#[tokio::test]
async fn what_exists_is_not_written_over() {
    let fixture = Fixture::new(2).await;
    fs::create_dir(fixture.out("full")).unwrap();
    fs::write(fixture.out("full/x"), "").unwrap();
    fs::write(fixture.out("x.csv"), "mine").unwrap();
    fs::create_dir(fixture.out("dir.csv")).unwrap();
    let before = fixture.all();
    for (target, words) in [
        ("full", "not empty"),
        ("full/", "not empty"),
        ("x.csv", "the file exists already"),
        ("x.csv/", "this is a file, where a folder"),
        ("dir.csv", "this is a folder, where one file"),
    ] {
        let copy = format!("copy customers to '{}' stored as csv", fixture.out(target));
        let error = refused(&fixture.session, &copy).await;
        assert!(matches!(error, PlanError::Input { .. }), "{error:?}");
        assert!(error.to_string().contains(words) && error.to_string().contains(fixture.out("").as_str()), "{error}");
    }
    // Somebody else comes between the plan and the commit.
    let (graph, begun) = begin(&fixture.session, &format!("copy customers to '{}'", fixture.out("new.csv"))).await;
    let batches = run(&graph, &env()).await.unwrap();
    fs::write(fixture.out("new.csv"), "mine").unwrap();
    let manifests = batches.iter().flat_map(|b| Manifest::read(b).unwrap()).collect();
    let error = begun.commit(manifests).await.unwrap_err();
    assert!(matches!(error, WriteError::Exists { .. }), "{error}");
    assert_eq!(fs::read_to_string(fixture.out("new.csv")).unwrap(), "mine");
    fs::remove_file(fixture.out("new.csv")).unwrap();
    assert_eq!(fixture.all(), before);
}

#[tokio::test]
async fn a_folder_that_only_the_driver_sees_is_an_error() {
    let fixture = Fixture::new(2).await;
    let copy = format!("copy orders to '{}' stored as parquet", fixture.out("out"));
    let (graph, begun) = begin(&fixture.session, &copy).await;
    // As on another machine.
    begun.undo(Vec::new()).await;
    let error = run(&graph, &env()).await.unwrap_err();
    assert!(matches!(&error, TaskFailure::Query(m) if m.contains("same path")), "{error:?}");
    assert_eq!(fixture.all(), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_written_says_so() {
    let fixture = Fixture::new(1).await;
    for (sql, words) in [
        (format!("copy customers to '{}' stored as avro", fixture.out("x")), "writing Avro files"),
        ("copy customers to 'https://example.invalid/x.csv'".into(), "read only"),
        (format!("copy customers to '{}' options ('single_file_output' 'maybe')", fixture.out("x.csv")), "maybe"),
        ("insert into customers values (1, 'n', 'c')".into(), "no folder"),
        ("insert into tpch.sf0_01.nation select * from tpch.sf0_01.nation".into(), "folders of files"),
        ("insert overwrite orders select * from orders".into(), "Overwrite"),
        ("delete from orders".into(), "Delete"),
        ("create table tpch.sf0_01.mine as select 1 as a".into(), "fixed"),
        ("create table nowhere.t as select 1 as a".into(), "nowhere"),
        ("create table t as select 1 as a, 2 as a".into(), "a"),
        ("create temporary table t as select 1 as a".into(), "TEMPORARY"),
    ] {
        let error = refused(&fixture.session, &sql).await.to_string();
        assert!(error.to_lowercase().contains(&words.to_lowercase()), "{sql}: {error}");
    }
    assert_eq!(fixture.all(), [""; 0]);
}

#[tokio::test]
async fn an_insert_adds_files_and_the_table_has_their_rows() {
    let fixture = Fixture::new(2).await;
    fs::create_dir(fixture.out("t")).unwrap();
    let location = fixture.out("t/");
    let create = format!(
        "create external table t (id bigint not null, name varchar default 'nobody', k int) stored as parquet \
         partitioned by (k) location '{location}'"
    );
    local(&fixture.session, &create).await;
    assert_eq!(query(&fixture.session, "select count(*) from t").await, ["0"]);
    assert_eq!(fixture.write("insert into t select id, name, id % 2 from customers").await, 50);
    assert_eq!(fixture.write("insert into t (k, id) values (7, 100), (7, '101')").await, 2);
    let sum = "select k, count(*), sum(id), count(distinct name) from t group by k order by k";
    assert_eq!(query(&fixture.session, sum).await, ["0|25|600|25", "1|25|625|25", "7|2|201|1"]);
    assert_eq!(query(&fixture.session, "select name from t where id = 101").await, ["nobody"]);
    // From the table itself.
    assert_eq!(fixture.write("insert into t select id + 1000, name, 9 from t").await, 52);
    assert_eq!(query(&fixture.session, "select count(*) from t").await, ["104"]);
    let before = fixture.all();
    let error = write(&fixture.session, "insert into t (name, k) values ('x', 1)").await.unwrap_err();
    assert!(error.contains("NULL in column id, which is declared NOT NULL"), "{error}");
    assert_eq!(fixture.all(), before);
    assert!(
        before.contains(&"t/_SUCCESS".to_owned()) && !before.iter().any(|f| f.contains("_temporary")),
        "{before:?}"
    );
    // Another reader sees the same, without what it would take for a file without partitions.
    fs::remove_file(fixture.out("t/_SUCCESS")).unwrap();
    let table = format!("(id bigint, name varchar, k int) stored as parquet partitioned by (k) location '{location}'");
    assert_eq!(read(&table, "select count(*), sum(id) from t").await, ["104|54852"]);
}

#[tokio::test]
async fn readers_do_not_look_at_what_is_not_committed() {
    let fixture = Fixture::new(2).await;
    let out = fixture.out("t");
    fixture.write(&format!("copy (select id from orders where id < 10) to '{out}' stored as parquet")).await;
    local(&fixture.session, &format!("create external table t stored as parquet location '{out}/'")).await;
    let (graph, begun) = begin(&fixture.session, "insert into t select id + 100 from orders where id < 10").await;
    run(&graph, &env()).await.unwrap();
    assert!(fixture.all().iter().any(|f| f.contains("_temporary/")), "{:?}", fixture.all());
    let count = "select count(*) from t";
    for session in [session(2), fixture.session.clone()] {
        let _ = session.context().deregister_table("t");
        local(&session, &format!("create external table t stored as parquet location '{out}/'")).await;
        assert_eq!(query(&session, count).await, ["10"]);
    }
    assert_eq!(read(&format!("stored as parquet location '{out}/'"), count).await, ["10"]);
    drop(begun);
}

#[tokio::test]
async fn tables_are_made_replaced_and_dropped() {
    let scratch = tempfile::tempdir().unwrap();
    let options =
        hearth_plan::SessionOptions { scratch: scratch.path().to_owned(), partitions: 2, ..Default::default() };
    let session = SqlSession::new(options).unwrap();
    let done = async |sql: &str| write(&session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert_eq!(done("create table t as select n_nationkey as n, n_name from tpch.sf0_01.nation").await, 25);
    assert_eq!(query(&session, "select count(*), min(n_name) from t").await, ["25|ALGERIA"]);
    assert_eq!(done("insert into t values (99, 'ATLANTIS')").await, 1);
    assert_eq!(query(&session, "select max(n), count(*) from t").await, ["99|26"]);
    assert!(refused(&session, "create table t as select 1 as a").await.to_string().contains("exists already"));
    assert_eq!(local(&session, "create table if not exists t as select 1 as a").await, [""; 0]);
    // A table may be made of what it replaces.
    assert_eq!(done("create or replace table t as select n + 1 as m from t where n < 3").await, 3);
    assert_eq!(sorted(query(&session, "select m from t").await), ["1", "2", "3"]);
    assert_eq!(done("create table empty (a int not null, b varchar default 'd')").await, 0);
    assert_eq!(done("insert into empty (a) values (1)").await, 1);
    assert_eq!(query(&session, "select a, b from empty").await, ["1|d"]);
    assert_eq!(done("create table v (x bigint, y varchar) as values (1, 'one'), (2, null)").await, 2);
    assert_eq!(sorted(query(&session, "select x, y from v").await), ["1|one", "2|NULL"]);
    let folders = || files(scratch.path()).iter().filter(|f| f.matches('/').count() == 2 && f.ends_with('/')).count();
    assert_eq!(folders(), 3, "{:?}", files(scratch.path()));
    local(&session, "drop table v").await;
    assert_eq!(folders(), 2, "{:?}", files(scratch.path()));
    assert!(refused(&session, "select * from v").await.to_string().contains("not found"));
    drop(session);
    assert_eq!(files(scratch.path()), [""; 0], "tables go with their session");
}

#[tokio::test]
async fn explain_shows_the_stages_and_writes_nothing() {
    let fixture = Fixture::new(3).await;
    let out = fixture.out("out");
    for sql in [
        format!("explain copy orders to '{out}' stored as parquet"),
        "explain insert into orders select * from orders".into(),
    ] {
        let explained = local(&fixture.session, &sql).await;
        let stages = explained.iter().find(|r| r.starts_with("stages|")).unwrap();
        assert!(stages.contains("scan orders -> write parquet (3 tasks, gives the result)"), "{stages}");
        assert!(stages.contains("SinkExec: files=*.parquet"), "{stages}");
    }
    assert_eq!(fixture.all(), [""; 0]);
    assert!(!files(&fixture.dir.path().join("in")).iter().any(|f| f.contains("_")));
}

#[tokio::test]
async fn what_only_the_session_knows_can_be_written() {
    let fixture = Fixture::new(2).await;
    let out = fixture.out("tables.csv");
    let copy = format!(
        "copy (select table_name from information_schema.tables where table_schema = 'public' order by 1) to '{out}'"
    );
    assert_eq!(fixture.write(&copy).await, 4);
    assert_eq!(fs::read_to_string(out).unwrap(), "table_name\ncustomers\nevents\nnothing\norders\n");
}
