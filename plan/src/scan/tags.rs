//! The tags by which stores tell one content of a file from another, which DataFusion's messages of scans do not say.

use super::scan_of;
use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    datasource::{
        physical_plan::{FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
};
use object_store::path::Path;
use std::{collections::BTreeMap, sync::Arc};

fn key(scan: &FileScanConfig, file: &Path) -> String {
    format!("{}{file}", scan.object_store_url.as_str())
}

/// The tags of the files of a plan's scans, as far as they have one. Files of this machine need none: their times are exact.
pub(crate) fn tags(plan: &Arc<dyn ExecutionPlan>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // The closure never fails.
    let _ = plan.apply(|node| {
        if let Some(scan) = scan_of(node).filter(|scan| !scan.object_store_url.as_str().starts_with("file:")) {
            for file in scan.file_groups.iter().flat_map(|group| group.iter()).map(|file| &file.object_meta) {
                if let Some(tag) = &file.e_tag {
                    found.insert(key(scan, &file.location), tag.clone());
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The plan with the tags in it that a payload has.
pub(crate) fn with_tags(
    plan: Arc<dyn ExecutionPlan>,
    tags: &BTreeMap<String, String>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if tags.is_empty() {
        return Ok(plan);
    }
    plan.transform_up(|node| {
        let Some(scan) = scan_of(&node) else { return Ok(Transformed::no(node)) };
        let mut groups = scan.file_groups.clone();
        for group in &mut groups {
            for place in 0..group.len() {
                let file = &mut group[place].object_meta;
                file.e_tag = tags.get(&key(scan, &file.location)).cloned();
            }
        }
        let scan = FileScanConfigBuilder::from(scan.clone()).with_file_groups(groups).build();
        Ok(Transformed::yes(DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use datafusion::{
        datasource::{
            listing::PartitionedFile,
            physical_plan::{ArrowSource, FileGroup},
        },
        execution::object_store::ObjectStoreUrl,
    };

    fn scan(store: &str, files: &[(&str, Option<&str>)]) -> Arc<dyn ExecutionPlan> {
        let group = files.iter().map(|(name, tag)| {
            let mut file = PartitionedFile::new(*name, 7);
            file.object_meta.e_tag = tag.map(str::to_owned);
            file
        });
        let source = Arc::new(ArrowSource::new_file_source(Arc::new(Schema::empty())));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::parse(store).unwrap(), source);
        DataSourceExec::from_data_source(scan.with_file_group(group.collect::<FileGroup>()).build())
    }

    #[test]
    fn what_the_encoding_forgets_comes_back() {
        let planned = scan("s3://b", &[("x/1", Some("a")), ("x/2", None), ("x/1", Some("a"))]);
        let found = tags(&planned);
        assert_eq!(found, BTreeMap::from([("s3://b/x/1".to_owned(), "a".to_owned())]));
        let decoded = scan("s3://b", &[("x/1", None), ("x/2", None), ("x/1", None)]);
        let restored = with_tags(decoded, &found).unwrap();
        assert_eq!(tags(&restored), found);
        let groups = &scan_of(&restored).unwrap().file_groups;
        let restored: Vec<_> = groups[0].iter().map(|file| file.object_meta.e_tag.as_deref()).collect();
        assert_eq!(restored, [Some("a"), None, Some("a")]);
        assert_eq!(tags(&scan("file://", &[("x/1", Some("a"))])), BTreeMap::new());
    }
}
