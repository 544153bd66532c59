//! `bench serve`: one engine as a process of its own, so that its memory is its own. The first line of standard input says
//! which; see [`crate::protocol`].

mod hearth;
mod plain;
mod rows;

use crate::{
    failure::{Doing, Failure},
    protocol::{Ask, Reply, Setup},
};
use ::hearth::ApplicationState;
use datafusion::arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
};

/// What a query gave.
struct Answered {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    seconds: f64,
    detail: String,
}

enum Served {
    Hearth(Box<hearth::Hearth>),
    Plain(plain::Plain),
}

impl Served {
    async fn start(setup: &Setup) -> Result<Self, Failure> {
        match setup.engine.as_str() {
            "hearth" => Ok(Self::Hearth(Box::new(hearth::Hearth::connect(setup).await?))),
            "datafusion" => Ok(Self::Plain(plain::Plain::open(setup).await?)),
            other => Err(Failure::new(format!("no engine is called {other:?}"))),
        }
    }

    fn version(&self) -> String {
        match self {
            // The workspace has one version.
            Self::Hearth(_) => env!("CARGO_PKG_VERSION").to_owned(),
            Self::Plain(_) => datafusion::DATAFUSION_VERSION.to_owned(),
        }
    }

    async fn answer(&self, ask: &Ask) -> Result<Reply, Failure> {
        let Answered { schema, batches, seconds, detail } = match self {
            Self::Hearth(hearth) => hearth.run(&ask.sql).await?,
            Self::Plain(plain) => plain.run(&ask.sql).await?,
        };
        rows::write(&schema, &batches, &ask.out)?;
        Ok(Reply { seconds, detail: ask.detail.then_some(detail), ..Reply::default() })
    }

    async fn stop(self) {
        if let Self::Hearth(hearth) = self {
            hearth.context.stop(ApplicationState::Finished, "").await;
        }
    }
}

/// Serves until standard input ends.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let mut lines = io::stdin().lock().lines();
    let mut next = move || lines.next().transpose().doing("standard input");
    let Some(line) = next()? else { return Ok(ExitCode::SUCCESS) };
    let setup: Setup = serde_json::from_str(&line).doing("the setup")?;
    let threads = match setup.engine.as_str() {
        // As many as it may have cores: all of its work is done by them.
        "datafusion" => setup.cores as usize,
        // What `hearth sql` has: executors have threads of their own.
        _ => 2,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.doing("the runtime")?;
    let served = match runtime.block_on(Served::start(&setup)) {
        Ok(served) => served,
        Err(failure) => return say(&Reply { error: Some(failure.to_string()), ..Reply::default() }),
    };
    say(&Reply { version: served.version(), ..Reply::default() })?;
    // Between queries this thread waits for the next line, and computes nothing.
    while let Some(line) = next()? {
        let ask: Ask = serde_json::from_str(&line).doing("a query")?;
        let failed = |failure: Failure| Reply { error: Some(failure.to_string()), ..Reply::default() };
        say(&runtime.block_on(served.answer(&ask)).unwrap_or_else(failed))?;
    }
    runtime.block_on(served.stop());
    Ok(ExitCode::SUCCESS)
}

fn say(reply: &Reply) -> Result<ExitCode, Failure> {
    let line = serde_json::to_string(reply).doing("a reply")?;
    writeln!(io::stdout().lock(), "{line}").doing("standard output")?;
    Ok(ExitCode::SUCCESS)
}
