//! What runs SQL, so that one text can run on two of them: plain DataFusion in this process, and Hearth anywhere.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    execution::SessionStateBuilder,
    physical_plan::collect,
    prelude::{SessionConfig, SessionContext},
};
use hearth::{ApplicationState, Conf, Context};
use std::fmt;

/// What runs SQL: one session of it.
#[derive(Debug)]
pub enum Engine {
    /// DataFusion in this process, with nothing of Hearth but the `tpch` catalog.
    DataFusion(Box<DataFusion>),
    /// Hearth, wherever `spark.master` says.
    Hearth(Box<Context>),
}

/// A session of plain DataFusion.
pub struct DataFusion(SessionContext);

impl fmt::Debug for DataFusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataFusion({})", self.0.session_id())
    }
}

/// What a statement gave.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, in order.
    pub batches: Vec<RecordBatch>,
    /// Of each stage that ran, how many tasks it had; nothing where there are no stages.
    pub tasks: Vec<u32>,
    /// Its stages for people, with how rows travelled between them; nothing where there are none.
    pub stages: String,
}

/// Why a statement gave no rows, as its engine says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Engine {
    /// Plain DataFusion with as many partitions, and the catalog and the settings that a user of Hearth finds.
    pub fn in_process(partitions: usize) -> Self {
        let config = SessionConfig::new().with_target_partitions(partitions.max(1)).with_information_schema(true);
        let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(hearth_plan::tpch::CATALOG_NAME, hearth_plan::tpch::catalog());
        Self::DataFusion(Box::new(DataFusion(context)))
    }

    /// Hearth as configured.
    pub async fn connect(conf: Conf) -> Result<Self, Failure> {
        let context = Context::connect(conf).await.map_err(|e| Failure(e.to_string()))?;
        Ok(Self::Hearth(Box::new(context)))
    }

    /// Runs one statement to its end.
    pub async fn run(&self, sql: &str) -> Result<Rows, Failure> {
        match self {
            Self::DataFusion(session) => {
                session.run(sql).await.map_err(|e| Failure(format!("DataFusion error: {}", e.strip_backtrace())))
            }
            Self::Hearth(context) => run_on_hearth(context, sql).await.map_err(|e| Failure(e.to_string())),
        }
    }

    /// Ends the session and what it started.
    pub async fn stop(self) {
        if let Self::Hearth(context) = self {
            context.stop(ApplicationState::Finished, "").await;
        }
    }
}

impl DataFusion {
    async fn run(&self, sql: &str) -> datafusion::error::Result<Rows> {
        let frame = self.0.sql(sql).await?;
        let task = frame.task_ctx();
        let plan = frame.create_physical_plan().await?;
        let schema = plan.schema();
        let batches = collect(plan, task.into()).await?;
        Ok(Rows { schema, batches, tasks: Vec::new(), stages: String::new() })
    }
}

async fn run_on_hearth(context: &Context, sql: &str) -> Result<Rows, hearth::Error> {
    let mut query = context.sql(sql).await?;
    let schema = query.schema();
    let mut batches = Vec::new();
    while let Some(batch) = query.next().await {
        batches.push(batch?);
    }
    let tasks = query.stages().iter().map(|stage| stage.tasks).collect();
    let stages = query.explain().to_owned();
    Ok(Rows { schema, batches, tasks, stages })
}
