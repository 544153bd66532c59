//! The files that the corpus's tables lie in, made anew for every run.

use super::Script;
use crate::engine::{Engine, Failure};
use std::path::Path;

/// The tables' files in a directory, and the statements that make tables of them.
#[derive(Debug)]
pub struct Data {
    dir: tempfile::TempDir,
    /// What every engine runs first.
    pub prologue: Vec<String>,
}

impl Data {
    /// Runs the COPY statements of a script, where `$DATA` is a new directory; its other statements become the prologue.
    /// Files are written by plain DataFusion, so that what Hearth reads never depends on what Hearth writes.
    pub async fn make(tables: &Script) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure(format!("no temporary directory: {e}"));
        let dir = tempfile::Builder::new().prefix("corpus-").tempdir().map_err(failed)?;
        let here = dir.path().to_string_lossy().into_owned();
        let writer = Engine::in_process(1);
        let mut prologue = Vec::new();
        for statement in &tables.statements {
            let sql = statement.sql.replace("$DATA", &here);
            if !sql.trim_start().to_lowercase().starts_with("copy") {
                prologue.push(sql);
            } else if let Err(Failure(why)) = writer.run(&sql).await {
                return Err(Failure(format!("{}:{}: {why}", tables.name, statement.line)));
            }
        }
        Ok(Self { dir, prologue })
    }

    /// Where the files lie.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
