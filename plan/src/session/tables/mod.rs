//! Files as tables, whoever names them.
//!
//! ```text
//! --tables DIR ─────────directory──┐
//! CREATE EXTERNAL TABLE ─external──┼─> Wanted ──location──> roots ──files──> kind, columns ──schema──> ListingTable
//! SELECT … FROM 'path' ──────path──┘
//! ```
//!
//! What holds:
//! - One way leads to a table, so that files mean the same wherever they are named.
//! - Folders are read with their Hive partitions (`year=2026/`), not with other folders in them, unless a pattern says so
//!   (`**`). What begins with `_` or `.` is nobody's data.
//! - The files of a table have one format and one compression. Their columns are merged where types fit; a file that does
//!   not fit is named, with the column and both types.
//! - What lies in a location is listed again by each query; patterns in folders' names are expanded once. A folder may be
//!   empty, but of this machine's none may be gone.

mod catalogs;
mod check;
mod directory;
mod external;
mod files;
pub(super) mod gone;
mod kind;
mod location;
mod path;
mod schema;
mod widen;

use arrow::datatypes::{DataType, SchemaRef};
use catalogs::Catalogs;
use datafusion::{
    catalog::TableProvider,
    common::{Constraints, DataFusionError, Result, TableReference, config_err},
    datasource::listing::{ListingOptions, ListingTable, ListingTableConfig},
    execution::{SessionStateBuilder, session_state::SessionState},
    logical_expr::{Expr, SortExpr},
    prelude::SessionContext,
};
use files::Files;
use kind::Kind;
use location::{MustExist, roots};
use path::FilesByPath;
use std::{collections::HashMap, sync::Arc};

/// A session's context, which makes tables of files in our way.
pub(super) fn context(state: SessionStateBuilder) -> SessionContext {
    let mut state = state.build();
    for word in external::WORDS {
        state.table_factories_mut().insert(word.into(), Arc::new(external::Factory));
    }
    let by_path = Arc::new(FilesByPath::default());
    let catalogs = Catalogs::new(Arc::clone(state.catalog_list()), by_path.clone());
    let context = SessionContext::new_with_state(state);
    context.register_catalog_list(Arc::new(catalogs));
    let weak = context.state_weak_ref();
    by_path.serve(move || weak.upgrade().map(|state| state.read().clone()));
    context
}

/// What somebody says about a table. Everything but the locations may be left to the files.
#[derive(Debug, Default)]
struct Wanted {
    /// Paths, URLs or patterns; all in one store.
    locations: Vec<String>,
    /// The name that what is known of its files is kept under.
    name: Option<TableReference>,
    kind: Option<Kind>,
    /// Options of the format, such as `format.delimiter`.
    options: HashMap<String, String>,
    /// The columns in the files.
    schema: Option<SchemaRef>,
    /// Those in the names of folders, when they are said.
    partitions: Option<Vec<(String, DataType)>>,
    order: Vec<Vec<SortExpr>>,
    constraints: Constraints,
    defaults: HashMap<String, Expr>,
    definition: Option<String>,
}

impl Wanted {
    fn at(location: impl Into<String>) -> Self {
        Self { locations: vec![location.into()], ..Self::default() }
    }

    /// Makes the table.
    async fn table(self, state: &SessionState) -> Result<Arc<dyn TableProvider>> {
        // Who says what the columns are may mean files that come later.
        let must_exist = if self.schema.is_some() { MustExist::No } else { MustExist::Yes };
        let mut found = Vec::new();
        for location in &self.locations {
            found.extend(roots(state, location, must_exist).await?);
        }
        let Some(first) = found.first() else { return config_err!("a table has at least one location") };
        if let Some(other) = found.iter().find(|root| root.object_store() != first.object_store()) {
            return config_err!("{first} and {other}: the files of one table lie in one store");
        }
        let files = Files::list(state, &found, self.kind, self.options.get("format.compression")).await?;
        let mut options = self.options;
        let format = files.format(state, &mut options)?;
        let partitions = match self.partitions {
            Some(partitions) => partitions,
            None => files.partitions()?,
        };
        let schema = match self.schema {
            Some(schema) => schema,
            None => schema::of(state, &files, format.as_ref()).await?,
        };
        if let Some((name, _)) = partitions.iter().find(|(name, _)| schema.field_with_name(name).is_ok()) {
            let message = "is a column of the files and the name of folders too; a table can have one of them";
            return config_err!("{}: {name} {message}", files.describe());
        }
        let listing = ListingOptions::new(format)
            .with_file_extension(files.extension())
            .with_table_partition_cols(partitions)
            .with_file_sort_order(self.order);
        let roots = files.roots(self.name.as_ref())?;
        let config = ListingTableConfig::new_with_multi_paths(roots).with_listing_options(listing).with_schema(schema);
        let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
        let table = ListingTable::try_new(config)?
            .with_cache(cache)
            .with_constraints(self.constraints)
            .with_column_defaults(self.defaults)
            .with_definition(self.definition);
        Ok(Arc::new(table))
    }
}

/// An error about a file or a location.
fn wrong(what: impl std::fmt::Display, message: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!("{what}: {message}"))
}
