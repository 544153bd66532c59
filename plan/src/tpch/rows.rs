//! The generators behind a scan, and the pool of text their comments are cut from.

use super::fixed;
use super::scan::TpchScan;
use super::table::Table;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use std::sync::LazyLock;
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, OrderGenerator, PartGenerator, PartSuppGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;
use tpchgen_arrow::{CustomerArrow, LineItemArrow, OrderArrow, PartArrow, PartSuppArrow, SupplierArrow};

/// The batches of one part of a table, with all of its columns: the generators cannot leave one out.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Stands in for the pool of text where nobody reads the comments. The real pool takes a second and 300 MiB of this
/// process to build. Comments draw from random sequences of their own, so what they are cut from changes no other column.
/// Longer than the longest comment (198 bytes), short enough for a core's cache.
static ANY_TEXT: LazyLock<TextPool> = LazyLock::new(|| TextPool::new(16 * 1024, Distributions::static_default()));

/// Whether the scan reads comments that are cut from the real pool of text.
fn reads_text(scan: &TpchScan) -> bool {
    let comment = scan.table.schema().fields().len() - 1;
    !scan.table.is_fixed() && scan.projection.contains(&comment)
}

/// Starts generating one of the scan's parts. Blocks for about a second when a process first needs real comments.
pub(super) fn open(scan: &TpchScan, part: u32) -> Batches {
    let text = if reads_text(scan) { TextPool::get_or_init_default() } else { &*ANY_TEXT };
    let words = Distributions::static_default();
    // Not more rows than the limit asks for; bounded above by MAX_BATCH_ROWS.
    let rows = scan.limit.map_or(scan.batch_size, |limit| scan.batch_size.min(limit).max(1));
    // Both are at most MAX_PARTS.
    let (scale, part, of) = (scan.scale.factor(), part as i32, scan.part_count as i32);
    macro_rules! generate {
        ($arrow:ident, $generator:expr) => {
            Box::new($arrow::new($generator).with_batch_size(rows))
        };
    }
    match scan.table {
        Table::Region => Box::new(std::iter::once_with(fixed::region)),
        Table::Nation => Box::new(std::iter::once_with(fixed::nation)),
        Table::Supplier => generate!(
            SupplierArrow,
            SupplierGenerator::new_with_distributions_and_text_pool(scale, part, of, words, text)
        ),
        Table::Customer => generate!(
            CustomerArrow,
            CustomerGenerator::new_with_distributions_and_text_pool(scale, part, of, words, text)
        ),
        Table::Part => {
            generate!(PartArrow, PartGenerator::new_with_distributions_and_text_pool(scale, part, of, words, text))
        }
        Table::PartSupp => {
            generate!(PartSuppArrow, PartSuppGenerator::new_with_text_pool(scale, part, of, text))
        }
        Table::Orders => {
            generate!(OrderArrow, OrderGenerator::new_with_distributions_and_text_pool(scale, part, of, words, text))
        }
        Table::LineItem => generate!(
            LineItemArrow,
            LineItemGenerator::new_with_distributions_and_text_pool(scale, part, of, words, text)
        ),
    }
}
