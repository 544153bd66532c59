//! Catalogs in whose schemas names that are paths are tables.
//!
//! DataFusion's own (`DynamicFileCatalog`) do not let go of schemas.

use super::path::FilesByPath;
use datafusion::{
    catalog::{CatalogProvider, CatalogProviderList, DynamicFileSchemaProvider, SchemaProvider},
    common::Result,
};
use std::sync::Arc;

/// The catalogs of a session.
#[derive(Debug)]
pub(super) struct Catalogs {
    inner: Arc<dyn CatalogProviderList>,
    by_path: Arc<FilesByPath>,
}

impl Catalogs {
    pub(super) fn new(inner: Arc<dyn CatalogProviderList>, by_path: Arc<FilesByPath>) -> Self {
        Self { inner, by_path }
    }
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, name: String, catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        Some(Arc::new(Catalog { inner, by_path: Arc::clone(&self.by_path) }))
    }
}

/// One of them.
#[derive(Debug)]
struct Catalog {
    inner: Arc<dyn CatalogProvider>,
    by_path: Arc<FilesByPath>,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(DynamicFileSchemaProvider::new(inner, self.by_path.clone())))
    }

    fn register_schema(&self, name: &str, schema: Arc<dyn SchemaProvider>) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.register_schema(name, schema)
    }

    fn deregister_schema(&self, name: &str, cascade: bool) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.deregister_schema(name, cascade)
    }
}
