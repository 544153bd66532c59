//! A source of rows in files, with guards around its readers.

use super::morsel::{GuardedMorselizer, Readers};
use datafusion::{
    common::{Result, internal_err, tree_node::TreeNodeRecursion},
    datasource::{
        physical_plan::{ArrowSource, FileOpener, FileScanConfig, FileSource},
        table_schema::TableSchema,
    },
    physical_expr::{PhysicalExpr, projection::ProjectionExprs},
    physical_plan::{DisplayFormatType, metrics::ExecutionPlanMetricsSet},
};
use datafusion_datasource::morsel::Morselizer;
use object_store::ObjectStore;
use std::{fmt, sync::Arc};

/// A source of rows in files, with guards around its readers. What plans are optimised by is not asked of it any more.
pub(super) struct Guarded {
    inner: Arc<dyn FileSource>,
}

impl Guarded {
    pub(super) fn new(inner: Arc<dyn FileSource>) -> Self {
        Self { inner }
    }

    /// A source of Arrow's stream format, for one of its file format. Payloads do not tell them apart; files do.
    fn streams(&self) -> Result<Option<Arc<dyn FileSource>>> {
        if !self.inner.is::<ArrowSource>() {
            return Ok(None);
        }
        let streams = ArrowSource::new_stream_file_source(self.inner.table_schema().clone());
        match self.inner.projection() {
            Some(projection) => streams.try_pushdown_projection(projection),
            None => Ok(Some(Arc::new(streams))),
        }
    }
}

impl FileSource for Guarded {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        internal_err!("a guarded source has morsels")
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        scan: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let readers = |source: &Arc<dyn FileSource>| -> Result<Arc<dyn Morselizer>> {
            source.create_morselizer(Arc::clone(&store), scan, partition).map(Arc::from)
        };
        let streams = self.streams()?.as_ref().map(readers).transpose()?;
        let readers = match streams {
            Some(streams) => Readers::Arrow { files: readers(&self.inner)?, streams },
            None => Readers::One(readers(&self.inner)?),
        };
        let url = scan.object_store_url.as_str();
        Ok(Box::new(GuardedMorselizer::new(readers, store, url)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self::new(self.inner.with_batch_size(batch_size)))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(format, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}
