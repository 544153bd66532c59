//! What a master's service is told when it starts.

use crate::machine::MasterOptions;
use std::path::PathBuf;

/// Options of a master's service. The defaults are the documented ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterServiceOptions {
    /// The loopback name or address to listen on.
    pub host: String,
    /// The port for workers, drivers and the command line; 0 takes a free one.
    pub port: u16,
    /// The port for HTTP; 0 takes a free one.
    pub webui_port: u16,
    /// Where the journal and the term are kept; nothing is kept without.
    pub state_dir: Option<PathBuf>,
    /// What the machine is told. Its URL and term are filled in by the service.
    pub machine: MasterOptions,
}

impl Default for MasterServiceOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 7077,
            webui_port: 8080,
            state_dir: None,
            machine: MasterOptions::default(),
        }
    }
}
