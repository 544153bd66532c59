//! An engine as the `sqllogictest` crate wants to see one.

use super::text::{Letter, letters, rows};
use crate::engine::{Engine, Failure};
use async_trait::async_trait;
use hearth::Conf;
use sqllogictest::{AsyncDB, DBOutput};
use std::time::Duration;
use tokio::time::timeout;

/// How to start an engine.
#[derive(Clone, Debug)]
pub enum Start {
    /// Plain DataFusion in this process, with so many partitions.
    DataFusion(usize),
    /// Hearth as configured.
    Hearth(Box<Conf>),
}

impl Start {
    /// A new session.
    pub async fn engine(&self) -> Result<Engine, Failure> {
        match self {
            Self::DataFusion(partitions) => Ok(Engine::in_process(*partitions)),
            Self::Hearth(conf) => Engine::connect((**conf).clone()).await,
        }
    }
}

/// A session that a file's records run in.
#[derive(Debug)]
pub struct Db {
    /// Until it is shut down.
    engine: Option<Engine>,
    patience: Duration,
}

impl Db {
    /// In a new session; a statement may take as long as `patience`.
    pub async fn start(start: Start, patience: Duration) -> Result<Self, Failure> {
        Ok(Self { engine: Some(start.engine().await?), patience })
    }
}

#[async_trait]
impl AsyncDB for Db {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        let engine = self.engine.as_ref().ok_or_else(|| Failure("the session is over".into()))?;
        let answer = timeout(self.patience, engine.run(sql)).await;
        let answer = answer.map_err(|_| Failure(format!("no answer in {:?}", self.patience)))??;
        let types = letters(&answer.schema);
        let rows = rows(&answer.batches).map_err(|e| Failure(e.to_string()))?;
        // Statements such as CREATE have neither.
        Ok(match types.is_empty() && rows.is_empty() {
            true => DBOutput::StatementComplete(0),
            false => DBOutput::Rows { types, rows },
        })
    }

    async fn shutdown(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
    }

    /// DataFusion's files ask for it with this name, where engines differ; Hearth's SQL is DataFusion's.
    fn engine_name(&self) -> &'static str {
        "DataFusion"
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn run_command(command: std::process::Command) -> std::io::Result<std::process::Output> {
        tokio::process::Command::from(command).output().await
    }
}
