//! Where a configuration comes from.

use super::{Conf, ConfError, Warning, properties};
use std::path::{Path, PathBuf};

/// The places that a configuration comes from, lowest first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// `conf/hearth-defaults.conf`; one that is not there has no keys.
    pub defaults_file: Option<PathBuf>,
    /// `--properties-file`; must be there.
    pub properties_file: Option<PathBuf>,
    /// `--conf KEY=VALUE`, in the order of the command line: the last of a key counts.
    pub conf: Vec<(String, String)>,
    /// What flags of their own say, such as `--executor-memory`.
    pub flags: Vec<(String, String)>,
}

impl Layers {
    /// The configuration, with what is worth saying about it. A bad value is an error in whichever layer it stands: one
    /// that is hidden today speaks up on the day when what hides it is removed.
    pub fn build(&self) -> Result<(Conf, Vec<Warning>), ConfError> {
        let mut conf = Conf::new();
        let mut warnings = Vec::new();
        if let Some(path) = self.defaults_file.as_deref().filter(|path| path.exists()) {
            add_file(&mut conf, &mut warnings, path)?;
        }
        if let Some(path) = &self.properties_file {
            add_file(&mut conf, &mut warnings, path)?;
        }
        for (name, value) in self.conf.iter().chain(&self.flags) {
            warnings.extend(conf.set(name, value)?);
        }
        conf.check_together()?;
        let mut said = Vec::with_capacity(warnings.len());
        for warning in warnings {
            if !said.contains(&warning) {
                said.push(warning);
            }
        }
        Ok((conf, said))
    }
}

fn add_file(conf: &mut Conf, warnings: &mut Vec<Warning>, path: &Path) -> Result<(), ConfError> {
    for line in properties::read(path)? {
        let set = conf.set(&line.name, &line.value);
        warnings.extend(set.map_err(|e| ConfError::Line {
            path: path.to_owned(),
            line: line.number,
            problem: e.to_string(),
        })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::keys;
    use std::fs;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_flag_is_above_conf_above_the_properties_file_above_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let (defaults, properties) = (dir.path().join("hearth-defaults.conf"), dir.path().join("p.conf"));
        let all = "spark.app.name L\nspark.cores.max 1\nspark.driver.port 1\nspark.task.maxFailures 1\n";
        fs::write(&defaults, all.replace('L', "defaults")).unwrap();
        fs::write(&properties, "spark.app.name properties\nspark.cores.max 2\nspark.driver.port 2\n").unwrap();
        let layers = Layers {
            defaults_file: Some(defaults),
            properties_file: Some(properties),
            conf: pairs(&[("spark.cores.max", "9"), ("spark.cores.max", "3"), ("spark.app.name", "conf")]),
            flags: pairs(&[("spark.app.name", "flag")]),
        };
        let (conf, warnings) = layers.build().unwrap();
        assert_eq!(conf.get(&keys::APP_NAME), "flag");
        assert_eq!(conf.get(&keys::CORES_MAX), Some(3));
        assert_eq!(conf.get(&keys::DRIVER_PORT), 2);
        assert_eq!(conf.get(&keys::TASK_MAX_FAILURES), 1);
        assert_eq!(warnings, []);
    }

    #[test]
    fn a_missing_defaults_file_is_none_and_a_missing_properties_file_is_an_error() {
        let missing = Some(PathBuf::from("/nonexistent/x.conf"));
        assert!(Layers { defaults_file: missing.clone(), ..Layers::default() }.build().is_ok());
        let error = Layers { properties_file: missing, ..Layers::default() }.build().unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/x.conf: "), "{error}");
    }

    #[test]
    fn an_error_in_a_file_names_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.conf");
        let build = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let layers = Layers { properties_file: Some(path.clone()), ..Layers::default() };
            layers.build().unwrap_err().to_string()
        };
        let at = path.display();
        let error = build(b"# x\nspark.executor.memory lots\n");
        assert!(error.starts_with(&format!("{at}:2: spark.executor.memory=\"lots\": expected")), "{error}");
        let error = build(b"hearth.sql.batchsize 9\n");
        assert!(error.starts_with(&format!("{at}:1: hearth.sql.batchsize is not")), "{error}");
        let error = build(b"spark.a \xff\n");
        assert!(error.starts_with(&format!("{at}: not UTF-8 at byte 8")), "{error}");
        let error = build(&vec![b'#'; (4 << 20) + 1]);
        assert!(error.starts_with(&format!("{at}: larger than 4 MiB")), "{error}");
    }

    #[test]
    fn an_unknown_key_is_warned_of_once() {
        let layers = Layers {
            conf: pairs(&[("spark.eventLog.enabled", "true"), ("spark.eventLog.enabled", "false")]),
            flags: pairs(&[("spark.eventLog.enabled", "true")]),
            ..Layers::default()
        };
        let (conf, warnings) = layers.build().unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!(conf.pairs()["spark.eventLog.enabled"], "true");
    }

    #[test]
    fn what_cannot_stand_together_is_refused() {
        let layers = Layers {
            conf: pairs(&[("spark.cores.max", "1")]),
            flags: pairs(&[("spark.executor.cores", "2")]),
            ..Layers::default()
        };
        assert!(matches!(layers.build(), Err(ConfError::Conflict { .. })));
    }
}
