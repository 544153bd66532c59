//! What people call a stage: `scan lineitem -> filter -> partial aggregate`.

use crate::{
    exchange::{ExchangeReaderExec, RangeSampleExec},
    tpch::TpchScanExec,
};
use datafusion::{
    common::JoinType,
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode},
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        limit::{GlobalLimitExec, LocalLimitExec},
        recursive_query::RecursiveQueryExec,
        scalar_subquery::ScalarSubqueryExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::UnionExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// The most characters of a name: what fits beside a progress bar, and some.
const MAX_NAME: usize = 120;

/// The tables that lie below a path of an object store.
#[derive(Clone, Debug, Default)]
pub struct TableNames(BTreeMap<String, String>);

impl TableNames {
    /// What lies at `path`, or below it, belongs to `table`.
    pub fn insert(&mut self, path: impl Into<String>, table: impl Into<String>) {
        self.0.insert(path.into(), table.into());
    }

    fn of(&self, location: &str) -> Option<&str> {
        let holds =
            |path: &str| location.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // The longest path is the nearest.
        self.0.iter().filter(|(path, _)| holds(path)).max_by_key(|(path, _)| path.len()).map(|(_, name)| name.as_str())
    }
}

/// A stage's name.
pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, tables: &TableNames) -> String {
    let name = describe(plan, tables).unwrap_or_else(|| "rows".into());
    match name.char_indices().nth(MAX_NAME - 1) {
        // The end says what the stage is for.
        Some(_) => {
            let skip = name.chars().count() - (MAX_NAME - 1);
            std::iter::once('…').chain(name.chars().skip(skip)).collect()
        }
        None => name,
    }
}

/// None when there is nothing worth saying.
fn describe(plan: &Arc<dyn ExecutionPlan>, tables: &TableNames) -> Option<String> {
    if let Some(subqueries) = plan.downcast_ref::<ScalarSubqueryExec>() {
        return describe(subqueries.input(), tables);
    }
    let below: Vec<String> = plan.children().iter().filter_map(|c| describe(c, tables)).collect();
    let below = match below.len() {
        0 => None,
        1 => below.into_iter().next(),
        _ => Some(format!("({})", below.join(", "))),
    };
    match (below, operator(plan, tables)) {
        (None, own) => own,
        (below, None) => below,
        (Some(below), Some(own)) => Some(format!("{below} -> {own}")),
    }
}

fn operator(plan: &Arc<dyn ExecutionPlan>, tables: &TableNames) -> Option<String> {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return Some(aggregate_name(*aggregate.mode()).into());
    }
    if let Some(scan) = plan.downcast_ref::<TpchScanExec>() {
        return Some(format!("scan {}", scan.scan().table));
    }
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        return Some(source_name(source, tables));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(join_name(join.join_type).into());
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return Some(sort.fetch().map_or_else(|| "sort".into(), |n| format!("top {n}")));
    }
    let fixed = if plan.is::<FilterExec>() {
        "filter"
    } else if plan.is::<ExchangeReaderExec>() {
        "exchange"
    } else if plan.is::<SortPreservingMergeExec>() {
        "merge"
    } else if plan.is::<GlobalLimitExec>() || plan.is::<LocalLimitExec>() {
        "limit"
    } else if plan.is::<UnionExec>() {
        "union"
    } else if plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>() {
        "window"
    } else if plan.is::<CrossJoinExec>() {
        "cross join"
    } else if plan.is::<NestedLoopJoinExec>() {
        "nested loop join"
    } else if plan.is::<SortMergeJoinExec>() {
        "merge join"
    } else if plan.is::<RecursiveQueryExec>() {
        "recursive query"
    } else if plan.is::<RangeSampleExec>() {
        "sample"
    } else {
        return None;
    };
    Some(fixed.into())
}

const fn aggregate_name(mode: AggregateMode) -> &'static str {
    match mode {
        AggregateMode::Partial => "partial aggregate",
        AggregateMode::PartialReduce => "merged aggregate",
        AggregateMode::Final | AggregateMode::FinalPartitioned => "final aggregate",
        AggregateMode::Single | AggregateMode::SinglePartitioned => "aggregate",
    }
}

const fn join_name(join: JoinType) -> &'static str {
    match join {
        JoinType::Inner => "join",
        JoinType::Left | JoinType::Right => "outer join",
        JoinType::Full => "full join",
        JoinType::LeftSemi | JoinType::RightSemi => "semi join",
        JoinType::LeftAnti | JoinType::RightAnti => "anti join",
        JoinType::LeftMark | JoinType::RightMark => "mark join",
    }
}

fn source_name(source: &DataSourceExec, tables: &TableNames) -> String {
    let files = source.data_source().downcast_ref::<FileScanConfig>();
    let first = files.and_then(|f| f.file_groups.iter().flat_map(|g| g.files()).next());
    match first.map(|f| f.object_meta.location.as_ref()) {
        Some(location) => {
            let file = || location.rsplit('/').next().unwrap_or(location);
            format!("scan {}", tables.of(location).unwrap_or_else(file))
        }
        None => "values".into(),
    }
}
