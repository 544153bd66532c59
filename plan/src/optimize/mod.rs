//! What DataFusion's optimizer does not know: that a plan will be cut into stages, whose tasks run in several processes.
//!
//! | module | what |
//! |---|---|
//! | `broadcast` | build sides that every task gets whole, instead of both sides being moved by hash |
//! | `scans` | large scans split into more tasks |
//! | `partitions` | more partitions where one would not fit into a task's memory |
//!
//! What holds: every rule works on estimates that may be missing, and then leaves the plan as it is. None changes what a plan
//! computes. A plan that runs as one task needs none of them.

mod broadcast;
mod partitions;
mod scans;
mod size;

pub(crate) use partitions::partitions_for;
pub use scans::ScanSplit;
pub(crate) use size::{estimate, row_width};

use crate::exchange::KeepAsked;
use datafusion::physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer};
use std::sync::Arc;

/// A rule of the physical optimizer.
pub(crate) type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules, after what must happen before them.
pub(crate) fn rules_for_one_task() -> Vec<Rule> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(KeepAsked));
    rules
}

/// The same, and ours among them.
pub(crate) fn rules_for_stages(broadcast_bytes: Option<u64>, split: ScanSplit) -> Vec<Rule> {
    let mut rules = rules_for_one_task();
    if let Some(bytes) = broadcast_bytes {
        // Sides are chosen, and nothing was put between them yet.
        insert_behind(&mut rules, "join_selection", Arc::new(broadcast::BroadcastJoins::new(bytes)));
    }
    // Before that, DataFusion would split scans again; long after it, filters refer to them.
    insert_behind(&mut rules, "EnsureRequirements", Arc::new(scans::SplitScans::new(split)));
    rules
}

fn insert_behind(rules: &mut Vec<Rule>, name: &str, rule: Rule) {
    let place = rules.iter().position(|r| r.name() == name).map_or(rules.len(), |i| i + 1);
    rules.insert(place, rule);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DataFusion names its rules as it likes; ours must not silently go to the end.
    #[test]
    fn rules_stand_where_they_belong() {
        let names: Vec<_> =
            rules_for_stages(Some(1), ScanSplit::default()).iter().map(|r| r.name().to_owned()).collect();
        let behind = |name: &str| names.iter().position(|n| n == name).map(|i| names[i + 1].as_str());
        assert_eq!(behind("join_selection"), Some("broadcast_joins"));
        assert_eq!(behind("EnsureRequirements"), Some("split_scans"));
        assert!(!rules_for_stages(None, ScanSplit::default()).iter().any(|r| r.name() == "broadcast_joins"));
    }
}
