//! Synthetic applications: what they ask for, and jobs whose tasks compute nothing.

use bytes::Bytes;
use hearth_core::{
    Determinism, Edge, Exchange, Payload, StageGraph, StageNode, TaskId,
    messages::{application::ApplicationSpec, task::*},
};
use std::time::Duration;

/// One application of a simulation.
#[derive(Clone, Debug)]
pub struct Application {
    /// When its driver starts.
    pub starts: Duration,
    /// Cores of one executor.
    pub cores_per_executor: Option<u32>,
    /// Cores in all.
    pub max_cores: Option<u32>,
    /// Memory of one executor.
    pub memory_mib: u64,
    /// Its jobs, one after the other.
    pub jobs: Vec<StageGraph>,
}

impl Application {
    /// What its driver tells the master.
    pub fn spec(&self, place: usize) -> ApplicationSpec {
        ApplicationSpec {
            version: hearth_core::messages::VERSION.into(),
            name: format!("simulated-{place}"),
            user: "sim".into(),
            driver_url: format!("sim://{place}"),
            cores_per_executor: self.cores_per_executor,
            memory_per_executor_mib: self.memory_mib,
            max_cores: self.max_cores,
            max_executors: None,
            conf: Default::default(),
        }
    }
}

/// A job of a map stage and a result stage.
pub fn two_stages(name: &str, maps: u32, results: u32) -> StageGraph {
    let node = |stage: &str, tasks, inputs, output_partitions| StageNode {
        name: stage.into(),
        tasks,
        slots: 1,
        inputs,
        output_partitions,
        payload: Payload::new(format!("{name} {stage}")),
        determinism: Determinism::Determinate,
    };
    let map = node("map", maps, vec![], results);
    let result = node("result", results, vec![Edge { from: 0, exchange: Exchange::Hash }], 1);
    StageGraph { stages: vec![map, result] }
}

/// What a synthetic task gives. A result names the map outputs that it read, so that a checker can tell right from wrong.
pub(super) fn output(
    launch: &TaskLaunch,
    inputs: &[std::sync::Arc<MapStatuses>],
    location: BlockLocation,
) -> TaskOutput {
    match launch.target {
        TaskTarget::Shuffle { partitions, .. } => TaskOutput::Map(MapStatus {
            partition: launch.partition,
            task: launch.task,
            location,
            sizes: vec![u64::from(launch.partition) + 1; partitions as usize],
            checksum: None,
        }),
        TaskTarget::Result => {
            let read: u64 = inputs
                .iter()
                .flat_map(|i| &i.statuses)
                .map(|s| s.sizes.get(launch.partition as usize).copied().unwrap_or(0))
                .sum();
            TaskOutput::Result(ResultBlock::Inline(Bytes::from(format!("{} {read}", launch.partition))))
        }
    }
}

/// The rows that a result partition of [`two_stages`] must have: map partition `m` gives each reducer `m + 1` bytes.
pub(super) fn expected(graph: &StageGraph, partition: u32) -> String {
    let maps = u64::from(graph.stages[0].tasks);
    let read = if graph.stages.len() > 1 { maps * (maps + 1) / 2 } else { 0 };
    format!("{partition} {read}")
}

/// The failure of a task that chance let fail.
pub(super) fn failure(task: TaskId) -> TaskFailure {
    TaskFailure::Transient(format!("task {task} met bad luck"))
}
