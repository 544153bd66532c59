//! How files are compressed, which DataFusion's messages of scans do not say.

use super::scan_of;
use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    datasource::{
        file_format::file_compression_type::FileCompressionType,
        physical_plan::{FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
};
use std::{collections::BTreeMap, str::FromStr, sync::Arc};

/// What a scan is known by on both sides: the first of its files. The files of one scan are compressed alike.
fn key(scan: &FileScanConfig) -> Option<String> {
    let first = scan.file_groups.iter().find_map(|group| group.files().first())?;
    Some(format!("{}{}", scan.object_store_url.as_str(), first.object_meta.location))
}

/// The compressions of a plan's scans, as far as they have one.
pub(crate) fn compressions(plan: &Arc<dyn ExecutionPlan>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // The closure never fails.
    let _ = plan.apply(|node| {
        if let Some(scan) = scan_of(node)
            && scan.file_compression_type.is_compressed()
            && let Some(key) = key(scan)
        {
            found.insert(key, scan.file_compression_type.get_variant().to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The plan with the compressions in it that a payload names.
pub(crate) fn with_compressions(
    plan: Arc<dyn ExecutionPlan>,
    named: &BTreeMap<String, String>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if named.is_empty() {
        return Ok(plan);
    }
    plan.transform_up(|node| {
        let found = scan_of(&node).and_then(|scan| Some((scan, named.get(&key(scan)?)?)));
        let Some((scan, compression)) = found else { return Ok(Transformed::no(node)) };
        let compression = FileCompressionType::from_str(compression)?;
        let scan = FileScanConfigBuilder::from(scan.clone()).with_file_compression_type(compression).build();
        Ok(Transformed::yes(DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>))
    })
    .data()
}
