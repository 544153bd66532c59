//! The cutting itself.

use super::{TableNames, determinism, name};
use crate::{
    DecodedPayload, PlanError,
    exchange::{ExchangeReaderExec, Properties, ReadMode},
    payload::{self, Output},
    task::specialise::{Shape, can_specialise, partitions, replace_children},
};
use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    execution::TaskContext,
    logical_expr::physical_planning_context::{ScalarSubqueryResults, SubqueryIndex},
    physical_expr::{PhysicalExpr, scalar_subquery::ScalarSubqueryExpr},
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
    messages::task::TaskFailure,
    stage::{MAX_PARTITIONS, MAX_STAGES},
};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

type Plan = Arc<dyn ExecutionPlan>;
type Result<T> = std::result::Result<T, PlanError>;

/// A stage for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageText {
    /// One line: name, tasks, where its rows go.
    pub title: String,
    /// Its plan, one operator a line.
    pub plan: String,
}

impl StageText {
    /// Of a query that is one stage of one task.
    pub(super) fn fused(name: &str, slots: u32, plan: &Plan) -> Self {
        let title = match slots {
            1 => format!("stage 0: {name} (1 task, gives the result)"),
            _ => format!("stage 0: {name} (1 task of {slots} slots, gives the result)"),
        };
        Self { title, plan: displayable(plan.as_ref()).indent(false).to_string() }
    }
}

/// Cuts a plan. `tables` names what scans read, and `context` is the session's.
pub fn cut(plan: &Plan, tables: &TableNames, context: &TaskContext) -> Result<(StageGraph, Vec<StageText>)> {
    let settings = payload::settings_of(context.session_config().options());
    let mut cutter = Cutter { tables, context, settings, stages: Vec::new(), texts: Vec::new() };
    let root = cutter.rewrite(plan, None)?;
    cutter.close(root, Close::Result, None)?;
    let graph = StageGraph { stages: cutter.stages };
    graph.validate().map_err(|e| PlanError::Unsupported(format!("a query with such stages ({e})")))?;
    Ok((graph, cutter.texts))
}

/// The scalar subqueries whose results the expressions below may read.
struct Scope {
    links: Vec<(SubqueryIndex, Plan)>,
    results: ScalarSubqueryResults,
}

/// What becomes of a stage's rows.
enum Close {
    Result,
    Single,
    Hash(Partitioning),
}

struct Cutter<'a> {
    tables: &'a TableNames,
    context: &'a TaskContext,
    settings: BTreeMap<String, String>,
    stages: Vec<StageNode>,
    texts: Vec<StageText>,
}

impl Cutter<'_> {
    /// The plan with everything below its exchanges made into stages, and readers in their place. Until their stage is
    /// closed, readers number their inputs by the graph.
    fn rewrite(&mut self, node: &Plan, scope: Option<&Scope>) -> Result<Plan> {
        if let Some(subqueries) = node.downcast_ref::<ScalarSubqueryExec>() {
            return self.rewrite_subqueries(subqueries);
        }
        if node.is::<RecursiveQueryExec>() {
            return Ok(Arc::clone(node));
        }
        let old = node.children();
        let new = old.iter().map(|child| self.rewrite(child, scope)).collect::<Result<Vec<_>>>()?;
        let same = old.iter().zip(&new).all(|(a, b)| Arc::ptr_eq(a, b));
        let node = if same { Arc::clone(node) } else { replace_children(node, new)? };
        self.cut_below(node, scope)
    }

    /// Cuts between this operator and its children, if that is a place for it.
    fn cut_below(&mut self, node: Plan, scope: Option<&Scope>) -> Result<Plan> {
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
        let from = self.close(Arc::clone(node.input()), Close::Hash(node.partitioning().clone()), scope)?;
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
    fn close_single(&mut self, plan: Plan, mode: ReadMode, scope: Option<&Scope>) -> Result<Plan> {
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
    fn rewrite_subqueries(&mut self, node: &ScalarSubqueryExec) -> Result<Plan> {
        let mut links = Vec::with_capacity(node.subqueries().len());
        for subquery in node.subqueries() {
            let plan = self.rewrite(&subquery.plan, None)?;
            links.push((subquery.index, self.close_single(plan, ReadMode::All, None)?));
        }
        let scope = Scope { links, results: node.results().clone() };
        let input = self.rewrite(node.input(), Some(&scope))?;
        // A result that no stage below reads is read here in any case: a subquery that must fail, must fail.
        let is_read = |from: usize| self.stages.iter().flat_map(|s| &s.inputs).any(|e| e.from == from);
        let readers = scope.links.iter().filter_map(|(_, plan)| plan.downcast_ref::<ExchangeReaderExec>());
        let all_read = readers.map(ExchangeReaderExec::input).all(is_read);
        Ok(if all_read && !plan_uses_subquery(&input) { input } else { scope.over(input) })
    }

    /// Makes a stage of the plan. Gives its place in the graph.
    fn close(&mut self, plan: Plan, close: Close, scope: Option<&Scope>) -> Result<usize> {
        if self.stages.len() >= MAX_STAGES {
            return Err(PlanError::Unsupported(format!("a query of more than {MAX_STAGES} stages")));
        }
        let plan = match scope {
            Some(scope) if plan_uses_subquery(&plan) => scope.over(plan),
            _ => plan,
        };
        let plan = if partitions(&plan) == 0 { Arc::new(EmptyExec::new(plan.schema())) as Plan } else { plan };
        let whole = !can_specialise(&plan);
        let tasks = if whole { 1 } else { limited(partitions(&plan))? };
        let (plan, edges) = number_inputs(plan, tasks)?;
        let name = name::of(&plan, self.tables);
        let level = edges.iter().map(|e| self.stages[e.from].determinism).max().unwrap_or(Determinism::Determinate);
        let determinism = determinism::of(&plan, level);
        self.texts.push(text(self.stages.len(), &name, tasks, whole, &edges, &close, &plan));
        let (root, output, output_partitions): (Plan, _, _) = match close {
            Close::Result => (plan, Output::Result, 1),
            Close::Single => (plan, Output::Single, 1),
            Close::Hash(to) => {
                let count = limited(to.partition_count())?;
                (Arc::new(RepartitionExec::try_new(plan, to)?), Output::Hash, count)
            }
        };
        let payload = payload::encode(&name, &root, output, whole, &self.settings)?;
        check_decodes(&payload, self.context)?;
        let inputs = edges;
        self.stages.push(StageNode { name, tasks, slots: 1, inputs, output_partitions, payload, determinism });
        Ok(self.stages.len() - 1)
    }
}

/// That executors can make a plan of a payload.
pub(super) fn check_decodes(payload: &Payload, context: &TaskContext) -> Result<()> {
    DecodedPayload::decode(payload).map_err(undecodable)?.plan(context)?;
    Ok(())
}

/// Messages nest to 100 at most; chains of one operator are flat in them.
fn undecodable(failure: TaskFailure) -> PlanError {
    let text = failure.to_string();
    match text.contains("recursion limit reached") {
        true => PlanError::Unsupported("an expression of different operators, or a plan, nested this deeply".into()),
        false => PlanError::Internal(text),
    }
}

impl Scope {
    fn over(&self, plan: Plan) -> Plan {
        let link = |(index, plan): &(SubqueryIndex, Plan)| ScalarSubqueryLink { plan: Arc::clone(plan), index: *index };
        Arc::new(ScalarSubqueryExec::new(plan, self.links.iter().map(link).collect(), self.results.clone()))
    }
}

/// Whether these are several partitions that tasks of their own can compute.
fn is_apart(plan: &Plan) -> bool {
    partitions(plan) > 1 && can_specialise(plan)
}

fn limited(count: usize) -> Result<u32> {
    u32::try_from(count)
        .ok()
        .filter(|c| (1..=MAX_PARTITIONS).contains(c))
        .ok_or_else(|| PlanError::Unsupported(format!("a stage of {count} partitions (1 to {MAX_PARTITIONS} can be)")))
}

fn uses_subquery(expr: &Arc<dyn PhysicalExpr>) -> bool {
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

/// Numbers the inputs of readers by their place in the stage instead of the graph's.
fn number_inputs(plan: Plan, tasks: u32) -> Result<(Plan, Vec<Edge>)> {
    let mut edges: Vec<Edge> = Vec::new();
    let numbered = plan.transform_up(|node| {
        let Some(reader) = node.downcast_ref::<ExchangeReaderExec>() else { return Ok(Transformed::no(node)) };
        let from = reader.input();
        let exchange = match reader.mode() {
            ReadMode::Partition => Exchange::Hash,
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

fn text(place: usize, name: &str, tasks: u32, whole: bool, edges: &[Edge], close: &Close, plan: &Plan) -> StageText {
    let mut title = format!("stage {place}: {name} ({tasks} task{}", if tasks == 1 { "" } else { "s" });
    // Writing into a string does not fail.
    if whole {
        let _ = write!(title, " for all {} partitions", partitions(plan));
    }
    for edge in edges {
        let _ = write!(title, ", reads stage {} ({})", edge.from, edge.exchange);
    }
    let _ = match close {
        Close::Result => write!(title, ", gives the result)"),
        Close::Single => write!(title, ", writes 1 block a task)"),
        Close::Hash(to) => write!(title, ", writes {} blocks a task by {to})", to.partition_count()),
    };
    StageText { title, plan: displayable(plan.as_ref()).indent(false).to_string() }
}
