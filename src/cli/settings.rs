//! Configuration as every command takes it.

use super::{Failure, flags};
use hearth_core::conf::{Conf, Layers};
use std::path::PathBuf;

/// Where configuration comes from, beside a command's own flags.
#[derive(Debug, clap::Args)]
#[group(id = "settings")]
pub(crate) struct Args {
    /// A configuration key; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = flags::pair)]
    conf: Vec<(String, String)>,
    /// A file of configuration keys, one `key value` a line. Default: conf/hearth-defaults.conf, when it is there.
    #[arg(long, value_name = "FILE")]
    properties_file: Option<PathBuf>,
}

impl Args {
    /// The configuration, with a flag above `--conf` above the properties file above the defaults. Logs each warning once.
    pub(crate) fn load(&self, flags: Vec<(String, String)>) -> Result<Conf, Failure> {
        let layers = Layers {
            defaults_file: Some(defaults_file()),
            properties_file: self.properties_file.clone(),
            conf: self.conf.clone(),
            flags,
        };
        let (conf, warnings) = layers.build().map_err(Failure::usage)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let set: Vec<_> = conf.public_pairs().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        if !set.is_empty() {
            tracing::info!("configuration: {}", set.join(" "));
        }
        Ok(conf)
    }
}

fn defaults_file() -> PathBuf {
    let dir = std::env::var_os("HEARTH_CONF_DIR").map_or_else(|| "conf".into(), PathBuf::from);
    dir.join("hearth-defaults.conf")
}
