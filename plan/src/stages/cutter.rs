//! The cutting itself.

use super::{TableNames, determinism, name, range::is_reread_easily};
use crate::{
    DecodedPayload, PlanError,
    exchange::{AskedRepartitionExec, ExchangeReaderExec, Properties, ReadMode},
    payload::{self, Output, Range},
    task::specialise::{Shape, can_specialise, partitions, replace_children},
};
use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    execution::TaskContext,
    logical_expr::physical_planning_context::{ScalarSubqueryResults, SubqueryIndex},
    physical_expr::{LexOrdering, PhysicalExpr, scalar_subquery::ScalarSubqueryExpr},
    physical_plan::{
        ExecutionPlan, Partitioning,
        coalesce_partitions::CoalescePartitionsExec,
        displayable,
        empty::EmptyExec,
        limit::{GlobalLimitExec, LocalLimitExec},
        recursive_query::RecursiveQueryExec,
        repartition::RepartitionExec,
        scalar_subquery::{ScalarSubqueryExec, ScalarSubqueryLink},
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};
use hearth_core::{
    Determinism, Edge, Exchange, Payload, StageGraph, StageNode,
    conf::RangeSort,
    stage::{MAX_PARTITIONS, MAX_STAGES},
};
use std::{fmt::Write, sync::Arc};

type Plan = Arc<dyn ExecutionPlan>;
type Result<T> = std::result::Result<T, PlanError>;

/// A stage for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageText {
    /// One line: name, tasks, where its rows go.
    pub title: String,
    /// Its plan, one operator a line, each before its inputs.
    pub plan: String,
}

impl StageText {
    /// Of a query that is one stage of one task.
    pub(super) fn fused(name: &str, slots: u32, plan: &Plan) -> Self {
        let title = format!("stage 0: {name} ({}, gives the result)", super::text::sized(1, slots));
        Self { title, plan: displayable(plan.as_ref()).indent(false).to_string() }
    }
}

/// What may be chosen about cutting.
#[derive(Clone, Copy, Debug)]
pub struct CutOptions {
    /// When a sort of the whole result is spread over partitions by ranges of its keys.
    pub range_sort: RangeSort,
}

/// Cuts a plan. `tables` names what scans read, and `context` is the session's.
pub fn cut(
    plan: &Plan,
    tables: &TableNames,
    context: &TaskContext,
    options: CutOptions,
) -> Result<(StageGraph, Vec<StageText>)> {
    let shared = payload::Shared::of(context.session_config());
    let mut cutter =
        Cutter { tables, context, options, shared, stages: Vec::new(), writes: Vec::new(), texts: Vec::new() };
    let root = cutter.rewrite_root(plan, None)?;
    cutter.close(root, Close::Result, None)?;
    let graph = StageGraph { stages: cutter.stages };
    graph.validate().map_err(|e| PlanError::Unsupported(format!("a query with such stages ({e})")))?;
    Ok((graph, cutter.texts))
}

/// The scalar subqueries whose results the expressions below may read.
pub(super) struct Scope {
    links: Vec<(SubqueryIndex, Plan)>,
    results: ScalarSubqueryResults,
}

/// What becomes of a stage's rows.
pub(super) enum Close {
    Result,
    Single,
    Partitioned(Partitioning),
    Range {
        keys: LexOrdering,
        partitions: u32,
        /// The stage that gives the samples.
        samples: usize,
    },
}

pub(super) struct Cutter<'a> {
    tables: &'a TableNames,
    pub(super) context: &'a TaskContext,
    pub(super) options: CutOptions,
    shared: payload::Shared,
    stages: Vec<StageNode>,
    /// How the rows of each stage travel to readers of one partition.
    writes: Vec<Exchange>,
    texts: Vec<StageText>,
}

impl Cutter<'_> {
    /// The plan with everything below its exchanges made into stages, and readers in their place. Until their stage is
    /// closed, readers number their inputs by the graph.
    pub(super) fn rewrite(&mut self, node: &Plan, scope: Option<&Scope>) -> Result<Plan> {
        if let Some(subqueries) = node.downcast_ref::<ScalarSubqueryExec>() {
            return self.rewrite_subqueries(subqueries, Self::rewrite);
        }
        if node.is::<RecursiveQueryExec>() {
            return without_asked(node);
        }
        let old = node.children();
        let new = old.iter().map(|child| self.rewrite(child, scope)).collect::<Result<Vec<_>>>()?;
        let same = old.iter().zip(&new).all(|(a, b)| Arc::ptr_eq(a, b));
        let node = if same { Arc::clone(node) } else { replace_children(node, new)? };
        self.cut_below(node, scope)
    }

    /// Cuts between this operator and its children, if that is a place for it.
    pub(super) fn cut_below(&mut self, node: Plan, scope: Option<&Scope>) -> Result<Plan> {
        if let Some(asked) = node.downcast_ref::<AskedRepartitionExec>() {
            return self.cut_asked(asked, scope);
        }
        if let Some(repartition) = node.downcast_ref::<RepartitionExec>() {
            return match repartition.partitioning() {
                Partitioning::Hash(keys, count) if !keys.iter().any(uses_subquery) => {
                    self.cut_hash(repartition, *count, scope)
                }
                // Left to DataFusion, inside one task.
                _ => Ok(node),
            };
        }
        if let Some(coalesce) = node.downcast_ref::<CoalescePartitionsExec>() {
            return match is_apart(coalesce.input()) {
                true => self.cut_coalesce(coalesce, scope),
                false => Ok(node),
            };
        }
        if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
            return match is_apart(merge.input()) {
                true => {
                    let reader = self.close_single(Arc::clone(merge.input()), ReadMode::PerMap, scope)?;
                    Ok(replace_children(&node, vec![reader])?)
                }
                false => Ok(node),
            };
        }
        if partitions(&node) > 1 && Shape::of(node.as_ref()) == Shape::Whole {
            return self.cut_whole(node, scope);
        }
        match (Shape::of(node.as_ref()), &node.children()[..]) {
            (Shape::Collected, [left, right]) if partitions(right) > 1 && !left.is::<ExchangeReaderExec>() => {
                let left = self.close_single(Arc::clone(left), ReadMode::All, scope)?;
                let right = Arc::clone(right);
                Ok(replace_children(&node, vec![left, right])?)
            }
            // One branch that must run whole shall not make the others.
            (Shape::Union, children) if children.iter().any(|c| !can_specialise(c)) => {
                let mut apart = Vec::with_capacity(children.len());
                for child in children {
                    apart.push(match can_specialise(child) {
                        true => Arc::clone(child),
                        false => self.close_single(Arc::clone(child), ReadMode::All, scope)?,
                    });
                }
                Ok(replace_children(&node, apart)?)
            }
            _ => Ok(node),
        }
    }

    fn cut_hash(&mut self, node: &RepartitionExec, count: usize, scope: Option<&Scope>) -> Result<Plan> {
        let known = Properties::of(&node.properties().eq_properties);
        let from = self.close(Arc::clone(node.input()), Close::Partitioned(node.partitioning().clone()), scope)?;
        let reader = ExchangeReaderExec::try_new(from, ReadMode::Partition, limited(count)?, node.schema(), known)?;
        let reader: Plan = Arc::new(reader);
        // A repartition that keeps an order merges what arrives; blocks arrive one after the other.
        match node.properties().output_ordering() {
            Some(ordering) if node.preserve_order() => {
                Ok(Arc::new(SortExec::new(ordering.clone(), reader).with_preserve_partitioning(true)))
            }
            _ => Ok(reader),
        }
    }

    /// What was asked for is an exchange, even into or out of one partition.
    fn cut_asked(&mut self, node: &AskedRepartitionExec, scope: Option<&Scope>) -> Result<Plan> {
        let partitioning = node.partitioning().clone();
        let count = limited(partitioning.partition_count())?;
        if let Partitioning::Hash(keys, _) = &partitioning
            && keys.iter().any(uses_subquery)
        {
            return Err(PlanError::Unsupported("DISTRIBUTE BY with a subquery".into()));
        }
        let known = Properties::of(&node.properties().eq_properties);
        let from = self.close(Arc::clone(node.input()), Close::Partitioned(partitioning), scope)?;
        Ok(Arc::new(ExchangeReaderExec::try_new(from, ReadMode::Partition, count, node.schema(), known)?))
    }

    /// An operator that needs all partitions in one task. What is below it can still be computed apart, when that is more
    /// than reading.
    fn cut_whole(&mut self, node: Plan, scope: Option<&Scope>) -> Result<Plan> {
        let mut children = Vec::new();
        for child in node.children() {
            children.push(match is_apart(child) && !is_reread_easily(child) {
                true => self.close_single(Arc::clone(child), ReadMode::PerMap, scope)?,
                false => Arc::clone(child),
            });
        }
        Ok(replace_children(&node, children)?)
    }

    fn cut_coalesce(&mut self, node: &CoalescePartitionsExec, scope: Option<&Scope>) -> Result<Plan> {
        let Some(fetch) = node.fetch() else {
            return self.close_single(Arc::clone(node.input()), ReadMode::All, scope);
        };
        // No task needs to give more rows than all of them together may.
        let input = match node.input().fetch() {
            Some(own) if own <= fetch => Arc::clone(node.input()),
            _ => Arc::new(LocalLimitExec::new(Arc::clone(node.input()), fetch)) as Plan,
        };
        let reader = self.close_single(input, ReadMode::All, scope)?;
        Ok(Arc::new(GlobalLimitExec::new(reader, 0, Some(fetch))))
    }

    /// Makes a stage of `plan` whose tasks write one block each, and a reader of them.
    pub(super) fn close_single(&mut self, plan: Plan, mode: ReadMode, scope: Option<&Scope>) -> Result<Plan> {
        let schema = plan.schema();
        let count = partitions(&plan);
        // Blocks are read one after the other: what holds inside each of several holds for all of them only in one's own.
        let known = match (mode, count) {
            (ReadMode::PerMap, _) | (_, 1) => Properties::of(&plan.properties().eq_properties),
            _ => Properties::default(),
        };
        let from = self.close(plan, Close::Single, scope)?;
        let readers = if mode == ReadMode::PerMap { self.stages[from].tasks } else { 1 };
        Ok(Arc::new(ExchangeReaderExec::try_new(from, mode, readers, schema, known)?))
    }

    /// Each subquery becomes a stage of its own; its result is read by every stage that uses it.
    pub(super) fn rewrite_subqueries(
        &mut self,
        node: &ScalarSubqueryExec,
        rewrite_input: fn(&mut Self, &Plan, Option<&Scope>) -> Result<Plan>,
    ) -> Result<Plan> {
        let mut links = Vec::with_capacity(node.subqueries().len());
        for subquery in node.subqueries() {
            let plan = self.rewrite(&subquery.plan, None)?;
            links.push((subquery.index, self.close_single(plan, ReadMode::All, None)?));
        }
        let scope = Scope { links, results: node.results().clone() };
        let input = rewrite_input(self, node.input(), Some(&scope))?;
        // A result that no stage below reads is read here in any case: a subquery that must fail, must fail.
        let is_read = |from: usize| self.stages.iter().flat_map(|s| &s.inputs).any(|e| e.from == from);
        let readers = scope.links.iter().filter_map(|(_, plan)| plan.downcast_ref::<ExchangeReaderExec>());
        let all_read = readers.map(ExchangeReaderExec::input).all(is_read);
        Ok(if all_read && !plan_uses_subquery(&input) { input } else { scope.over(input) })
    }

    /// Makes a stage of the plan. Gives its place in the graph.
    pub(super) fn close(&mut self, plan: Plan, close: Close, scope: Option<&Scope>) -> Result<usize> {
        if self.stages.len() >= MAX_STAGES {
            return Err(PlanError::Unsupported(format!("a query of more than {MAX_STAGES} stages")));
        }
        let plan = match scope {
            Some(scope) if plan_uses_subquery(&plan) => scope.over(plan),
            _ => plan,
        };
        let plan = if partitions(&plan) == 0 { Arc::new(EmptyExec::new(plan.schema())) as Plan } else { plan };
        let whole = whole_because(&plan);
        let tasks = if whole.is_some() { 1 } else { limited(partitions(&plan))? };
        let (plan, mut edges) = self.number_inputs(plan, tasks)?;
        let name = name::of(&plan, self.tables);
        // An input that may become another one takes its readers along when it does: here it is one whose order is open.
        let level = edges.iter().map(|e| self.stages[e.from].determinism).max().unwrap_or(Determinism::Determinate);
        let level = level.min(Determinism::Unordered);
        let determinism = close.determinism(determinism::of(&plan, level, whole.is_some()));
        let written = close.written();
        let (output, output_partitions) = match close {
            Close::Result => (Output::Result, 1),
            Close::Single => (Output::Single, 1),
            Close::Partitioned(to) => {
                let count = limited(to.partition_count())?;
                (Output::Partitioned(to), count)
            }
            Close::Range { keys, partitions, samples } => {
                // Not among the inputs whose level counts: rows are the same whatever the bounds. What becomes of the
                // stage when the samples are lost follows from the edge.
                edges.push(Edge { from: samples, exchange: Exchange::Broadcast });
                (Output::Range(Range { keys, partitions, samples: edges.len() - 1 }), partitions)
            }
        };
        self.texts.push(text(self.stages.len(), &name, tasks, whole.as_deref(), &edges, &written, &plan));
        let payload = payload::encode(&name, &plan, &output, whole.is_some(), determinism, &self.shared)?;
        check_decodes(&payload, self.context)?;
        self.writes.push(match &output {
            Output::Result | Output::Single => Exchange::Single,
            Output::Partitioned(Partitioning::RoundRobinBatch(_)) => Exchange::RoundRobin,
            Output::Partitioned(_) => Exchange::Hash,
            Output::Range(_) => Exchange::Range,
        });
        self.stages.push(StageNode { name, tasks, slots: 1, inputs: edges, output_partitions, payload, determinism });
        Ok(self.stages.len() - 1)
    }

    /// Numbers the inputs of readers by their place in the stage instead of the graph's.
    fn number_inputs(&self, plan: Plan, tasks: u32) -> Result<(Plan, Vec<Edge>)> {
        let mut edges: Vec<Edge> = Vec::new();
        let numbered = plan.transform_up(|node| {
            let Some(reader) = node.downcast_ref::<ExchangeReaderExec>() else { return Ok(Transformed::no(node)) };
            let from = reader.input();
            let exchange = match reader.mode() {
                ReadMode::Partition => self.writes[from],
                ReadMode::All if tasks > 1 => Exchange::Broadcast,
                ReadMode::All | ReadMode::PerMap => Exchange::Single,
            };
            let place = edges.iter().position(|e| e.from == from).unwrap_or_else(|| {
                edges.push(Edge { from, exchange });
                edges.len() - 1
            });
            Ok(Transformed::yes(Arc::new(reader.with_input(place)) as Plan))
        });
        Ok((numbered?.data, edges))
    }
}

/// That executors can make a plan of a payload.
pub(super) fn check_decodes(payload: &Payload, context: &TaskContext) -> Result<()> {
    let decoded = DecodedPayload::decode(payload).map_err(|e| PlanError::Internal(e.to_string()))?;
    decoded.plan(context)?;
    Ok(())
}

impl Close {
    /// What is known of a rerun's blocks, when that is known of its rows.
    fn determinism(&self, rows: Determinism) -> Determinism {
        let volatile = match self {
            Self::Partitioned(Partitioning::Hash(keys, _)) => keys.iter().any(determinism::is_volatile),
            Self::Range { keys, .. } => keys.iter().any(|key| determinism::is_volatile(&key.expr)),
            Self::Partitioned(_) | Self::Single | Self::Result => false,
        };
        match self {
            // The same rows go elsewhere.
            _ if volatile => Determinism::Indeterminate,
            // Rows in another order are dealt to other partitions.
            Self::Partitioned(Partitioning::RoundRobinBatch(_)) if rows >= Determinism::Unordered => {
                Determinism::Indeterminate
            }
            _ => rows,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Result => "gives the result".into(),
            Self::Single => "writes 1 block a task".into(),
            Self::Partitioned(to) => format!("writes {} blocks a task by {to}", to.partition_count()),
            Self::Range { keys, partitions, .. } => format!("writes {partitions} blocks a task by ranges of [{keys}]"),
        }
    }
}

impl Scope {
    fn over(&self, plan: Plan) -> Plan {
        let link = |(index, plan): &(SubqueryIndex, Plan)| ScalarSubqueryLink { plan: Arc::clone(plan), index: *index };
        Arc::new(ScalarSubqueryExec::new(plan, self.links.iter().map(link).collect(), self.results.clone()))
    }
}

/// The operator because of which one task must compute all partitions, if there is one.
fn whole_because(plan: &Plan) -> Option<String> {
    if can_specialise(plan) {
        return None;
    }
    let below = plan.children().into_iter().filter(|child| partitions(child) > 1).find_map(whole_because);
    below.or_else(|| Some(plan.name().to_owned()))
}

/// A recursive query runs in one task: nothing is spread inside of it.
fn without_asked(plan: &Plan) -> Result<Plan> {
    let removed = Arc::clone(plan).transform_up(|node| match node.downcast_ref::<AskedRepartitionExec>() {
        Some(asked) => Ok(Transformed::yes(Arc::clone(asked.input()))),
        None => Ok(Transformed::no(node)),
    });
    Ok(removed?.data)
}

/// Whether these are several partitions that tasks of their own can compute.
pub(super) fn is_apart(plan: &Plan) -> bool {
    partitions(plan) > 1 && can_specialise(plan)
}

pub(super) fn limited(count: usize) -> Result<u32> {
    u32::try_from(count)
        .ok()
        .filter(|c| (1..=MAX_PARTITIONS).contains(c))
        .ok_or_else(|| PlanError::Unsupported(format!("a stage of {count} partitions (1 to {MAX_PARTITIONS} can be)")))
}

pub(super) fn uses_subquery(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|e| Ok(e.is::<ScalarSubqueryExpr>())).unwrap_or(true)
}

fn plan_uses_subquery(plan: &Plan) -> bool {
    let uses = plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(&mut |expr| {
            found |= uses_subquery(expr);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    });
    uses.unwrap_or(true)
}

fn text(
    place: usize,
    name: &str,
    tasks: u32,
    whole: Option<&str>,
    edges: &[Edge],
    written: &str,
    plan: &Plan,
) -> StageText {
    let mut title = format!("stage {place}: {name} ({tasks} task{}", if tasks == 1 { "" } else { "s" });
    // Writing into a string does not fail.
    if let Some(operator) = whole {
        let _ = write!(title, " for all {} partitions, because of {operator}", partitions(plan));
    }
    for edge in edges {
        let _ = write!(title, ", reads stage {} ({})", edge.from, edge.exchange);
    }
    let _ = write!(title, ", {written})");
    StageText { title, plan: displayable(plan.as_ref()).indent(false).to_string() }
}
