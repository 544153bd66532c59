//! `SET`, `RESET` and `SHOW` of keys that begin with `spark.` or `hearth.`.

use hearth_core::conf::{
    Conf, ConfError, keys,
    secret::{REDACTED, is_secret},
};
use hearth_plan::{PlanError, Variable};

/// The configuration of a session, as it began and as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    initial: Conf,
    now: Conf,
}

/// What a statement asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Statements are planned by another configuration from here on.
    Changed(Conf),
    /// These are to be shown.
    Rows(Vec<(String, String)>),
    /// These are to be shown beside those of the query engine.
    RowsToo(Vec<(String, String)>),
}

impl Variables {
    pub(super) fn new(conf: Conf) -> Self {
        Self { initial: conf.clone(), now: conf }
    }

    /// What a statement asks for; nothing when it is not about one of these keys.
    pub(super) fn answer(&self, variable: &Variable) -> Result<Option<Answer>, PlanError> {
        match variable {
            Variable::Set(name, value) if is_ours(name) => {
                let key = changeable(name)?;
                let mut conf = self.now.clone();
                conf.set(key, value).map_err(refused)?;
                conf.check_together().map_err(refused)?;
                Ok(Some(Answer::Changed(conf)))
            }
            Variable::Reset(name) if is_ours(name) => {
                let key = changeable(name)?;
                let others = self.now.pairs().iter().filter(|(k, _)| *k != key);
                let initial = self.initial.pairs().iter().filter(|(k, _)| *k == key);
                Ok(Some(Answer::Changed(Conf::from_pairs(others.chain(initial)).map_err(refused)?)))
            }
            Variable::Show(name) if is_ours(name) => {
                let entry = keys::all().find(|entry| entry.name.eq_ignore_ascii_case(name));
                let key = entry.map_or(name.as_str(), |entry| entry.name);
                let set = self.now.pairs().get(key).cloned();
                match set.or_else(|| entry.map(|entry| entry.default.to_owned())) {
                    Some(value) => Ok(Some(Answer::Rows(vec![(key.to_owned(), shown(key, &value))]))),
                    None => Err(unknown(name)),
                }
            }
            Variable::ShowAll => {
                let defaults = keys::all().map(|entry| (entry.name.to_owned(), entry.default.to_owned()));
                let mut all: std::collections::BTreeMap<_, _> = defaults.collect();
                all.extend(self.now.pairs().clone());
                let rows = all.into_iter().map(|(key, value)| (key.clone(), shown(&key, &value)));
                Ok(Some(Answer::RowsToo(rows.collect())))
            }
            Variable::Set(..) | Variable::Reset(_) | Variable::Show(_) => Ok(None),
        }
    }

    /// The pool that statements take slots from.
    pub(super) fn pool(&self) -> String {
        self.now.get(&keys::SCHEDULER_POOL)
    }

    /// Goes on with a changed configuration.
    pub(super) fn take(&mut self, conf: Conf) {
        self.now = conf;
    }
}

fn is_ours(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("spark.") || lower.starts_with("hearth.")
}

/// The key of a name, if statements may change it. Everything else was read, or said to the master and the executors, when
/// the application began.
fn changeable(name: &str) -> Result<&'static str, PlanError> {
    let entry = keys::all().find(|entry| entry.name.eq_ignore_ascii_case(name)).ok_or_else(|| unknown(name))?;
    let key = entry.name;
    if entry.per_statement {
        return Ok(key);
    }
    Err(PlanError::Query(format!("{key} is fixed when the application begins; give it then, as in --conf {key}=VALUE")))
}

fn unknown(name: &str) -> PlanError {
    PlanError::Query(ConfError::unknown(name).to_string())
}

fn refused(error: ConfError) -> PlanError {
    PlanError::Query(error.to_string())
}

/// A value, unless its key says that it is a secret.
fn shown(key: &str, value: &str) -> String {
    if is_secret(key) { REDACTED.into() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables::new(Conf::from_pairs([("spark.sql.shuffle.partitions", "7"), ("spark.x.password", "p")]).unwrap())
    }

    fn set(name: &str, value: &str) -> Result<Option<Answer>, String> {
        variables().answer(&Variable::Set(name.into(), value.into())).map_err(|e| e.to_string())
    }

    #[test]
    fn planning_can_be_changed_and_reset() {
        let mut variables = variables();
        let set = Variable::Set("SPARK.sql.shuffle.partitions".into(), "3".into());
        let Some(Answer::Changed(conf)) = variables.answer(&set).unwrap() else { panic!("a change") };
        assert_eq!(conf.pairs()["spark.sql.shuffle.partitions"], "3");
        variables.take(conf);
        let show = Variable::Show("spark.sql.shuffle.partitions".into());
        let row = |value: &str| Some(Answer::Rows(vec![("spark.sql.shuffle.partitions".into(), value.into())]));
        assert_eq!(variables.answer(&show).unwrap(), row("3"));
        let reset = Variable::Reset("spark.sql.shuffle.partitions".into());
        let Some(Answer::Changed(conf)) = variables.answer(&reset).unwrap() else { panic!("a change") };
        variables.take(conf);
        assert_eq!(variables.answer(&show).unwrap(), row("7"));
    }

    #[test]
    fn what_cannot_be_set_says_why() {
        for (key, value) in [("spark.executor.memory", "2g"), ("spark.sql.warehouse.dir", "/data")] {
            let error = set(key, value).unwrap_err();
            assert!(error.starts_with(&format!("{key} is fixed when the application begins")), "{error}");
        }
        let error = set("spark.sql.shufle.partitions", "2").unwrap_err();
        assert!(error.ends_with("did you mean spark.sql.shuffle.partitions?"), "{error}");
        let error = set("hearth.sql.batchSize", "none").unwrap_err();
        assert!(error.starts_with("hearth.sql.batchSize=\"none\": expected"), "{error}");
        assert_eq!(set("datafusion.execution.batch_size", "1"), Ok(None));
    }

    #[test]
    fn secrets_are_not_shown() {
        let Some(Answer::RowsToo(rows)) = variables().answer(&Variable::ShowAll).unwrap() else { panic!("rows") };
        assert!(rows.contains(&("spark.x.password".into(), REDACTED.into())));
        assert!(rows.contains(&("hearth.sql.batchSize".into(), "8192".into())));
    }
}
