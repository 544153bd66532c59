//! What the tasks of one stage compute, as bytes.
//!
//! A payload holds a plan's message, never a plan: an instance of a plan keeps state between its partitions (scans share
//! work, hash joins wait for one another), so every task attempt decodes one of its own and specialises it to what it
//! runs.

use crate::{
    PlanError, codec, scan,
    store::{self, StoreMessage, StoreOptions, Stores},
};
use datafusion::{
    common::config::ConfigOptions,
    execution::TaskContext,
    physical_expr::LexOrdering,
    physical_plan::{ExecutionPlan, Partitioning, repartition::RepartitionExec},
    prelude::SessionConfig,
};
use datafusion_proto::protobuf::{PhysicalPlanNode, PhysicalSortExprNode};
use hearth_core::{Determinism, Payload, messages::task::TaskFailure};
use prost::Message;
use std::{collections::BTreeMap, sync::Arc};

/// The most bytes of a payload. It travels in one message, and messages are limited to 16 MiB.
pub const MAX_PAYLOAD_BYTES: usize = 15 << 20;

/// The message. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
struct Stage {
    /// For a partitioned output the root is a RepartitionExec, of which only the partitioning counts.
    #[prost(message, optional, boxed, tag = "1")]
    plan: Option<Box<PhysicalPlanNode>>,
    /// 1 result, 2 single, 3 partitioned, 4 range.
    #[prost(uint32, tag = "2")]
    output: u32,
    #[prost(bool, tag = "3")]
    whole: bool,
    /// DataFusion's settings, as far as they differ from its defaults.
    #[prost(btree_map = "string, string", tag = "4")]
    settings: BTreeMap<String, String>,
    #[prost(message, optional, tag = "5")]
    range: Option<RangeOutput>,
    /// How to reach the stores that the plan reads or writes.
    #[prost(message, repeated, tag = "8")]
    stores: Vec<StoreMessage>,
    /// How the files of scans are compressed.
    #[prost(btree_map = "string, string", tag = "9")]
    compressions: BTreeMap<String, String>,
    /// Rows of a result are counted, and go nowhere.
    #[prost(bool, tag = "10")]
    discards: bool,
    /// The tags of the files of scans, by which their stores know them.
    #[prost(btree_map = "string, string", tag = "11")]
    tags: BTreeMap<String, String>,
    /// Another attempt may give other rows: each says which it gave.
    #[prost(bool, tag = "12")]
    checked: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RangeOutput {
    #[prost(message, repeated, tag = "1")]
    keys: Vec<PhysicalSortExprNode>,
    #[prost(uint32, tag = "2")]
    partitions: u32,
    #[prost(uint32, tag = "3")]
    samples: u32,
}

/// What becomes of the rows of a stage.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// They are the job's result.
    Result,
    /// One block a task.
    Single,
    /// One block a reduce partition, by the hash of keys or in turn.
    Partitioned(Partitioning),
    /// One block a reduce partition, by sampled bounds.
    Range(Range),
}

/// A range output.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) keys: LexOrdering,
    pub(crate) partitions: u32,
    /// Which of the stage's inputs gives the samples.
    pub(crate) samples: usize,
}

/// What a session gives to its tasks beside their plans.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The settings that a task must share, as far as they differ from DataFusion's defaults.
    settings: BTreeMap<String, String>,
    /// The session's stores; none in a session that is not ours.
    stores: Option<Arc<Stores>>,
}

impl Shared {
    pub(crate) fn of(config: &SessionConfig) -> Self {
        let defaults: BTreeMap<_, _> = ConfigOptions::new().entries().into_iter().map(|e| (e.key, e.value)).collect();
        let differs = |key: &String, value: &Option<String>| defaults.get(key).is_none_or(|default| default != value);
        let entries = config.options().entries().into_iter().filter(|e| differs(&e.key, &e.value));
        let settings = entries.filter_map(|e| Some((e.key, e.value?))).collect();
        Self { settings, stores: config.get_extension::<Stores>() }
    }

    fn stores(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<StoreMessage>, PlanError> {
        match &self.stores {
            Some(stores) => Ok(stores.messages(&store::urls(plan))?),
            None => Ok(Vec::new()),
        }
    }
}

/// Makes a payload.
pub(crate) fn encode(
    stage: &str,
    plan: &Arc<dyn ExecutionPlan>,
    output: &Output,
    whole: bool,
    determinism: Determinism,
    shared: &Shared,
) -> Result<Payload, PlanError> {
    // Nobody compares results.
    let checked = determinism == Determinism::Indeterminate && !matches!(output, Output::Result);
    let mut plan = Arc::clone(plan);
    let mut range = None;
    let output = match output {
        Output::Result => 1,
        Output::Single => 2,
        Output::Partitioned(partitioning) => {
            plan = Arc::new(RepartitionExec::try_new(plan, partitioning.clone())?);
            3
        }
        Output::Range(Range { keys, partitions, samples }) => {
            let samples = u32::try_from(*samples).map_err(|e| PlanError::Internal(e.to_string()))?;
            range = Some(RangeOutput { keys: codec::encode_keys(keys)?, partitions: *partitions, samples });
            4
        }
    };
    let stores = shared.stores(&plan)?;
    let (compressions, tags) = (scan::compressions(&plan), scan::tags(&plan));
    let plan = Some(Box::new(codec::encode(&plan)?));
    let settings = shared.settings.clone();
    let discards = false;
    let stage_message = Stage { plan, output, whole, settings, range, stores, compressions, discards, tags, checked };
    let bytes = stage_message.encode_to_vec();
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

/// The kind of an output, before there is a plan whose columns its keys are.
#[derive(Debug)]
enum Kind {
    Result,
    Single,
    Partitioned,
    Range(RangeOutput),
}

/// A payload's message, ready to make plans of. Executors keep it as long as they keep the payload.
#[derive(Debug)]
pub struct DecodedPayload {
    plan: PhysicalPlanNode,
    output: Kind,
    whole: bool,
    discards: bool,
    checked: bool,
    config: SessionConfig,
    stores: Vec<StoreOptions>,
    compressions: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
}

/// A fresh plan, and what becomes of its rows.
pub(crate) struct FreshPlan {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) output: Output,
}

impl DecodedPayload {
    /// Reads a payload, which comes from outside.
    pub fn decode(payload: &Payload) -> Result<Self, TaskFailure> {
        let malformed = |what: String| TaskFailure::Query(format!("malformed payload {}: {what}", payload.hash()));
        let stage = Stage::decode(payload.bytes().clone()).map_err(|e| malformed(e.to_string()))?;
        let output = match (stage.output, stage.range) {
            (1, None) => Kind::Result,
            (2, None) => Kind::Single,
            (3, None) => Kind::Partitioned,
            (4, Some(range)) => Kind::Range(range),
            (other, _) => return Err(malformed(format!("unknown output {other}"))),
        };
        let plan = *stage.plan.ok_or_else(|| malformed("no plan".into()))?;
        let mut options = ConfigOptions::new();
        for (key, value) in &stage.settings {
            options.set(key, value).map_err(|e| malformed(e.strip_backtrace()))?;
        }
        let stores = stage.stores.into_iter().map(StoreOptions::of_message).collect::<Result<_, _>>();
        let stores = stores.map_err(|e| malformed(e.strip_backtrace()))?;
        let config = SessionConfig::from(options);
        let Stage { whole, discards, checked, compressions, tags, .. } = stage;
        Ok(Self { plan, output, whole, discards, checked, config, stores, compressions, tags })
    }

    /// Whether its only task computes all partitions of the plan.
    pub const fn whole(&self) -> bool {
        self.whole
    }

    /// Whether its tasks give checksums of their rows.
    pub(crate) const fn checked(&self) -> bool {
        self.checked
    }

    /// Whether the rows of its result are only counted.
    pub const fn discards(&self) -> bool {
        self.discards
    }

    /// The settings its tasks run under.
    pub(crate) const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The stores that its tasks reach.
    pub(crate) fn stores(&self) -> &[StoreOptions] {
        &self.stores
    }

    /// A fresh plan.
    pub(crate) fn plan(&self, context: &TaskContext) -> datafusion::common::Result<FreshPlan> {
        let plan = scan::with_compressions(codec::decode(&self.plan, context)?, &self.compressions)?;
        let plan = scan::with_tags(plan, &self.tags)?;
        Ok(match &self.output {
            Kind::Result => FreshPlan { plan, output: Output::Result },
            Kind::Single => FreshPlan { plan, output: Output::Single },
            Kind::Partitioned => match plan.downcast_ref::<RepartitionExec>() {
                Some(root) => {
                    let output = Output::Partitioned(root.partitioning().clone());
                    FreshPlan { plan: Arc::clone(root.input()), output }
                }
                None => {
                    return datafusion::common::plan_err!(
                        "a stage with partitioned output whose root is {}",
                        plan.name()
                    );
                }
            },
            Kind::Range(RangeOutput { keys, partitions, samples }) => {
                let keys = codec::decode_keys(keys, &plan.schema(), context)?;
                let range = Range { keys, partitions: *partitions, samples: *samples as usize };
                FreshPlan { plan, output: Output::Range(range) }
            }
        })
    }
}
