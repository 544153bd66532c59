//! The operator that generates: [`TpchScanExec`], and its description, [`TpchScan`].

use super::rows::{self, Batches};
use super::scale::Scale;
use super::table::Table;
use crate::leaf::leaf_operator;
use crate::optimize::row_width;
use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err, plan_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::display::ProjectSchemaDisplay;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{ProjectionExec, all_alias_free_columns, new_projections_for_columns};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
    StatisticsArgs,
};
use std::fmt;
use std::sync::Arc;

/// The most parts of one table: as many tasks as the largest stage that anybody should ask for.
pub const MAX_PARTS: u32 = 65_536;

/// The most rows of one batch: a batch's rows lie in memory twice while they become columns.
pub const MAX_BATCH_ROWS: usize = 1 << 17;

/// What a scan generates. It is all that travels to an executor.
#[derive(Clone, Debug, PartialEq)]
pub struct TpchScan {
    /// Of which table.
    pub table: Table,
    /// At which scale.
    pub scale: Scale,
    /// Into how many parts the table is cut: 1 for the fixed tables, at most [`MAX_PARTS`].
    pub part_count: u32,
    /// Which of them this scan gives, ascending, from 1: partition `p` is part `parts[p]`.
    pub parts: Vec<u32>,
    /// Columns, by their place in the table.
    pub projection: Vec<usize>,
    /// The most rows that each partition gives.
    pub limit: Option<usize>,
    /// Rows a batch, at most [`MAX_BATCH_ROWS`].
    pub batch_size: usize,
}

impl TpchScan {
    fn validate(&self) -> Result<()> {
        let Self { table, part_count, parts, projection, batch_size, .. } = self;
        if !(1..=MAX_PARTS).contains(part_count) {
            return plan_err!("tpch table {table} cut into {part_count} parts; it can be cut into 1 to {MAX_PARTS}");
        }
        if table.is_fixed() && *part_count != 1 {
            return plan_err!("tpch table {table} cut into {part_count} parts; it is so small that it has only one");
        }
        if parts.is_empty() {
            return plan_err!("a scan of tpch table {table} with no part; it needs at least one of {part_count}");
        }
        if let Some(part) = parts.iter().find(|part| !(1..=*part_count).contains(part)) {
            return plan_err!("a scan of tpch table {table} with part {part}; its parts are 1 to {part_count}");
        }
        if !parts.is_sorted_by(|a, b| a < b) {
            return plan_err!("a scan of tpch table {table} whose parts do not ascend; each may occur once, in order");
        }
        let columns = table.schema().fields().len();
        if projection.len() > columns {
            return plan_err!("a scan of {} columns of tpch table {table}, which has {columns}", projection.len());
        }
        if let Some(column) = projection.iter().find(|column| **column >= columns) {
            return plan_err!("a scan of column {column} of tpch table {table}; its columns are 0 to {}", columns - 1);
        }
        if !(1..=MAX_BATCH_ROWS).contains(batch_size) {
            return plan_err!("a scan of tpch table {table} by {batch_size} rows; a batch has 1 to {MAX_BATCH_ROWS}");
        }
        Ok(())
    }

    /// Whether it gives the table from its first part to its last.
    fn is_whole(&self) -> bool {
        self.parts.len() as u64 == u64::from(self.part_count)
    }

    fn rows_of(&self, part: u32) -> usize {
        let rows = self.table.rows_of_part(self.scale, part, self.part_count);
        usize::try_from(rows).unwrap_or(usize::MAX).min(self.limit.unwrap_or(usize::MAX))
    }
}

/// Generates the rows of a [`TpchScan`], one partition a kept part.
#[derive(Clone, Debug)]
pub struct TpchScanExec {
    scan: Arc<TpchScan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TpchScanExec {
    /// The operator for this description, or what is wrong with it.
    pub fn try_new(scan: TpchScan) -> Result<Self> {
        scan.validate()?;
        let schema = Arc::new(scan.table.schema().project(&scan.projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(scan.parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { scan: Arc::new(scan), properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }

    /// What it generates.
    pub fn scan(&self) -> &TpchScan {
        &self.scan
    }

    /// The same scan with only its partition `partition`, which becomes partition 0: what one task needs.
    pub fn keep_partition(&self, partition: usize) -> Result<Self> {
        match self.scan.parts.get(partition) {
            Some(&part) => self.with_parts(vec![part]),
            None => plan_err!("partition {partition} of a scan of {} partitions", self.scan.parts.len()),
        }
    }

    /// The same scan with these parts of the table, ascending, from 1.
    pub fn with_parts(&self, parts: Vec<u32>) -> Result<Self> {
        Self::try_new(TpchScan { parts, ..TpchScan::clone(&self.scan) })
    }

    fn statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        let scan = &self.scan;
        let rows = match partition {
            None => scan.parts.iter().map(|&part| scan.rows_of(part)).fold(0, usize::saturating_add),
            Some(p) => match scan.parts.get(p) {
                Some(&part) => scan.rows_of(part),
                None => return internal_err!("statistics of partition {p} of {}", scan.parts.len()),
            },
        };
        let schema = self.schema();
        // Inexact, all of it: an exact number of rows would answer count(*) without generating any.
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Inexact(rows);
        statistics.total_byte_size = Precision::Inexact(rows.saturating_mul(row_width(&schema)));
        for column in &mut statistics.column_statistics {
            column.null_count = Precision::Inexact(0);
        }
        Ok(statistics)
    }
}

impl DisplayAs for TpchScanExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TpchScan { table, scale, part_count, parts, limit, .. } = &*self.scan;
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "TpchScanExec: table={table}, scale={scale}, ")?;
                if self.scan.is_whole() {
                    write!(f, "parts={part_count}")?;
                } else {
                    write!(f, "parts={parts:?} of {part_count}")?;
                }
                write!(f, ", projection={}", ProjectSchemaDisplay(&self.schema()))?;
                limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
            }
            DisplayFormatType::TreeRender => {
                writeln!(f, "table={table}")?;
                writeln!(f, "scale={scale}")?;
                writeln!(f, "parts={}", parts.len())?;
                limit.map_or(Ok(()), |limit| writeln!(f, "limit={limit}"))
            }
        }
    }
}

impl ExecutionPlan for TpchScanExec {
    fn name(&self) -> &'static str {
        "TpchScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    leaf_operator!();

    /// Cuts a whole table anew. A scan with a limit stays as it is: more partitions would only generate more rows that
    /// nobody reads.
    fn repartitioned(&self, target: usize, _config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let scan = &self.scan;
        let part_count = scan.table.worthwhile_parts(scan.scale, target);
        if !scan.is_whole() || scan.limit.is_some() || part_count == scan.part_count {
            return Ok(None);
        }
        let parts = (1..=part_count).collect();
        let cut = Self::try_new(TpchScan { part_count, parts, ..TpchScan::clone(scan) })?;
        Ok(Some(Arc::new(cut)))
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(&part) = self.scan.parts.get(partition) else {
            return internal_err!("partition {partition} of {}", self.scan.parts.len());
        };
        let generation = Generation {
            scan: Arc::clone(&self.scan),
            part,
            batches: None,
            left: self.scan.limit.unwrap_or(usize::MAX),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let stream = futures::stream::try_unfold(generation, Generation::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        self.statistics(args.partition()).map(Arc::new)
    }

    fn fetch(&self) -> Option<usize> {
        self.scan.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let scan = TpchScan { limit, ..TpchScan::clone(&self.scan) };
        Some(Arc::new(Self { scan: Arc::new(scan), metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }))
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if !all_alias_free_columns(projection.expr()) {
            return Ok(None);
        }
        let columns = new_projections_for_columns(projection.expr(), &self.scan.projection);
        let narrowed = Self::try_new(TpchScan { projection: columns, ..TpchScan::clone(&self.scan) })?;
        Ok(Some(Arc::new(narrowed)))
    }
}

/// One partition while it is being read.
struct Generation {
    scan: Arc<TpchScan>,
    part: u32,
    /// None until the first batch is asked for: a stream that is never read costs nothing.
    batches: Option<Batches>,
    /// Rows until the limit.
    left: usize,
    metrics: BaselineMetrics,
}

impl Generation {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut batches = match self.batches.take() {
            Some(batches) => {
                // A batch is milliseconds of computing, and nothing here ever waits for anything else: without this, one
                // task would keep its thread until DataFusion's budget of 128 batches is spent.
                tokio::task::yield_now().await;
                batches
            }
            None => open(Arc::clone(&self.scan), self.part).await?,
        };
        let time = self.metrics.elapsed_compute().clone();
        let timer = time.timer();
        let Some(batch) = batches.next().transpose()? else {
            return Ok(None);
        };
        let batch = batch.project(&self.scan.projection)?;
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        drop(timer);
        self.left -= batch.num_rows();
        self.metrics.record_output(batch.num_rows());
        self.batches = Some(batches);
        Ok(Some((batch, self)))
    }
}

/// Off the tasks' threads, since the first generator that needs the pool of text builds it.
async fn open(scan: Arc<TpchScan>, part: u32) -> Result<Batches> {
    tokio::task::spawn_blocking(move || rows::open(&scan, part))
        .await
        .map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))
}
