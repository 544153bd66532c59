//! The settings that plans for executors rely on, whatever a user sets.

use datafusion::common::config::ConfigOptions;

/// For a plan that runs as one instance in one task: DataFusion's own, but what cannot travel.
pub(super) fn for_one_task(settings: &mut ConfigOptions) {
    let optimizer = &mut settings.optimizer;
    // Both plan operators that have no form in which they could travel.
    optimizer.enable_piecewise_merge_join = false;
    optimizer.enable_window_topn = false;
    // Subqueries that give several rows must fail, which only the operator checks.
    optimizer.enable_physical_uncorrelated_scalar_subquery = true;
    // Tables are made for it: see `tables`.
    settings.execution.listing_table_ignore_subdirectory = true;
}

/// For a plan that is cut into stages, whose tasks each have an instance of their own.
///
/// Filters that are filled while the query runs stay on. One that both ends of which are in the same stage is right, since
/// the instance has only the partition that it runs. Of one that crosses a cut, the end that fills it finds nobody who
/// reads it and does not, and the end that reads it finds that everything passes.
pub(super) fn for_stages(settings: &mut ConfigOptions) {
    for_one_task(settings);
    let optimizer = &mut settings.optimizer;
    // Only exchanges that change where rows belong are worth a stage; tasks are what spreads work.
    optimizer.enable_round_robin_repartition = false;
    optimizer.repartition_file_scans = true;
    // Which build sides every task gets whole is for our own rule to say: it knows which joins allow it.
    optimizer.hash_join_single_partition_threshold = 0;
    optimizer.hash_join_single_partition_threshold_rows = 0;
    // An interleave wants to see the hash partitioning of its inputs, which readers do not show.
    optimizer.prefer_existing_union = true;
    // Tasks are the partitions of several plan instances: there is nobody to steal from.
    settings.execution.enable_file_stream_work_stealing = false;
}
