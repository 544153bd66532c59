//! What can be named in a statement, for whoever helps to write one.

use super::SqlSession;
use crate::text::{self, Scan};
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;

impl SqlSession {
    /// The pieces of a text, in this session's dialect.
    pub fn scan(&self, text: &str) -> Scan {
        let state = self.context.state_ref();
        let dialect = state.read().config_options().sql_parser.dialect;
        text::scan(dialect.as_ref(), text)
    }

    /// The catalog and the schema of a table that is named without.
    pub fn defaults(&self) -> (String, String) {
        let state = self.context.state_ref();
        let state = state.read();
        let defaults = &state.config_options().catalog;
        (defaults.default_catalog.clone(), defaults.default_schema.clone())
    }

    /// All catalogs, sorted.
    pub fn catalogs(&self) -> Vec<String> {
        sorted(self.context.catalog_names())
    }

    /// The schemas of a catalog, sorted. Of `tpch` those of usual scales; there are more.
    pub fn schemas(&self, catalog: &str) -> Vec<String> {
        sorted(self.context.catalog(catalog).map(|c| c.schema_names()).unwrap_or_default())
    }

    /// The tables and views of a schema, sorted.
    pub fn tables(&self, catalog: &str, schema: &str) -> Vec<String> {
        let found = self.context.catalog(catalog).and_then(|c| c.schema(schema));
        sorted(found.map(|s| s.table_names()).unwrap_or_default())
    }

    /// The columns of a table that is named by one, two or three names; none when there is no such table.
    pub async fn columns(&self, path: &[String]) -> Option<SchemaRef> {
        let table = match path {
            [table] => TableReference::bare(table.as_str()),
            [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
            [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
            _ => return None,
        };
        Some(self.context.table_provider(table).await.ok()?.schema())
    }

    /// All functions, sorted.
    pub fn functions(&self) -> Vec<String> {
        let state = self.context.state_ref();
        let state = state.read();
        let names = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        sorted(names.chain(state.window_functions().keys()).chain(state.table_functions().keys()).cloned().collect())
    }

    /// The names of all variables of `SET`, sorted.
    pub fn variables(&self) -> Vec<String> {
        let state = self.context.state_ref();
        let entries = state.read().config_options().entries();
        sorted(entries.into_iter().map(|entry| entry.key).collect())
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}
