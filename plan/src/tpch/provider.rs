//! How SQL finds the tables: catalog, schemas, tables.

use super::scale::Scale;
use super::scan::{MAX_BATCH_ROWS, TpchScan, TpchScanExec};
use super::table::Table;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// Under what name sessions register [`catalog`].
pub const CATALOG_NAME: &str = "tpch";

/// The schemas that are listed; every other scale is there as well.
const LISTED: [&str; 6] = ["sf0_01", "sf0_1", "sf1", "sf10", "sf100", "sf1000"];

/// The catalog of all TPC-H databases.
pub fn catalog() -> Arc<dyn CatalogProvider> {
    Arc::new(TpchCatalog)
}

#[derive(Debug)]
struct TpchCatalog;

impl CatalogProvider for TpchCatalog {
    fn schema_names(&self) -> Vec<String> {
        LISTED.map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Scale::from_schema_name(name).map(|scale| Arc::new(TpchSchema { scale }) as _)
    }
}

#[derive(Debug)]
struct TpchSchema {
    scale: Scale,
}

#[async_trait]
impl SchemaProvider for TpchSchema {
    fn table_names(&self) -> Vec<String> {
        Table::ALL.map(|table| table.name().to_owned()).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(Table::from_name(name).map(|table| Arc::new(TpchTable { table, scale: self.scale }) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        Table::from_name(name).is_some()
    }
}

#[derive(Debug)]
struct TpchTable {
    table: Table,
    scale: Scale,
}

#[async_trait]
impl TableProvider for TpchTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let target_partitions = session.config().target_partitions();
        let part_count = self.table.worthwhile_parts(self.scale, target_partitions);
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema().fields().len()).collect(),
        };
        let scan = TpchScan {
            table: self.table,
            scale: self.scale,
            part_count,
            parts: (1..=part_count).collect(),
            projection,
            limit,
            batch_size: session.config().batch_size().clamp(1, MAX_BATCH_ROWS),
        };
        Ok(Arc::new(TpchScanExec::try_new(scan)?))
    }
}
