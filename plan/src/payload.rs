//! What the tasks of one stage compute, as bytes.
//!
//! A payload holds a plan's message, never a plan: an instance of a plan keeps state between its partitions (scans share
//! work, hash joins wait for one another), so every task attempt decodes one of its own and specialises it to what it
//! runs.

use crate::{PlanError, codec};
use datafusion::{
    common::config::ConfigOptions,
    execution::TaskContext,
    physical_plan::{ExecutionPlan, Partitioning, repartition::RepartitionExec},
    prelude::SessionConfig,
};
use datafusion_proto::protobuf::PhysicalPlanNode;
use hearth_core::{Payload, messages::task::TaskFailure};
use prost::Message;
use std::{collections::BTreeMap, sync::Arc};

/// The most bytes of a payload. It travels in one message, and messages are limited to 16 MiB.
pub const MAX_PAYLOAD_BYTES: usize = 15 << 20;

/// The message. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
struct Stage {
    /// For a hash output the root is a RepartitionExec, of which only the partitioning counts.
    #[prost(message, optional, boxed, tag = "1")]
    plan: Option<Box<PhysicalPlanNode>>,
    /// 1 result, 2 single, 3 hash.
    #[prost(uint32, tag = "2")]
    output: u32,
    #[prost(bool, tag = "3")]
    whole: bool,
    /// DataFusion's settings, as far as they differ from its defaults.
    #[prost(btree_map = "string, string", tag = "4")]
    settings: BTreeMap<String, String>,
    /// Rows of a result are counted, and go nowhere.
    #[prost(bool, tag = "9")]
    discards: bool,
}

/// What becomes of the rows of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// They are the job's result.
    Result,
    /// One block a task.
    Single,
    /// One block a reduce partition, by hash.
    Hash,
}

/// The settings of a session that a task must share, as far as they differ from DataFusion's defaults.
pub(crate) fn settings_of(options: &ConfigOptions) -> BTreeMap<String, String> {
    let defaults: BTreeMap<_, _> = ConfigOptions::new().entries().into_iter().map(|e| (e.key, e.value)).collect();
    let differs = |key: &String, value: &Option<String>| defaults.get(key).is_none_or(|default| default != value);
    let entries = options.entries().into_iter().filter(|e| differs(&e.key, &e.value));
    entries.filter_map(|e| Some((e.key, e.value?))).collect()
}

/// Makes a payload. For [`Output::Hash`] the plan's root is the RepartitionExec.
pub(crate) fn encode(
    stage: &str,
    plan: &Arc<dyn ExecutionPlan>,
    output: Output,
    whole: bool,
    settings: &BTreeMap<String, String>,
) -> Result<Payload, PlanError> {
    let output = match output {
        Output::Result => 1,
        Output::Single => 2,
        Output::Hash => 3,
    };
    let plan = Some(Box::new(codec::encode(plan)?));
    let bytes = Stage { plan, output, whole, settings: settings.clone(), discards: false }.encode_to_vec();
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(PlanError::TooLarge { stage: stage.to_owned(), bytes: bytes.len(), limit: MAX_PAYLOAD_BYTES });
    }
    Ok(Payload::new(bytes))
}

/// The payload of a result stage that computes the same, and whose tasks drop their rows once they are counted.
pub(crate) fn discarding(payload: &Payload) -> Result<Payload, PlanError> {
    let stage = Stage::decode(payload.bytes().clone()).map_err(|e| PlanError::Internal(e.to_string()))?;
    Ok(Payload::new(Stage { discards: true, ..stage }.encode_to_vec()))
}

/// A payload's message, ready to make plans of. Executors keep it as long as they keep the payload.
#[derive(Debug)]
pub struct DecodedPayload {
    plan: PhysicalPlanNode,
    output: Output,
    whole: bool,
    discards: bool,
    config: SessionConfig,
}

/// A fresh plan, and what becomes of its rows.
pub(crate) struct FreshPlan {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// For a hash output.
    pub(crate) partitioning: Option<Partitioning>,
}

impl DecodedPayload {
    /// Reads a payload, which comes from outside.
    pub fn decode(payload: &Payload) -> Result<Self, TaskFailure> {
        let malformed = |what: String| TaskFailure::Query(format!("malformed payload {}: {what}", payload.hash()));
        let stage = Stage::decode(payload.bytes().clone()).map_err(|e| malformed(e.to_string()))?;
        let output = match stage.output {
            1 => Output::Result,
            2 => Output::Single,
            3 => Output::Hash,
            other => return Err(malformed(format!("unknown output {other}"))),
        };
        let plan = *stage.plan.ok_or_else(|| malformed("no plan".into()))?;
        let mut options = ConfigOptions::new();
        for (key, value) in &stage.settings {
            options.set(key, value).map_err(|e| malformed(e.strip_backtrace()))?;
        }
        Ok(Self { plan, output, whole: stage.whole, discards: stage.discards, config: SessionConfig::from(options) })
    }

    /// What becomes of its rows.
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Whether its only task computes all partitions of the plan.
    pub const fn whole(&self) -> bool {
        self.whole
    }

    /// Whether the rows of its result are only counted.
    pub const fn discards(&self) -> bool {
        self.discards
    }

    /// The settings its tasks run under.
    pub(crate) const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// A fresh plan.
    pub(crate) fn plan(&self, context: &TaskContext) -> datafusion::common::Result<FreshPlan> {
        let plan = codec::decode(&self.plan, context)?;
        if self.output != Output::Hash {
            return Ok(FreshPlan { plan, partitioning: None });
        }
        match plan.downcast_ref::<RepartitionExec>() {
            Some(root) => {
                let partitioning = Some(root.partitioning().clone());
                Ok(FreshPlan { plan: Arc::clone(root.input()), partitioning })
            }
            None => datafusion::common::plan_err!("a stage with hash output whose root is {}", plan.name()),
        }
    }
}
