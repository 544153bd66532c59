//! Folders of tables that are not there any more.

use crate::PlanError;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::{listing::ListingTable, source_as_provider},
    logical_expr::LogicalPlan,
};
use std::{io, path::PathBuf};

/// Refuses a plan that scans a folder of this machine which is not there. A store of objects has no folders, and so one
/// that is gone would be a table without rows.
pub(in crate::session) async fn check(plan: &LogicalPlan) -> Result<(), PlanError> {
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(listing) = provider.downcast_ref::<ListingTable>()
        {
            let roots = listing.table_paths().iter().filter(|root| root.scheme() == "file" && root.is_collection());
            let paths = roots.filter_map(|root| root.get_url().to_file_path().ok());
            folders.extend(paths.map(|path| (scan.table_name.to_string(), path)));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    folders.sort_unstable();
    folders.dedup();
    for (table, path) in folders {
        match tokio::fs::metadata(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("the folder of table {table} is not there; put it back, or drop the table");
                return Err(PlanError::input(path, message));
            }
            // Whatever else is wrong, its reader says.
            _ => {}
        }
    }
    Ok(())
}
