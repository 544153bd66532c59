//! Why a master cannot start, or stopped.

use std::{io, path::PathBuf};

/// Why a master cannot start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error("port {port} on {host} is in use; choose another with {flag}")]
    PortInUse {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// The address is open to others, and nothing is authenticated yet.
    #[error(
        "{host:?} is not a loopback address: nothing is authenticated yet, so --host must be 127.0.0.1, ::1 or localhost"
    )]
    NotLoopback {
        /// The address.
        host: String,
    },
    /// It cannot be listened on.
    #[error("cannot listen on {host:?} port {port}: {source}; see --host and {flag}")]
    Listen {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// The flag that changes the port.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another master works with the state directory.
    #[error("another master uses the state directory {dir}; stop it, or choose another with --state-dir")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the state directory cannot be used.
    #[error("cannot use {path} of the state directory: {source}; see --state-dir")]
    StateDir {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal cannot be written any more: what cannot be made durable must not be promised.
    #[error("the master stopped: its journal cannot be written: {0}")]
    Journal(String),
    /// A server ended by itself.
    #[error("the master stopped: {0}")]
    Server(String),
}
