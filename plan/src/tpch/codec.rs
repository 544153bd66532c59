//! A scan as bytes, inside a task's payload.

use super::scale::Scale;
use super::scan::{TpchScan, TpchScanExec};
use super::table::Table;
use datafusion::common::{DataFusionError, Result};
use prost::Message;

/// The message. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
struct EncodedScan {
    #[prost(string, tag = "1")]
    table: String,
    #[prost(double, tag = "2")]
    scale: f64,
    #[prost(uint32, tag = "3")]
    part_count: u32,
    #[prost(uint32, repeated, tag = "4")]
    parts: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    projection: Vec<u32>,
    #[prost(uint64, optional, tag = "6")]
    limit: Option<u64>,
    #[prost(uint64, tag = "7")]
    batch_size: u64,
}

impl TpchScanExec {
    /// The scan as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let scan = self.scan();
        EncodedScan {
            table: scan.table.name().to_owned(),
            scale: scan.scale.factor(),
            part_count: scan.part_count,
            parts: scan.parts.clone(),
            // Below the number of columns, which TpchScan::validate has checked.
            projection: scan.projection.iter().map(|&column| column as u32).collect(),
            limit: scan.limit.map(|limit| limit as u64),
            batch_size: scan.batch_size as u64,
        }
        .encode_to_vec()
    }

    /// The scan that these bytes describe. They come from another process: all of it is checked.
    pub fn try_decode(bytes: &[u8]) -> Result<Self> {
        let message = EncodedScan::decode(bytes).map_err(|e| malformed(format_args!("it is no such message: {e}")))?;
        let table = Table::from_name(&message.table)
            .ok_or_else(|| malformed(format_args!("there is no table `{}`", message.table.escape_debug())))?;
        let scale = Scale::new(message.scale).ok_or_else(|| {
            malformed(format_args!("the scale {} is not between {} and {}", message.scale, Scale::MIN, Scale::MAX))
        })?;
        let size =
            |n: u64, what| usize::try_from(n).map_err(|_| malformed(format_args!("the {what} {n} is too large")));
        Self::try_new(TpchScan {
            table,
            scale,
            part_count: message.part_count,
            parts: message.parts,
            projection: message.projection.into_iter().map(|column| column as usize).collect(),
            limit: message.limit.map(|limit| size(limit, "limit")).transpose()?,
            batch_size: size(message.batch_size, "batch size")?,
        })
    }
}

fn malformed(what: std::fmt::Arguments<'_>) -> DataFusionError {
    DataFusionError::Plan(format!(
        "malformed tpch scan in a task's payload: {what}; driver and executor must be of the same version of Hearth"
    ))
}
