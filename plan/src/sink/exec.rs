//! The operator that writes.

use super::{Manifest, Spec, Writer, manifest, spec::StagingPlace, staging::StagingStore};
use crate::exchange::{conform, travelling};
use crate::leaf::over_one_input;
use arrow::{
    array::{Array, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{Result, exec_datafusion_err, internal_datafusion_err, plan_err, tree_node::TreeNodeRecursion},
    datasource::sink::DataSinkExec,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        stream::RecordBatchStreamAdapter,
    },
};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{StreamExt, TryStreamExt, future, stream};
use hearth_core::failpoint;
use std::{fmt, sync::Arc};
use url::Url;

/// Writes each partition of its input, and gives one row a partition: what was written.
#[derive(Clone, Debug)]
pub(crate) struct SinkExec {
    input: Arc<dyn ExecutionPlan>,
    /// DataFusion's sink, over no input.
    sink: Arc<dyn ExecutionPlan>,
    /// What a task makes it of, unless it has a form of its own.
    writer: Option<Writer>,
    spec: Arc<Spec>,
    /// The write's partition that is this operator's partition 0.
    first: usize,
    properties: Arc<PlanProperties>,
}

impl SinkExec {
    /// `sink` is a [`DataSinkExec`].
    pub(crate) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        (sink, writer): (Arc<dyn ExecutionPlan>, Option<Writer>),
        spec: Arc<Spec>,
        first: usize,
    ) -> Result<Self> {
        let Some(exec) = sink.downcast_ref::<DataSinkExec>() else {
            return plan_err!("a write by {}, which is no sink", sink.name());
        };
        if exec.sink().schema().fields().len() != input.schema().fields().len() {
            return plan_err!("a sink of other columns than its input");
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&manifest::SCHEMA)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { input, sink, writer, spec, first, properties: Arc::new(properties) })
    }

    /// The same operator over only partition `partition` of its input.
    pub(crate) fn keep_partition(&self, input: Arc<dyn ExecutionPlan>, partition: usize) -> Result<Self> {
        Self::try_new(
            input,
            (Arc::clone(&self.sink), self.writer.clone()),
            Arc::clone(&self.spec),
            self.first + partition,
        )
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        self.keep_partition(input, 0)
    }

    /// What a task makes the sink of; `encode` knows DataFusion's plans.
    pub(crate) fn encode_writer(
        &self,
        encode: impl FnOnce(&Arc<dyn ExecutionPlan>) -> Result<PhysicalPlanNode>,
    ) -> Result<Writer> {
        match &self.writer {
            Some(writer) => Ok(writer.clone()),
            None => Ok(Writer::Plan(Box::new(encode(&self.sink)?))),
        }
    }

    /// The URL of the object store that it writes to, if it does.
    pub(crate) fn store(&self) -> Option<Url> {
        match self.spec.staging.as_ref()? {
            StagingPlace::Objects(url) => Url::parse(url).ok(),
            StagingPlace::Folder(_) => None,
        }
    }

    /// How it writes.
    pub(crate) const fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// The write's partition that is this operator's partition 0.
    pub(crate) const fn first(&self) -> usize {
        self.first
    }

    /// The columns that it writes.
    pub(crate) fn columns(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(self.data_sink()?.sink().schema()))
    }

    fn data_sink(&self) -> Result<&DataSinkExec> {
        self.sink.downcast_ref().ok_or_else(|| internal_datafusion_err!("{} is no sink", self.sink.name()))
    }

    /// Writes one partition.
    async fn write(
        self,
        rows: SendableRecordBatchStream,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<Manifest> {
        let place = self.first + partition;
        let mut rows = rows.try_filter(|batch| future::ready(batch.num_rows() > 0)).boxed();
        let begin = rows.try_next().await?;
        // A folder of no rows still has a file that tells its columns.
        if begin.is_none() && (place > 0 || !self.spec.partition_by.is_empty()) {
            return Ok(Manifest::default());
        }
        let schema = self.columns()?;
        let rows = stream::iter(begin.map(Ok)).chain(rows);
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let store = Arc::new(StagingStore::open(&self.spec, place, &context).map_err(travelling)?);
        let written = self.data_sink()?.sink().write_all(rows, &store.context(&context)).await;
        let count = written.map_err(|e| store.cause(e))?;
        let manifest = store.finish(count).map_err(travelling)?;
        failpoint!("commit.staged", partition = place);
        Ok(manifest)
    }
}

/// Rows as the sink wants them: under its schema, without NULL where that cannot be written. DataFusion would write a
/// folder's NULL as if it were 0, or an empty text.
fn checked(batch: RecordBatch, schema: &SchemaRef, partition_by: &[String]) -> Result<RecordBatch> {
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if column.logical_null_count() == 0 {
            continue;
        }
        let name = field.name();
        if partition_by.contains(name) {
            return Err(exec_datafusion_err!(
                "NULL in column {name}, which the rows are partitioned by: no folder stands for it; replace it, as \
                 coalesce({name}, …) does, or leave such rows out"
            ));
        }
        if !field.is_nullable() {
            return Err(exec_datafusion_err!("NULL in column {name}, which is declared NOT NULL"));
        }
    }
    Ok(conform(batch, Some(schema))?)
}

impl DisplayAs for SinkExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "SinkExec: files=*{}", self.spec.suffix)?;
                if let Some(name) = &self.spec.file {
                    write!(f, ", file={name}")?;
                }
                match self.spec.partition_by.is_empty() {
                    true => Ok(()),
                    false => write!(f, ", partitioned by {}", self.spec.partition_by.join(", ")),
                }
            }
            DisplayFormatType::TreeRender => writeln!(f, "files=*{}", self.spec.suffix),
        }
    }
}

impl ExecutionPlan for SinkExec {
    fn name(&self) -> &'static str {
        "SinkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    over_one_input!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.columns()?;
        let spec = Arc::clone(&self.spec);
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let columns = Arc::clone(&schema);
        let rows = rows.map(move |batch| checked(batch?, &columns, &spec.partition_by));
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let written = self.clone().write(rows, partition, context);
        let row = stream::once(async move { written.await?.to_batch() });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), row)))
    }
}
