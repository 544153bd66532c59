//! Why a statement cannot be planned.

use datafusion::{
    common::{DataFusionError, Diagnostic},
    sql::sqlparser::parser::ParserError,
};
use std::path::PathBuf;

use crate::{failure::plain, store::StoreError};

/// Why a statement, or a table, cannot be used. Each is for people, and says what to do next where that is known.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The text is not SQL.
    #[error("{0}")]
    Syntax(String),
    /// It is SQL, but names or types do not fit.
    #[error("{0}")]
    Query(String),
    /// It is fine, and cannot be run here.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// A table's file or folder.
    #[error("{}: {message}", path.display())]
    Input {
        /// Which.
        path: PathBuf,
        /// What was expected of it.
        message: String,
    },
    /// What its tasks compute does not fit into a message.
    #[error(
        "stage {stage} takes {bytes} bytes to describe, over the limit of {limit}: rows of VALUES and of tables in memory \
         travel inside it; put large ones into a file and register that"
    )]
    TooLarge {
        /// What the stage is called.
        stage: String,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// It is nested deeper than the threads that plan and run it have stacks for.
    #[error(
        "the statement is nested too deeply: {levels} levels, where {limit} can be; write long chains of OR as IN, chains of \
         UNION as several statements, or keep what is inside in a table first"
    )]
    TooDeep {
        /// How many levels it may have.
        levels: usize,
        /// How many there may be.
        limit: usize,
    },
    /// It has more words and signs than planning can work through.
    #[error(
        "the statement is too long: {tokens} words and signs, where {limit} can be; put long lists into a file, register \
         that as a table, and join with it"
    )]
    TooLong {
        /// How many it has.
        tokens: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A mistake of ours or of DataFusion's.
    #[error("internal error: {0}; please report this with the query")]
    Internal(String),
}

impl PlanError {
    pub(crate) fn input(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Input { path: path.into(), message: message.into() }
    }

    pub(crate) const fn too_deep(levels: usize, limit: usize) -> Self {
        Self::TooDeep { levels, limit }
    }
}

impl From<DataFusionError> for PlanError {
    fn from(error: DataFusionError) -> Self {
        if let Some(store) = StoreError::find(&error) {
            return Self::Query(store.to_string());
        }
        let text = describe(&error);
        match error.find_root() {
            DataFusionError::SQL(..) => Self::Syntax(text),
            DataFusionError::NotImplemented(what) => Self::Unsupported(what_is_missing(what).to_owned()),
            DataFusionError::Internal(_) => Self::Internal(text),
            _ => Self::Query(text),
        }
    }
}

/// What DataFusion says is not supported, without its saying so: we do.
fn what_is_missing(message: &str) -> &str {
    let message = message.trim_end_matches('.');
    let said = [" is not supported yet", " is not supported", " not supported yet", " not supported"];
    said.iter().find_map(|said| message.strip_suffix(said)).unwrap_or(message)
}

/// The message, with the position and the hints of its diagnostic, as far as the message lacks them.
fn describe(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Diagnostic(_, inner) => with_diagnostic(describe(inner), error.diagnostic()),
        DataFusionError::Context(_, inner) => describe(inner),
        DataFusionError::Shared(inner) => describe(inner),
        DataFusionError::SQL(parser, _) => {
            if matches!(**parser, ParserError::RecursionLimitExceeded) {
                return "the statement is nested too deeply: too many parentheses, subqueries or CASE in one another"
                    .into();
            }
            let message = parser.to_string();
            format!("syntax error: {}", message.strip_prefix("sql parser error: ").unwrap_or(&message))
        }
        DataFusionError::Collection(errors) => errors.iter().map(describe).collect::<Vec<_>>().join("; "),
        other => plain(&other.strip_backtrace()).to_owned(),
    }
}

fn with_diagnostic(mut message: String, diagnostic: Option<&Diagnostic>) -> String {
    let Some(diagnostic) = diagnostic else { return message };
    if let Some(span) = diagnostic.span {
        message.push_str(&format!(" at Line: {}, Column: {}", span.start.line, span.start.column));
    }
    let hints = diagnostic.notes.iter().map(|n| &n.message).chain(diagnostic.helps.iter().map(|h| &h.message));
    for hint in hints {
        if !message.contains(hint.as_str()) {
            message.push_str("; ");
            message.push_str(hint);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_said_once() {
        for said in ["Deregistering new schemas is not supported", "Deregistering new schemas not supported yet."] {
            let error = PlanError::from(DataFusionError::NotImplemented(said.into()));
            assert_eq!(error.to_string(), "Deregistering new schemas is not supported yet");
        }
        let error = PlanError::from(DataFusionError::NotImplemented("UNBOUNDED tables".into()));
        assert_eq!(error.to_string(), "UNBOUNDED tables is not supported yet");
    }
}
