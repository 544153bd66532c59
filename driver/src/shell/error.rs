//! Why a driver cannot start, or is not there any more.

use std::{io, path::PathBuf};

/// Why a driver cannot start, or is not there any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address is open to others, and nothing is authenticated yet.
    #[error(
        "{host:?} is not a loopback address: nothing is authenticated yet, so spark.driver.host and spark.driver.bindAddress must be 127.0.0.1, ::1 or localhost"
    )]
    NotLoopback {
        /// The address.
        host: String,
    },
    /// Somebody else listens there.
    #[error("port {port} on {host} is in use; choose another with spark.driver.port, or 0 for a free one")]
    PortInUse {
        /// The address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Its port cannot be had.
    #[error("the driver cannot listen on {host} port {port}: {source}; see spark.driver.host and spark.driver.port")]
    Listen {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Its pools cannot be set up.
    #[error("{file}: {reason}; see spark.scheduler.allocation.file", file = file.display())]
    Pools {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It has stopped.
    #[error("the driver has stopped; start another")]
    Stopped,
}
