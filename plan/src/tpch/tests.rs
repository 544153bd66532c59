use super::*;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{ExecutionPlan, StatisticsContext, collect, collect_partitioned, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn scale(name: &str) -> Scale {
    Scale::from_schema_name(name).unwrap()
}

fn all_columns(table: Table) -> Vec<usize> {
    (0..table.schema().fields().len()).collect()
}

/// A scan of the whole table at scale 0.01.
fn whole(table: Table, part_count: u32) -> TpchScan {
    TpchScan {
        table,
        scale: scale("sf0_01"),
        part_count,
        parts: (1..=part_count).collect(),
        projection: all_columns(table),
        limit: None,
        batch_size: 8192,
    }
}

fn exec(scan: TpchScan) -> Arc<TpchScanExec> {
    Arc::new(TpchScanExec::try_new(scan).unwrap())
}

async fn rows_of(plan: Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
    collect(plan, Arc::new(TaskContext::default())).await.unwrap()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Every row, in order, as comparable bytes.
fn row_bytes(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let rows = batches.iter().map(|batch| converter.convert_columns(batch.columns()).unwrap());
    rows.flat_map(|rows| rows.iter().map(|row| row.as_ref().to_vec()).collect::<Vec<_>>()).collect()
}

/// The first row of a batch, as it is printed.
fn first_row(batch: &RecordBatch) -> Vec<String> {
    batch.columns().iter().map(|column| array_value_to_string(column, 0).unwrap()).collect()
}

fn session(partitions: usize) -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(partitions));
    ctx.register_catalog(CATALOG_NAME, catalog());
    ctx
}

async fn sql(partitions: usize, text: &str) -> Result<Vec<RecordBatch>> {
    session(partitions).sql(text).await?.collect().await
}

#[tokio::test]
async fn every_table_has_its_rows() {
    let expected = [5, 25, 100, 1_500, 2_000, 8_000, 15_000, 60_175];
    for (table, rows) in Table::ALL.into_iter().zip(expected) {
        let text = format!("select count(*) from tpch.sf0_01.{table}");
        let counted = sql(2, &text).await.unwrap();
        assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), rows, "{table}");
        // What the plan believes: exact but for lineitem, where the number of lines an order is random.
        let believed = table.rows(scale("sf0_01")) as i64;
        assert!(believed == rows || table == Table::LineItem && believed == 60_000, "{table}: {believed}");
    }
}

/// The numbers are DuckDB's, from the Parquet files that `tpchgen-cli` writes (`integration/fixtures/tpch`).
#[tokio::test]
async fn the_rows_are_those_that_another_engine_reads() {
    let text = "select sum(l_orderkey + l_partkey + l_suppkey + l_linenumber)::varchar,
        sum(l_quantity + l_extendedprice + l_discount + l_tax)::varchar,
        sum(length(l_comment) + length(l_shipinstruct) + length(l_shipmode))::varchar,
        min(l_shipdate)::varchar, max(l_receiptdate)::varchar from tpch.sf0_01.lineitem";
    let batches = sql(3, text).await.unwrap();
    let row = first_row(&batches[0]);
    assert_eq!(row, ["1866318909", "2153731312.52", "2578660", "1992-01-04", "1998-12-25"]);

    // The comments, which are cut from the real pool of text as soon as anybody reads them.
    for (table, column, greatest) in [
        ("supplier", "s_comment", "yly final accounts could are carefully. fluffily ironic instruct"),
        (
            "customer",
            "c_comment",
            "ymptotes. ironic, unusual notornis wake after the ironic, special deposits. blithely fina",
        ),
        ("part", "p_comment", "zzle among t"),
        ("partsupp", "ps_comment", "zzle blithely about the furiously final foxes. pen"),
        ("orders", "o_comment", "zzle. carefully enticing deposits nag furio"),
        ("lineitem", "l_comment", "zzle: pending i"),
    ] {
        let batches = sql(3, &format!("select max({column}) from tpch.sf0_01.{table}")).await.unwrap();
        assert_eq!(first_row(&batches[0]), [greatest], "{table}");
    }
}

#[tokio::test]
async fn partitions_together_are_the_table() {
    for table in Table::ALL {
        let once = rows_of(exec(whole(table, 1))).await;
        let expected = row_bytes(&table.schema(), &once);
        for part_count in [2, 7] {
            if table.is_fixed() {
                TpchScanExec::try_new(whole(table, part_count)).unwrap_err();
                continue;
            }
            let parts = collect_partitioned(exec(whole(table, part_count)), Arc::default()).await.unwrap();
            assert_eq!(parts.len(), part_count as usize);
            assert!(parts.iter().all(|part| count(part) > 0), "{table} in {part_count}: an empty part");
            // In order of the parts even the order of the rows is the table's.
            assert!(row_bytes(&table.schema(), &parts.concat()) == expected, "{table} in {part_count}");
        }
    }
}

#[tokio::test]
async fn more_parts_than_rows() {
    let mut scan = whole(Table::Supplier, 300);
    scan.batch_size = 7;
    let parts = collect_partitioned(exec(scan), Arc::default()).await.unwrap();
    assert_eq!(parts.iter().map(|part| count(part)).sum::<usize>(), 100);
}

#[tokio::test]
async fn fixed_tables_are_the_generators() {
    use tpchgen::generators::{NationGenerator, RegionGenerator};
    use tpchgen_arrow::{NationArrow, RegionArrow};
    let region = RegionArrow::new(RegionGenerator::default()).next().unwrap().unwrap();
    let nation = NationArrow::new(NationGenerator::default()).next().unwrap().unwrap();
    assert_eq!(rows_of(exec(whole(Table::Region, 1))).await, [region]);
    assert_eq!(rows_of(exec(whole(Table::Nation, 1))).await, [nation]);
}

#[tokio::test]
async fn unread_comments_change_no_other_column() {
    for table in Table::ALL {
        let mut columns = all_columns(table);
        columns.pop();
        let with_comment = rows_of(exec(whole(table, 1))).await;
        let expected: Vec<_> = with_comment.iter().map(|batch| batch.project(&columns).unwrap()).collect();
        let without = rows_of(exec(TpchScan { projection: columns, ..whole(table, 1) })).await;
        assert!(without == expected, "{table}");
    }
}

#[tokio::test]
async fn columns_come_in_the_order_asked_for() {
    let all = rows_of(exec(whole(Table::Orders, 1))).await;
    let scan = exec(TpchScan { projection: vec![4, 0, 8], ..whole(Table::Orders, 1) });
    let names: Vec<_> = scan.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["o_orderdate", "o_orderkey", "o_comment"]);
    let expected: Vec<_> = all.iter().map(|batch| batch.project(&[4, 0, 8]).unwrap()).collect();
    assert!(rows_of(scan).await == expected);

    // No column at all still has rows.
    let none = rows_of(exec(TpchScan { projection: vec![], ..whole(Table::Orders, 1) })).await;
    assert_eq!((count(&none), none[0].num_columns()), (15_000, 0));
}

#[tokio::test]
async fn a_limit_bounds_every_partition() {
    for (limit, expected) in [(0, 0), (1, 1), (10, 10), (8_193, 8_193), (20_000, 15_000)] {
        let limited = exec(TpchScan { limit: Some(limit), ..whole(Table::Orders, 1) });
        let batches = rows_of(Arc::clone(&limited) as _).await;
        assert_eq!(count(&batches), expected);
        let all = row_bytes(&limited.schema(), &rows_of(limited.with_fetch(None).unwrap()).await);
        assert!(row_bytes(&limited.schema(), &batches) == all[..expected]);
    }
    let parts = collect_partitioned(exec(TpchScan { limit: Some(3), ..whole(Table::Orders, 2) }), Arc::default());
    assert_eq!(parts.await.unwrap().iter().map(|part| count(part)).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(count(&sql(4, "select * from tpch.sf1.lineitem limit 10").await.unwrap()), 10);
}

#[tokio::test]
async fn a_task_keeps_its_own_partition() {
    let scan = exec(whole(Table::Part, 4));
    let parts = collect_partitioned(Arc::clone(&scan) as _, Arc::default()).await.unwrap();
    for (partition, expected) in parts.iter().enumerate() {
        let kept = Arc::new(scan.keep_partition(partition).unwrap());
        assert_eq!(kept.properties().partitioning.partition_count(), 1);
        assert!(&rows_of(Arc::clone(&kept) as _).await == expected, "partition {partition}");
        assert!(kept.execute(1, Arc::default()).is_err());
        // What a task has kept is never cut anew.
        assert!(kept.repartitioned(2, &ConfigOptions::default()).unwrap().is_none());
    }
    let two = Arc::new(scan.with_parts(vec![2, 4]).unwrap());
    assert!(collect_partitioned(two, Arc::default()).await.unwrap() == [parts[1].clone(), parts[3].clone()]);
    let refused = scan.keep_partition(4).unwrap_err().strip_backtrace();
    assert!(refused.contains("partition 4 of a scan of 4 partitions"), "{refused}");
}

#[tokio::test]
async fn decoded_scans_generate_the_same() {
    let scan =
        exec(TpchScan { projection: vec![5, 0], limit: Some(1_000), batch_size: 100, ..whole(Table::LineItem, 3) });
    let kept = scan.keep_partition(1).unwrap();
    let decoded = TpchScanExec::try_decode(&kept.encode()).unwrap();
    assert_eq!(decoded.scan(), kept.scan());
    assert_eq!(decoded.schema(), kept.schema());
    assert!(rows_of(Arc::new(decoded)).await == rows_of(Arc::new(kept)).await);
}

#[test]
fn malformed_scans_are_refused() {
    fn refused(scan: TpchScan, says: &str) {
        let message = TpchScanExec::try_new(scan).unwrap_err().strip_backtrace();
        assert!(message.contains(says), "`{message}` does not say `{says}`");
    }
    let good = whole(Table::Orders, 4);
    refused(TpchScan { part_count: 0, parts: vec![], ..good.clone() }, "cut into 0 parts");
    refused(TpchScan { part_count: MAX_PARTS + 1, ..good.clone() }, "cut into 65537 parts");
    refused(TpchScan { parts: vec![], ..good.clone() }, "with no part");
    refused(TpchScan { parts: vec![0], ..good.clone() }, "with part 0");
    refused(TpchScan { parts: vec![5], ..good.clone() }, "with part 5");
    refused(TpchScan { parts: vec![2, 2], ..good.clone() }, "do not ascend");
    refused(TpchScan { parts: vec![2, 1], ..good.clone() }, "do not ascend");
    refused(TpchScan { projection: vec![9], ..good.clone() }, "column 9");
    refused(TpchScan { projection: vec![0; 10], ..good.clone() }, "10 columns");
    refused(TpchScan { batch_size: 0, ..good.clone() }, "by 0 rows");
    refused(TpchScan { batch_size: MAX_BATCH_ROWS + 1, ..good }, "by 131073 rows");
}

#[test]
fn malformed_bytes_are_refused() {
    let good = TpchScanExec::try_new(whole(Table::Orders, 4)).unwrap().encode();
    let refused = |bytes: &[u8], says: &str| {
        let message = TpchScanExec::try_decode(bytes).unwrap_err().strip_backtrace();
        assert!(message.contains(says), "`{message}` does not say `{says}`");
    };
    refused(b"", "no table ``");
    refused(b"\xff\xff\xff", "no such message");
    refused(&good[..good.len() - 1], "malformed tpch scan");
    let renamed: Vec<u8> = good.iter().map(|&b| if b == b'o' { b'x' } else { b }).collect();
    refused(&renamed, "no table `xrders`");
    // Tag 2, a double: 1e9, then not a number. The last value of a field counts.
    for (bits, says) in [(1e9_f64.to_le_bytes(), "1000000000"), (f64::NAN.to_le_bytes(), "NaN")] {
        refused(&[good.as_slice(), &[0x11], &bits].concat(), &format!("the scale {says} is not between"));
    }
    // Tag 4 again: a part that is not there.
    refused(&[good.as_slice(), &[0x20, 99]].concat(), "part 99");
}

#[tokio::test]
async fn names_that_are_not_there() {
    assert_eq!(catalog().schema_names(), ["sf0_01", "sf0_1", "sf1", "sf10", "sf100", "sf1000"]);
    assert!(catalog().schema_names().iter().all(|name| catalog().schema(name).is_some()));
    assert!(catalog().schema("sf2_5").is_some());
    assert!(catalog().schema("public").is_none());
    let schema = catalog().schema("sf1").unwrap();
    assert_eq!(schema.table_names().len(), 8);
    assert!(schema.table_exist("lineitem") && !schema.table_exist("LINEITEM"));
    assert!(schema.table("lineitems").await.unwrap().is_none());
    assert!(sql(1, "select 1 from tpch.sf1.lineitems").await.is_err());
    assert!(sql(1, "select 1 from tpch.sf01.lineitem").await.is_err());
}

#[tokio::test]
async fn as_many_partitions_as_are_worthwhile() {
    let expected: BTreeMap<_, _> = Table::ALL.into_iter().zip([1, 1, 1, 1, 2, 8, 8, 8]).collect();
    for (table, partitions) in expected {
        assert_eq!(table.worthwhile_parts(scale("sf0_1"), 8), partitions, "{table}");
        let provider = catalog().schema("sf0_1").unwrap().table(table.name()).await.unwrap().unwrap();
        let plan = provider.scan(&session(8).state(), None, &[], None).await.unwrap();
        assert_eq!(plan.properties().partitioning.partition_count(), partitions as usize, "{table}");
    }
    assert_eq!(Table::LineItem.worthwhile_parts(scale("sf100000"), usize::MAX), MAX_PARTS);

    let cut = exec(whole(Table::LineItem, 1)).repartitioned(4, &ConfigOptions::default()).unwrap().unwrap();
    assert_eq!(cut.properties().partitioning.partition_count(), 4);
    assert!(cut.repartitioned(4, &ConfigOptions::default()).unwrap().is_none());
    let limited = exec(TpchScan { limit: Some(1), ..whole(Table::LineItem, 1) });
    assert!(limited.repartitioned(4, &ConfigOptions::default()).unwrap().is_none());
}

fn statistics(plan: &dyn ExecutionPlan, partition: Option<usize>) -> Arc<Statistics> {
    let args = datafusion::physical_plan::StatisticsArgs::new().with_partition(partition);
    StatisticsContext::new().compute(plan, &args).unwrap()
}

#[tokio::test]
async fn statistics_are_honest_and_never_exact() {
    let scan = exec(TpchScan { projection: vec![0, 7], ..whole(Table::Orders, 4) });
    assert_eq!(statistics(&*scan, None).num_rows, Precision::Inexact(15_000));
    assert_eq!(statistics(&*scan, None).total_byte_size, Precision::Inexact(15_000 * 12));
    assert_eq!(statistics(&*scan, Some(3)).num_rows, Precision::Inexact(3_750));
    assert_eq!(statistics(&scan.keep_partition(1).unwrap(), None).num_rows, Precision::Inexact(3_750));
    assert_eq!(statistics(&*scan.with_fetch(Some(5)).unwrap(), None).num_rows, Precision::Inexact(20));

    let plan = session(2).sql("select count(*) from tpch.sf0_01.orders").await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(shown.contains("TpchScanExec: table=orders, scale=0.01, parts=1, projection=[]"), "{shown}");
}

#[tokio::test]
async fn projections_and_limits_reach_the_scan() {
    let text = "select o_orderdate, o_orderkey from tpch.sf0_1.orders limit 7";
    let plan = session(8).sql(text).await.unwrap().create_physical_plan().await.unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    // In the table's order: where nothing gets narrower, the optimizer puts columns in order above the scan.
    assert!(shown.contains("parts=8, projection=[o_orderkey, o_orderdate], limit=7"), "{shown}");
}

#[tokio::test]
async fn a_projection_above_becomes_the_scans() {
    let scan = exec(TpchScan { projection: vec![4, 0, 1], ..whole(Table::Orders, 1) });
    let project = |columns: &[(usize, &str, &str)]| {
        let columns =
            columns.iter().map(|&(at, name, alias)| ProjectionExpr::new(Arc::new(Column::new(name, at)), alias));
        ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::clone(&scan) as _).unwrap()
    };
    let narrower = project(&[(2, "o_custkey", "o_custkey"), (0, "o_orderdate", "o_orderdate")]);
    let merged = scan.try_swapping_with_projection(&narrower).unwrap().unwrap();
    assert_eq!(merged.downcast_ref::<TpchScanExec>().unwrap().scan().projection, [1, 4]);
    assert!(rows_of(merged).await == rows_of(Arc::new(narrower)).await);

    let renamed = project(&[(2, "o_custkey", "customer")]);
    assert!(scan.try_swapping_with_projection(&renamed).unwrap().is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn generating_gives_the_thread_back() {
    let scan = exec(TpchScan { projection: vec![0], batch_size: 1_000, ..whole(Table::LineItem, 1) });
    let (turns, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let other = tokio::spawn({
        let (turns, done) = (Arc::clone(&turns), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let mut stream = scan.execute(0, Arc::default()).unwrap();
    stream.next().await.unwrap().unwrap();
    for _ in 0..50 {
        let before = turns.load(Ordering::Relaxed);
        stream.next().await.unwrap().unwrap();
        assert!(turns.load(Ordering::Relaxed) > before, "nobody else ran while a batch was made");
    }
    done.store(true, Ordering::Relaxed);
    other.await.unwrap();
}

#[tokio::test]
async fn the_largest_scale_can_be_read() {
    for table in Table::ALL {
        let part_count = if table.is_fixed() { 1 } else { MAX_PARTS };
        for parts in [vec![1], vec![part_count]] {
            // Without the comment, whose pool the other tests need but this one does not.
            let mut projection = all_columns(table);
            projection.pop();
            let scan =
                TpchScan { scale: scale("sf100000"), limit: Some(100), parts, projection, ..whole(table, part_count) };
            assert!(count(&rows_of(exec(scan)).await) > 0, "{table}");
        }
    }
}
