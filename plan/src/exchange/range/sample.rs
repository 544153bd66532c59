//! The operator that samples sort keys.

use super::Keys;
use crate::leaf::over_one_input;
use arrow::{
    array::{Array, ArrayRef, BinaryArray, RecordBatch, UInt32Array, UInt64Array},
    compute::take,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{Result, plan_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;
use std::{
    collections::BinaryHeap,
    fmt,
    sync::{Arc, LazyLock},
};

/// Bytes of a key that are kept. A bound need not be a whole key: the beginning of one lies in the same order.
const MAX_KEY_BYTES: usize = 512;
/// Keys that a partition's bounds are made from: Spark's 20, three times over, and some.
const ROWS_A_PARTITION: usize = 64;
/// Keys of all tasks together: with [`MAX_KEY_BYTES`] 16 MiB, which every routing task reads.
const MAX_ROWS: usize = 1 << 15;
/// Parts of a row in which a sampled key's weight is given: 10 rows of which 6 were kept are no whole number each.
const ROW: u64 = 1024;

/// How many keys each of `tasks` tasks samples for `partitions` partitions. Tasks may hold unlike numbers of rows: each
/// samples more than its share, so that the largest alone would do for rough bounds.
pub(crate) fn sample_rows(partitions: usize, tasks: usize) -> usize {
    let all = partitions.saturating_mul(ROWS_A_PARTITION).min(MAX_ROWS);
    let tasks = tasks.max(1);
    let share = (3 * all / tasks).max(ROWS_A_PARTITION);
    share.min(MAX_ROWS / tasks).max(1)
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Binary, false),
        Field::new("weight", DataType::UInt64, false),
    ]))
});

/// Gives, of each partition, a sample of its keys, with how many 1024ths of a row each stands for.
#[derive(Debug, Clone)]
pub(crate) struct RangeSampleExec {
    input: Arc<dyn ExecutionPlan>,
    keys: LexOrdering,
    rows: usize,
    properties: Arc<PlanProperties>,
}

impl RangeSampleExec {
    /// At most `rows` keys a partition.
    pub(crate) fn try_new(input: Arc<dyn ExecutionPlan>, keys: LexOrdering, rows: usize) -> Result<Self> {
        if !(1..=MAX_ROWS).contains(&rows) {
            return plan_err!("a sample of {rows} rows; 1 to {MAX_ROWS} can be");
        }
        Keys::try_new(keys.clone(), &input.schema())?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&SCHEMA)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self { input, keys, rows, properties: Arc::new(properties) })
    }

    /// The order whose keys are sampled.
    pub(crate) const fn keys(&self) -> &LexOrdering {
        &self.keys
    }

    /// How many keys a partition gives at most.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }
}

impl RangeSampleExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input, self.keys.clone(), self.rows)
    }
}

impl DisplayAs for RangeSampleExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RangeSampleExec: keys=[{}], rows={}", self.keys, self.rows)
    }
}

impl ExecutionPlan for RangeSampleExec {
    fn name(&self) -> &'static str {
        "RangeSampleExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for key in &self.keys {
            if f(&key.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    over_one_input!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let keys = Keys::try_new(self.keys.clone(), &self.input.schema())?;
        let mut batches = self.input.execute(partition, context)?;
        let mut reservoir = Reservoir { size: self.rows, seen: 0, kept: BinaryHeap::new() };
        let sample = async move {
            while let Some(batch) = batches.next().await {
                reservoir.take(&keys, &batch?)?;
            }
            reservoir.finish()
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&SCHEMA), futures::stream::once(sample))))
    }
}

/// Keeps the rows whose places have the lowest hashes: every row is as likely as every other, and which ones they are
/// depends on nothing but the order of the rows. (Every n-th row would be simpler, and wrong for rows that repeat.)
struct Reservoir {
    size: usize,
    seen: u64,
    /// The hash of a row's place, and the row's key; the highest hash on top.
    kept: BinaryHeap<(u64, Box<[u8]>)>,
}

/// The finaliser of SplitMix64, a bijection that leaves no pattern of its input.
const fn hash(place: u64) -> u64 {
    let z = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Reservoir {
    fn take(&mut self, keys: &Keys, batch: &RecordBatch) -> Result<()> {
        let full = self.kept.len() >= self.size;
        let limit = self.kept.peek().filter(|_| full).map_or(u64::MAX, |(highest, _)| *highest);
        let places = (0_u32..).zip(self.seen..self.seen + batch.num_rows() as u64);
        let (rows, hashes): (Vec<u32>, Vec<u64>) =
            places.map(|(row, place)| (row, hash(place))).filter(|(_, hash)| *hash < limit).unzip();
        self.seen += batch.num_rows() as u64;
        if rows.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from(rows);
        let columns =
            keys.columns(batch)?.iter().map(|c| Ok(take(c, &rows, None)?)).collect::<Result<Vec<ArrayRef>>>()?;
        for (hash, key) in hashes.into_iter().zip(&keys.rows(&columns)?) {
            let bytes: &[u8] = key.as_ref();
            self.kept.push((hash, bytes[..bytes.len().min(MAX_KEY_BYTES)].into()));
            if self.kept.len() > self.size {
                self.kept.pop();
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch> {
        let kept = self.kept.into_sorted_vec();
        let weight = match kept.len() as u64 {
            0 => 0,
            count => (self.seen.saturating_mul(ROW) / count).max(1),
        };
        let keys = BinaryArray::from_iter_values(kept.iter().map(|(_, key)| key));
        let weights = UInt64Array::from(vec![weight; keys.len()]);
        Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), vec![Arc::new(keys), Arc::new(weights)])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use datafusion::physical_expr::{PhysicalSortExpr, expressions::Column};

    fn keys() -> (Keys, SchemaRef) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let order = LexOrdering::new([PhysicalSortExpr::new_default(Arc::new(Column::new("n", 0)))]).unwrap();
        (Keys::try_new(order, &schema).unwrap(), schema)
    }

    fn sample(batches: impl Iterator<Item = Vec<i64>>, size: usize) -> RecordBatch {
        let (keys, schema) = keys();
        let mut reservoir = Reservoir { size, seen: 0, kept: BinaryHeap::new() };
        for rows in batches {
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(rows))]).unwrap();
            reservoir.take(&keys, &batch).unwrap();
        }
        reservoir.finish().unwrap()
    }

    fn weights(sample: &RecordBatch) -> u64 {
        sample.column(1).as_primitive::<arrow::datatypes::UInt64Type>().values().iter().sum()
    }

    #[test]
    fn few_rows_are_all_kept_and_none_give_none() {
        assert_eq!(sample(std::iter::empty(), 5).num_rows(), 0);
        let three = sample([vec![3, 1], vec![2]].into_iter(), 5);
        assert_eq!((three.num_rows(), weights(&three)), (3, 3 * ROW));
    }

    /// However rows are cut into batches; and a pattern in their order does not show in the sample.
    #[test]
    fn it_is_the_order_of_rows_alone_that_counts() {
        let rows: Vec<i64> = (0..20_000).map(|i| i % 8).collect();
        let whole = sample([rows.clone()].into_iter(), 400);
        assert_eq!(whole, sample(rows.chunks(77).map(<[i64]>::to_vec), 400));
        assert_eq!(whole.num_rows(), 400);
        let error = weights(&whole).abs_diff(20_000 * ROW);
        assert!(error < 400, "rounding loses less than a part of each kept row: {error}");
        let keys = whole.column(0).as_binary::<i32>();
        for n in 0..8_u8 {
            let count = keys.iter().filter(|key| key.is_some_and(|k| k.ends_with(&[n]))).count();
            assert!((25..=80).contains(&count), "{n} was sampled {count} times of 400, where 50 are likely");
        }
    }

    #[test]
    fn long_keys_are_cut_and_samples_are_bounded() {
        let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8, true)]));
        let order = LexOrdering::new([PhysicalSortExpr::new_default(Arc::new(Column::new("s", 0)))]).unwrap();
        let keys = Keys::try_new(order, &schema).unwrap();
        let long: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["x".repeat(1 << 20)]));
        let mut reservoir = Reservoir { size: 1, seen: 0, kept: BinaryHeap::new() };
        reservoir.take(&keys, &RecordBatch::try_new(schema, vec![long]).unwrap()).unwrap();
        assert_eq!(reservoir.kept.peek().unwrap().1.len(), MAX_KEY_BYTES);
        for (partitions, tasks) in [(1, 1), (8, 2), (200, 1000), (1_000_000, 1_000_000), (100, 40_000)] {
            let rows = sample_rows(partitions, tasks);
            assert!(rows >= 1 && rows * tasks <= MAX_ROWS.max(tasks), "{partitions} {tasks}: {rows}");
        }
        assert_eq!(sample_rows(8, 2), 768);
    }
}
