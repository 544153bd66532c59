//! Hearth, as a program links it.

use super::Answered;
use crate::{
    failure::{Doing, Failure},
    protocol::Setup,
};
use hearth::{Conf, Context, QueryRun};
use std::{
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

pub(super) struct Hearth {
    pub(super) context: Context,
}

/// When a query had come how far.
struct Times {
    /// Its stages were with the driver.
    submitted: Duration,
    /// Its first rows were there.
    first_rows: Duration,
    /// All of them were.
    all: Duration,
}

impl Hearth {
    pub(super) async fn connect(setup: &Setup) -> Result<Self, Failure> {
        let conf = Conf::from_pairs(setup.conf.iter().map(|(key, value)| (key, value))).doing("the configuration")?;
        let context = Context::connect(conf).await.doing("connect")?;
        let dir = setup.tables.first().and_then(|table| table.parent()).unwrap_or(Path::new("."));
        context.register_tables(dir).await.doing(dir.display())?;
        Ok(Self { context })
    }

    pub(super) async fn run(&self, sql: &str) -> Result<Answered, Failure> {
        let begun = Instant::now();
        let query = self.context.sql(sql).await.doing("the query")?;
        let submitted = begun.elapsed();
        let schema = query.schema();
        // All rows are held, as plain DataFusion's are.
        let mut query = query.bounded();
        let mut batches = Vec::new();
        let mut first_rows = None;
        while let Some(batch) = query.next().await {
            batches.push(batch.doing("the query")?);
            first_rows.get_or_insert_with(|| begun.elapsed());
        }
        let all = begun.elapsed();
        let times = Times { submitted, first_rows: first_rows.unwrap_or(all), all };
        let detail = detail(&query, begun, &times);
        Ok(Answered { schema, batches, seconds: all.as_secs_f64(), detail })
    }
}

fn detail(query: &QueryRun, begun: Instant, times: &Times) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut text = String::new();
    let Times { submitted, first_rows, all } = times;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  planning and submitting {:9.1} ms", ms(*submitted));
    let _ = writeln!(text, "  until the first rows    {:9.1} ms", ms(*first_rows - *submitted));
    let _ = writeln!(text, "  until the last          {:9.1} ms", ms(*all - *first_rows));
    let _ = writeln!(text, "  together                {:9.1} ms", ms(*all));
    for stage in query.stages() {
        let start = ms(stage.begun.saturating_duration_since(begun));
        let _ = writeln!(
            text,
            "  stage {:<3} begun at {start:8.1} ms, took {:8.1} ms, {} tasks: {}",
            stage.id.to_string(),
            ms(stage.elapsed),
            stage.tasks,
            stage.name
        );
    }
    text
}
