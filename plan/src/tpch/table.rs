//! The eight tables: names, columns, sizes.

use super::scale::Scale;
use arrow::datatypes::SchemaRef;
use std::fmt;
use tpchgen::generators::{CustomerGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, SupplierGenerator};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// A table of TPC-H.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Five rows at every scale.
    Region,
    /// Twenty-five rows at every scale.
    Nation,
    /// 10 000 rows at scale 1.
    Supplier,
    /// 150 000 rows at scale 1.
    Customer,
    /// 200 000 rows at scale 1.
    Part,
    /// Four rows a part.
    PartSupp,
    /// 1 500 000 rows at scale 1.
    Orders,
    /// One to seven rows an order.
    LineItem,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Region,
        Self::Nation,
        Self::Supplier,
        Self::Customer,
        Self::Part,
        Self::PartSupp,
        Self::Orders,
        Self::LineItem,
    ];

    /// Fewer rows than this are not worth a task of their own: they are generated in a few milliseconds.
    pub const MIN_ROWS_A_PART: u64 = 10_000;

    /// The table of this name, in lower case as in SQL.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Nation => "nation",
            Self::Supplier => "supplier",
            Self::Customer => "customer",
            Self::Part => "part",
            Self::PartSupp => "partsupp",
            Self::Orders => "orders",
            Self::LineItem => "lineitem",
        }
    }

    /// All columns. The last one is the comment, in every table.
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Region => RegionArrow::schema_ref(),
            Self::Nation => NationArrow::schema_ref(),
            Self::Supplier => SupplierArrow::schema_ref(),
            Self::Customer => CustomerArrow::schema_ref(),
            Self::Part => PartArrow::schema_ref(),
            Self::PartSupp => PartSuppArrow::schema_ref(),
            Self::Orders => OrderArrow::schema_ref(),
            Self::LineItem => LineItemArrow::schema_ref(),
        }
    }

    /// How many rows the whole table has; for `lineitem` the expected number.
    pub fn rows(self, scale: Scale) -> u64 {
        let s = scale.factor();
        let rows = match self {
            Self::Region => 5,
            Self::Nation => 25,
            Self::Supplier => SupplierGenerator::calculate_row_count(s, 1, 1),
            Self::Customer => CustomerGenerator::calculate_row_count(s, 1, 1),
            Self::Part => PartGenerator::calculate_row_count(s, 1, 1),
            // The generator counts the parts here, of which each has four suppliers.
            Self::PartSupp => PartSuppGenerator::calculate_row_count(s, 1, 1) * 4,
            Self::Orders => OrderGenerator::calculate_row_count(s, 1, 1),
            // One to seven lines an order, all equally likely.
            Self::LineItem => OrderGenerator::calculate_row_count(s, 1, 1) * 4,
        };
        rows.unsigned_abs()
    }

    /// About how many rows part `part` (from 1) of `part_count` has: the last one takes the remainder.
    pub fn rows_of_part(self, scale: Scale, part: u32, part_count: u32) -> u64 {
        let (rows, parts) = (self.rows(scale), u64::from(part_count));
        rows / parts + if part == part_count { rows % parts } else { 0 }
    }

    /// Into how many parts it is worth cutting the table, where `wanted` could run side by side.
    pub fn worthwhile_parts(self, scale: Scale, wanted: usize) -> u32 {
        let enough = self.rows(scale) / Self::MIN_ROWS_A_PART;
        let most = u64::from(super::MAX_PARTS).min(wanted as u64);
        u32::try_from(enough.min(most).max(1)).unwrap_or(super::MAX_PARTS)
    }

    /// Whether the table is a constant, the same at every scale.
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Region | Self::Nation)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
