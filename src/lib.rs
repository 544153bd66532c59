//! Hearth, as a program links it: run SQL on a cluster, or on this machine, from Rust.
//!
//! ```no_run
//! # async fn example() -> Result<(), hearth::Error> {
//! let mut conf = hearth::Conf::new();
//! conf.set("spark.master", "local[2]")?;
//! let context = hearth::Context::connect(conf).await?;
//! let mut rows = context.sql("select count(*) from tpch.sf0_01.orders").await?;
//! while let Some(batch) = rows.next().await {
//!     assert_eq!(batch?.num_rows(), 1);
//! }
//! drop(rows);
//! context.stop(hearth::ApplicationState::Finished, "").await;
//! # Ok(())
//! # }
//! ```

pub mod client;
mod context;
mod error;
mod local;
mod scratch;

pub use client::MasterClient;
pub use context::{Context, Holdings};
pub use error::Error;
pub use hearth_core::{ApplicationState, conf::Conf};
pub use hearth_driver::{
    api::QueryRun,
    machine::{FailureCounts, Spread, StageMetrics},
    shell::StageProgress,
};
