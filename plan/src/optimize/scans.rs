//! Large scans become many tasks.
//!
//! DataFusion splits a scan into as many groups as it has threads, which then help one another out. Tasks cannot: where
//! there are more of them than slots, whoever is done early takes the next one. So a scan is split as Spark does it, by
//! bytes, once it is so large that the cost of a task is nothing beside its work.

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::ExecutionPlan,
};
use std::sync::Arc;

/// The most tasks that a scan is split into: at 128 MiB each that is a terabyte, and beyond it tasks may be larger.
const MAX_SPLITS: u64 = 10_000;

/// How large scans are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanSplit {
    /// Bytes of files that a task reads at most, as they lie on disk (`spark.sql.files.maxPartitionBytes`).
    pub max_partition_bytes: u64,
    /// What opening a file costs, in bytes that could be read meanwhile (`spark.sql.files.openCostInBytes`).
    pub open_cost_bytes: u64,
}

impl Default for ScanSplit {
    /// Spark's.
    fn default() -> Self {
        Self { max_partition_bytes: 128 << 20, open_cost_bytes: 4 << 20 }
    }
}

/// The rule.
#[derive(Debug)]
pub(super) struct SplitScans {
    split: ScanSplit,
}

impl SplitScans {
    pub(super) const fn new(split: ScanSplit) -> Self {
        Self { split }
    }

    /// How many tasks a scan is worth; nothing when it is not to be split further.
    fn wanted(&self, scan: &FileScanConfig) -> Option<usize> {
        let groups = scan.file_groups.len();
        // What has one partition may be read in order, or by an operator that relies on there being one. With a limit, more
        // tasks only read more rows that nobody wants.
        if groups <= 1 || scan.limit.is_some() {
            return None;
        }
        let pieces = scan.file_groups.iter().flat_map(|group| group.iter());
        let cost = pieces.fold(0_u64, |sum, piece| {
            // A file that is split already counts once.
            let is_first = piece.range.as_ref().is_none_or(|range| range.start == 0);
            let open = if is_first { self.split.open_cost_bytes } else { 0 };
            sum.saturating_add(piece.effective_size()).saturating_add(open)
        });
        let wanted = cost.div_ceil(self.split.max_partition_bytes.max(1)).min(MAX_SPLITS);
        usize::try_from(wanted).ok().filter(|wanted| *wanted > groups)
    }

    fn split(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
        let scan = plan.downcast_ref::<DataSourceExec>();
        let files = scan.and_then(|source| source.data_source().downcast_ref::<FileScanConfig>());
        let Some(wanted) = files.and_then(|files| self.wanted(files)) else { return Ok(Transformed::no(plan)) };
        Ok(match plan.repartitioned(wanted, config)? {
            Some(split) => Transformed::yes(split),
            // Compressed text, say.
            None => Transformed::no(plan),
        })
    }
}

impl PhysicalOptimizerRule for SplitScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| self.split(node, config)).data()
    }

    fn name(&self) -> &'static str {
        "split_scans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
