//! One task attempt, from its payload to its output.

use super::{
    disks::Disks,
    memory::Memory,
    output::{self, Written},
    panics,
    replicas::Replicas,
    source::ShuffleSource,
};
use hearth_blocks::Fetcher;
use hearth_core::{
    ApplicationId, Payload, PayloadHash, TaskId,
    messages::task::{BlockLocation, MapStatuses, TaskFailure, TaskLaunch, TaskMetrics, TaskOutput, TaskTarget},
};
use hearth_plan::{DecodedPayload, run_task};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Payloads that are kept decoded: a job seldom runs more stages at once. Each is some times as large as its bytes.
const DECODED: usize = 4;

/// Evaluates tasks. What they share is here.
#[derive(Debug)]
pub(super) struct Evaluator {
    pub(super) application: ApplicationId,
    /// Where outputs go.
    pub(super) outputs: Arc<Disks>,
    /// Where readers find those in the first directory.
    pub(super) location: BlockLocation,
    pub(super) fetcher: Fetcher,
    pub(super) replicas: Arc<Replicas>,
    pub(super) memory: Memory,
    pub(super) decoded: Decoded,
}

/// What the writing of one attempt's output needs to know.
pub(super) struct Attempt<'a> {
    pub(super) task: TaskId,
    pub(super) partition: u32,
    pub(super) outputs: &'a Disks,
    pub(super) location: &'a BlockLocation,
}

impl Evaluator {
    /// Runs one attempt. Dropping the future stops it and leaves nothing behind, unless it is in the middle of its commit.
    pub(super) async fn run(
        self: Arc<Self>,
        launch: TaskLaunch,
        payload: Payload,
        inputs: Vec<Arc<MapStatuses>>,
    ) -> Result<(TaskOutput, TaskMetrics), TaskFailure> {
        let result = self.evaluate(launch, payload, inputs).await;
        result.map_err(|failure| self.memory.explain(panics::locate(failure)))
    }

    async fn evaluate(
        &self,
        launch: TaskLaunch,
        payload: Payload,
        inputs: Vec<Arc<MapStatuses>>,
    ) -> Result<(TaskOutput, TaskMetrics), TaskFailure> {
        let started = Instant::now();
        let env = self.memory.env()?.with_slots(launch.slots);
        let env = if launch.thrifty { env.thrifty() } else { env };
        let decoded = self.decoded.get(&payload)?;
        let (fetcher, replicas) = (self.fetcher.clone(), self.replicas.clone());
        let source = Arc::new(ShuffleSource::new(self.application.clone(), fetcher, replicas, inputs));
        let mut run = run_task(&decoded, launch.partition, source.clone(), &env)?;
        let (outputs, location) = (&self.outputs, &self.location);
        let attempt = Attempt { task: launch.task, partition: launch.partition, outputs, location };
        let written = match launch.target {
            TaskTarget::Shuffle { shuffle, partitions } => {
                output::write_map(&mut run, (shuffle, partitions), &attempt).await?
            }
            TaskTarget::Result => output::write_result(&mut run, &attempt).await?,
        };
        let Written { output, bytes, bytes_spilled } = written;
        let of_plan = run.metrics();
        let metrics = TaskMetrics {
            bytes_written: bytes,
            bytes_read: source.bytes_read(),
            bytes_spilled: bytes_spilled + of_plan.bytes_spilled,
            run_millis: millis(started.elapsed()),
            fetch_millis: millis(source.waited()),
            ..of_plan
        };
        Ok((output, metrics))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The last payloads that were decoded, the latest at the end.
#[derive(Debug, Default)]
pub(super) struct Decoded(Mutex<Vec<(PayloadHash, Arc<DecodedPayload>)>>);

impl Decoded {
    fn get(&self, payload: &Payload) -> Result<Arc<DecodedPayload>, TaskFailure> {
        if let Some(found) = self.find(payload.hash()) {
            return Ok(found);
        }
        // Outside of the lock: two tasks may decode the same payload at once, which costs less than waiting for another.
        let decoded = Arc::new(DecodedPayload::decode(payload)?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(hash, _)| *hash != payload.hash());
        if kept.len() == DECODED {
            kept.remove(0);
        }
        kept.push((payload.hash(), decoded.clone()));
        Ok(decoded)
    }

    fn find(&self, hash: PayloadHash) -> Option<Arc<DecodedPayload>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(h, _)| *h == hash)?;
        let found = kept.remove(place);
        let decoded = found.1.clone();
        kept.push(found);
        Some(decoded)
    }
}
