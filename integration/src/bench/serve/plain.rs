//! Plain DataFusion: one process, as many threads and partitions as cores, everything else as DataFusion has it.

use super::Answered;
use crate::{
    failure::{Doing, Failure},
    protocol::Setup,
};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use std::time::{Duration, Instant};

pub(super) struct Plain {
    context: SessionContext,
}

impl Plain {
    pub(super) async fn open(setup: &Setup) -> Result<Self, Failure> {
        let config = SessionConfig::new().with_target_partitions(setup.cores as usize);
        let context = SessionContext::new_with_config(config);
        for path in &setup.tables {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = path.to_string_lossy();
            context.register_parquet(&*name, &text, ParquetReadOptions::default()).await.doing(&text)?;
        }
        Ok(Self { context })
    }

    pub(super) async fn run(&self, sql: &str) -> Result<Answered, Failure> {
        let (context, sql) = (self.context.clone(), sql.to_owned());
        // On a thread of the runtime: the one that waits for lines would be one more than there are cores.
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let frame = context.sql(&sql).await?;
            let plan = frame.create_physical_plan().await?;
            let planned = begun.elapsed();
            let schema = plan.schema();
            let batches = datafusion::physical_plan::collect(plan, context.task_ctx()).await?;
            Ok((schema, batches, planned, begun.elapsed()))
        });
        let done: Result<_, datafusion::error::DataFusionError> = task.await.doing("the query's task")?;
        let (schema, batches, planned, all) = done.doing("the query")?;
        Ok(Answered { schema, batches, seconds: all.as_secs_f64(), detail: detail(planned, all) })
    }
}

fn detail(planned: Duration, all: Duration) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "  planning {:9.1} ms\n  running  {:9.1} ms\n  together {:9.1} ms\n",
        ms(planned),
        ms(all - planned),
        ms(all)
    )
}
