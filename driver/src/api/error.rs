//! Why a query gave no rows, or not all of them.

use crate::{machine::JobFailure, shell};
use hearth_blocks::FetchError;
use hearth_plan::{PlanError, WriteError};

/// Why a query gave no rows, or not all of them. Each is for people.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its job failed.
    #[error(transparent)]
    Job(#[from] JobFailure),
    /// What it wrote does not become visible.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The driver is not there any more.
    #[error(transparent)]
    Driver(#[from] shell::Error),
    /// A result could not be read to its end from where its task left it, and made again its rows may come in another order
    /// than those that were handed out.
    #[error("the rest of the result of partition {partition} is lost: {source}; run the query again")]
    Lost {
        /// Which partition.
        partition: u32,
        /// What happened.
        source: Box<FetchError>,
    },
    /// A result is not what its task should have written.
    #[error("the result of partition {partition} cannot be read: {message}")]
    Damaged {
        /// Which partition.
        partition: u32,
        /// What is wrong with it.
        message: String,
    },
    /// The rows would take more memory than the driver may use for rows that are held all at once.
    #[error(
        "the rows take more than {limit} bytes together, the limit of spark.driver.maxResultSize for rows that are held all at once; ask for fewer, take them as a stream (as csv, json and ndjson do), or raise the limit"
    )]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}
