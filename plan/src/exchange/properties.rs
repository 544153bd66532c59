//! What is known of the rows an exchange gives, as far as operators above it rely on it.
//!
//! A window function refuses to be built over an input that is not known to be sorted as it needs, and an input is
//! sorted as needed also when a column is constant (`WHERE a = 5`). So orderings, equal columns and constants travel with
//! the reader. Only plain columns do: what is known of expressions is let go, which costs speed at most.

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::Result,
    physical_expr::{
        AcrossPartitions, ConstExpr, EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, expressions::Column,
    },
};
use std::sync::Arc;

/// One lexicographic ordering.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ordering {
    /// Its keys, the first one first.
    #[prost(message, repeated, tag = "1")]
    pub keys: Vec<Key>,
}

/// One key of an ordering.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Key {
    /// The column's place.
    #[prost(uint32, tag = "1")]
    pub column: u32,
    /// Largest first.
    #[prost(bool, tag = "2")]
    pub descending: bool,
    /// Nulls first.
    #[prost(bool, tag = "3")]
    pub nulls_first: bool,
}

/// Columns that are equal in every row.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Equal {
    /// Their places.
    #[prost(uint32, repeated, tag = "1")]
    pub columns: Vec<u32>,
}

/// What is known.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Properties {
    /// Every one of these holds inside a partition.
    #[prost(message, repeated, tag = "1")]
    pub orderings: Vec<Ordering>,
    /// Classes of equal columns.
    #[prost(message, repeated, tag = "2")]
    pub equal: Vec<Equal>,
    /// Columns with one value inside a partition.
    #[prost(uint32, repeated, tag = "3")]
    pub constant: Vec<u32>,
}

/// A column's place, which DataFusion holds as usize; a schema of 4 billion columns is not to be feared.
fn place(expr: &Arc<dyn PhysicalExpr>) -> Option<u32> {
    u32::try_from(expr.downcast_ref::<Column>()?.index()).ok()
}

impl Properties {
    /// What is known of the columns under these properties.
    pub fn of(known: &EquivalenceProperties) -> Self {
        let key = |sort: &PhysicalSortExpr| {
            let SortOptions { descending, nulls_first } = sort.options;
            Some(Key { column: place(&sort.expr)?, descending, nulls_first })
        };
        // A prefix of an ordering is an ordering.
        let orderings = known.oeq_class().iter().map(|o| Ordering { keys: o.iter().map_while(key).collect() });
        let equal = known.eq_group().iter().map(|class| Equal { columns: class.iter().filter_map(place).collect() });
        Self {
            orderings: orderings.filter(|o| !o.keys.is_empty()).collect(),
            equal: equal.filter(|e| e.columns.len() > 1).collect(),
            constant: known.constants().iter().filter_map(|c| place(&c.expr)).collect(),
        }
    }

    /// The same as DataFusion holds it. Fails when a place is outside the schema.
    pub fn to_datafusion(&self, schema: &SchemaRef) -> Result<EquivalenceProperties> {
        let column = |place: u32| -> Result<Arc<dyn PhysicalExpr>> {
            let index = place as usize;
            let field = schema.fields().get(index).ok_or_else(|| {
                datafusion::common::plan_datafusion_err!(
                    "an exchange of {} columns knows something of column {place}",
                    schema.fields().len()
                )
            })?;
            Ok(Arc::new(Column::new(field.name(), index)))
        };
        let mut known = EquivalenceProperties::new(Arc::clone(schema));
        for class in &self.equal {
            let mut columns = class.columns.iter().map(|c| column(*c)).collect::<Result<Vec<_>>>()?.into_iter();
            if let Some(first) = columns.next() {
                columns.try_for_each(|other| known.add_equal_conditions(Arc::clone(&first), other))?;
            }
        }
        for place in &self.constant {
            known.add_constants([ConstExpr::new(column(*place)?, AcrossPartitions::Heterogeneous)])?;
        }
        for ordering in &self.orderings {
            let keys = ordering.keys.iter().map(|key| {
                let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                Ok(PhysicalSortExpr::new(column(key.column)?, options))
            });
            known.add_ordering(keys.collect::<Result<Vec<_>>>()?);
        }
        Ok(known)
    }
}
