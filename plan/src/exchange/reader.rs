//! The operator that reads an exchange.

use super::{BlockDecoder, Blocks, Maps, Properties, Selection};
use crate::leaf::leaf_operator;
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{DataFusionError, Result, internal_datafusion_err, plan_err},
    execution::TaskContext,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
        coop::cooperative,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use hearth_core::{messages::task::TaskFailure, stage::MAX_PARTITIONS};
use std::{fmt, sync::Arc};

/// Which blocks a partition reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// Partition `p` reads block `p` of every map, in map order.
    Partition,
    /// Partition `m` reads the only block of map `m`.
    PerMap,
    /// The one partition reads the only block of every map, in map order.
    All,
}

/// Reads what the tasks of another stage wrote.
#[derive(Clone, Debug)]
pub struct ExchangeReaderExec {
    input: usize,
    mode: ReadMode,
    /// The exchange's partition that is this operator's partition 0.
    first: u32,
    known: Properties,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ExchangeReaderExec {
    /// Reads all `partitions` of input `input`.
    pub fn try_new(
        input: usize,
        mode: ReadMode,
        partitions: u32,
        schema: SchemaRef,
        known: Properties,
    ) -> Result<Self> {
        if !(1..=MAX_PARTITIONS).contains(&partitions) || (mode == ReadMode::All && partitions != 1) {
            return plan_err!("an exchange cannot be read in mode {mode:?} by {partitions} partitions");
        }
        Self::build(input, mode, 0, partitions, &schema, known)
    }

    fn build(
        input: usize,
        mode: ReadMode,
        first: u32,
        partitions: u32,
        schema: &SchemaRef,
        known: Properties,
    ) -> Result<Self> {
        let properties = PlanProperties::new(
            known.to_datafusion(schema)?,
            Partitioning::UnknownPartitioning(partitions as usize),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, mode, first, known, properties: Arc::new(properties), metrics })
    }

    /// Which of its stage's inputs it reads.
    pub const fn input(&self) -> usize {
        self.input
    }

    /// Which blocks a partition reads.
    pub const fn mode(&self) -> ReadMode {
        self.mode
    }

    /// What is known of its rows.
    pub const fn known(&self) -> &Properties {
        &self.known
    }

    /// How many partitions it has.
    pub fn partitions(&self) -> u32 {
        // Made from a u32.
        self.properties.partitioning.partition_count() as u32
    }

    /// The same reader of another input.
    #[must_use]
    pub fn with_input(&self, input: usize) -> Self {
        Self { input, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    /// The same reader with only its partition `partition`, which becomes partition 0.
    pub fn keep_partition(&self, partition: usize) -> Result<Self> {
        let first = u32::try_from(partition).ok().filter(|p| *p < self.partitions());
        match first {
            Some(p) => Self::build(self.input, self.mode, self.first + p, 1, &self.schema(), self.known.clone()),
            None => plan_err!("partition {partition} of an exchange of {} partitions", self.partitions()),
        }
    }

    fn selection(&self, partition: usize) -> Result<Selection> {
        let partition = match u32::try_from(partition) {
            Ok(p) if p < self.partitions() => self.first + p,
            _ => return plan_err!("partition {partition} of an exchange of {} partitions", self.partitions()),
        };
        Ok(match self.mode {
            ReadMode::Partition => Selection { reduce: partition, maps: Maps::All },
            ReadMode::PerMap => Selection { reduce: 0, maps: Maps::One(partition) },
            ReadMode::All => Selection { reduce: 0, maps: Maps::All },
        })
    }
}

impl DisplayAs for ExchangeReaderExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            ReadMode::Partition => "partition",
            ReadMode::PerMap => "per map",
            ReadMode::All => "all",
        };
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ExchangeReaderExec: input={}, mode={mode}, partitions={}", self.input, self.partitions())
            }
            DisplayFormatType::TreeRender => writeln!(f, "input={}\nmode={mode}", self.input),
        }
    }
}

/// A task's failure on its way through DataFusion, where [`crate::failure_of`] finds it again.
pub(crate) fn travelling(failure: TaskFailure) -> DataFusionError {
    DataFusionError::External(Box::new(failure))
}

impl ExecutionPlan for ExchangeReaderExec {
    fn name(&self) -> &'static str {
        "ExchangeReaderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    leaf_operator!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let selection = self.selection(partition)?;
        let source = context
            .session_config()
            .get_extension::<Blocks>()
            .ok_or_else(|| internal_datafusion_err!("an exchange is read outside of a task"))?;
        let schema = self.schema();
        let expected = Arc::clone(&schema);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = source
            .0
            .read(self.input, selection)
            .map_ok(move |block| stream::iter(BlockDecoder::new(block, Some(Arc::clone(&expected)))))
            .try_flatten()
            .map(move |batch| batch.map_err(travelling).record_output(&metrics));
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, batches))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
