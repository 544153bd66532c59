//! `CREATE FUNCTION name(args) RETURNS type RETURN expression`: functions that are their expression.
//!
//! A call is replaced by the function's expression while the statement is planned, so that executors need not know the
//! function. An expression that calls other such functions is expanded when it is defined: what a function means does not
//! change when another one is replaced, and none can call itself.
//!
//! An argument stands in the expression as often as its parameter does. So what a call becomes is bounded before it is
//! made, and an argument with another value each time it is computed is refused where its parameter stands twice.

use crate::depth::MAX_LOGICAL;
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    compute::can_cast_types,
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use datafusion::{
    common::{
        Column, DFSchema, DFSchemaRef, Result, internal_err, not_impl_err, plan_datafusion_err, plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{
        context::{FunctionFactory, RegisterFunction},
        session_state::SessionState,
    },
    logical_expr::{
        ColumnarValue, CreateFunction, Expr, ExprSchemable, OperateFunctionArg, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility,
        execution_props::ExecutionProps,
        physical_planning_context::PhysicalPlanningContext,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::create_physical_expr,
};
use std::{collections::HashMap, sync::Arc};

/// Parts of a function's expanded expression. Functions that call functions could double it with each definition.
const MAX_PARTS: usize = 4096;
/// Parts of what a call becomes, its arguments included: more than anybody writes, and a few MiB of a stage's payload,
/// which has room for 15. Calls in one another could double it each.
const MAX_INLINED: usize = 1 << 16;

/// Makes functions of CREATE FUNCTION.
#[derive(Debug)]
pub(super) struct MacroFactory;

#[async_trait]
impl FunctionFactory for MacroFactory {
    async fn create(&self, state: &SessionState, statement: CreateFunction) -> Result<RegisterFunction> {
        // As a call is looked up, whatever the definition's capitals.
        let name = statement.name.to_lowercase();
        if !statement.or_replace && state.scalar_functions().contains_key(&name) {
            return plan_err!("function {name} exists already; CREATE OR REPLACE FUNCTION replaces it");
        }
        Ok(RegisterFunction::Scalar(Arc::new(ScalarUDF::new_from_impl(Macro::try_new(name, statement, state)?))))
    }
}

/// A function that is an expression.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Macro {
    name: String,
    signature: Signature,
    /// What parameters are when a call leaves them out; the first ones have none.
    defaults: Vec<Option<Expr>>,
    returns: DataType,
    /// Over the columns of `parameters`.
    body: Expr,
    parameters: DFSchemaRef,
    size: Size,
    /// How each parameter stands in the body.
    uses: Vec<Use>,
}

/// What an expression takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Size {
    parts: usize,
    levels: usize,
    /// Whether it has another value each time that it is computed.
    varies: bool,
}

impl Size {
    fn of(expr: &Expr) -> Result<Self> {
        let mut size = Self::default();
        let mut subqueries = Vec::new();
        walk(expr, |level, expr| {
            size.parts += 1;
            size.levels = size.levels.max(level);
            size.varies |= expr.is_volatile_node();
            match expr {
                Expr::ScalarSubquery(subquery) => subqueries.push(&subquery.subquery),
                Expr::Exists(exists) => subqueries.push(&exists.subquery.subquery),
                Expr::InSubquery(within) => subqueries.push(&within.subquery.subquery),
                Expr::SetComparison(comparison) => subqueries.push(&comparison.subquery.subquery),
                _ => {}
            }
        })?;
        for plan in subqueries {
            plan.apply_with_subqueries(|node| {
                size.parts += 1;
                node.apply_expressions(|expr| {
                    expr.apply(|expr| {
                        size.parts += 1;
                        size.varies |= expr.is_volatile_node();
                        Ok(TreeNodeRecursion::Continue)
                    })
                })
            })?;
        }
        Ok(size)
    }
}

/// How a parameter stands in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Use {
    times: usize,
    /// The deepest level at which it stands.
    level: usize,
}

/// Visits the parts of an expression, without recursion, each with its level from 1.
fn walk<'e>(expr: &'e Expr, mut visit: impl FnMut(usize, &'e Expr)) -> Result<()> {
    let mut open = vec![(1, expr)];
    while let Some((level, expr)) = open.pop() {
        visit(level, expr);
        expr.apply_children(|child| {
            open.push((level + 1, child));
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(())
}

fn parameter(place: usize) -> String {
    format!("${place}")
}

impl Macro {
    fn try_new(name: String, statement: CreateFunction, state: &SessionState) -> Result<Self> {
        let CreateFunction { args, return_type, params, .. } = statement;
        if let Some(language) = params.language.filter(|l| !l.value.eq_ignore_ascii_case("sql")) {
            return not_impl_err!("CREATE FUNCTION {name} in {language}, rather than as an SQL expression,");
        }
        let body = params
            .function_body
            .ok_or_else(|| plan_datafusion_err!("function {name} has no body; write RETURN and an expression"))?;
        let returns = return_type.ok_or_else(|| {
            plan_datafusion_err!("function {name} has no type; write RETURNS and a type before RETURN")
        })?;
        let (mut types, mut defaults) = (Vec::new(), Vec::new());
        for OperateFunctionArg { data_type, default_expr, .. } in args.unwrap_or_default() {
            let empty = Arc::new(DFSchema::empty());
            defaults.push(default_expr.map(|default| expand(&name, default, &data_type, &empty, state)).transpose()?);
            types.push(data_type);
        }
        let fields = (1..).zip(&types).map(|(place, t)| Field::new(parameter(place), t.clone(), true));
        let parameters = Arc::new(DFSchema::from_unqualified_fields(fields.collect(), HashMap::new())?);
        let body = expand(&name, body, &returns, &parameters, state)?;
        let varies = body.is_volatile() || defaults.iter().flatten().any(Expr::is_volatile);
        let volatility = match varies {
            true => Volatility::Volatile,
            false => params.behavior.unwrap_or(Volatility::Immutable),
        };
        let signature = Signature::user_defined(volatility);
        let size = Size::of(&body)?;
        let mut uses = vec![Use::default(); defaults.len()];
        walk(&body, |level, expr| {
            let place = expr.try_as_col().and_then(|column| parameters.maybe_index_of_column(column));
            if let Some(parameter) = place.and_then(|place| uses.get_mut(place)) {
                *parameter = Use { times: parameter.times + 1, level: parameter.level.max(level) };
            }
        })?;
        Ok(Self { name, signature, defaults, returns, body, parameters, size, uses })
    }

    /// Refuses a call whose expression would be too large, or would compute twice what is different each time.
    fn check_call(&self, args: &[Expr]) -> Result<()> {
        let name = &self.name;
        let Size { mut parts, mut levels, .. } = self.size;
        for ((place, arg), used) in (1..).zip(args).zip(&self.uses) {
            let size = Size::of(arg)?;
            parts = parts.saturating_add(size.parts.saturating_mul(used.times));
            levels = levels.max(used.level + size.levels);
            if size.varies && used.times > 1 {
                return plan_err!(
                    "argument {place} of function {name} is different each time it is computed, and the function uses it {} \
                     times; compute it in a subquery first, and give the function its column",
                    used.times
                );
            }
        }
        if parts > MAX_INLINED || levels > MAX_LOGICAL {
            return plan_err!(
                "a call of function {name} stands for an expression that is too large: {parts} parts on {levels} levels, \
                 where {MAX_INLINED} parts on {MAX_LOGICAL} levels can be; compute its arguments in a subquery first"
            );
        }
        Ok(())
    }

    /// The arguments of a call, and the defaults of those that it leaves out.
    fn complete(&self, mut args: Vec<Expr>) -> Result<Vec<Expr>> {
        for default in self.defaults.iter().skip(args.len()) {
            let default = default.clone();
            args.push(default.ok_or_else(|| plan_datafusion_err!("too few arguments for function {}", self.name))?);
        }
        Ok(args)
    }
}

/// The body with its parameters as columns, of the right types, with nothing in it that only this session knows.
fn expand(name: &str, body: Expr, returns: &DataType, parameters: &DFSchemaRef, state: &SessionState) -> Result<Expr> {
    let columns = body.transform_up(|expr| match expr {
        Expr::Placeholder(placeholder) => {
            if !parameters.has_column_with_unqualified_name(&placeholder.id) {
                return plan_err!("function {name} has no parameter {}", placeholder.id);
            }
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(placeholder.id))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(parameters))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let body = simplifier.coerce(columns.data, parameters)?.cast_to(returns, parameters)?;
    let body = simplifier.simplify(body)?;
    let mut parts = 0;
    body.apply(|expr| {
        parts += 1;
        match expr {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_) => {
                plan_err!("function {name} uses {expr}; its body can only use scalar functions and its parameters")
            }
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                plan_err!("function {name} uses a subquery; its body can only use scalar functions and its parameters")
            }
            _ if parts > MAX_PARTS => {
                plan_err!("function {name} is too large: more than {MAX_PARTS} parts, with the functions that it calls")
            }
            _ => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(body)
}

impl ScalarUDFImpl for Macro {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    /// The types of the parameters, whatever can be cast to them: `f(1)` is meant to fit a parameter of any number.
    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let types = self.parameters.fields().iter().map(|field| field.data_type());
        let most = types.len();
        let least = self.defaults.iter().take_while(|d| d.is_none()).count();
        if !(least..=most).contains(&args.len()) {
            return plan_err!("function {} takes {least} to {most} arguments, and was given {}", self.name, args.len());
        }
        for (arg, wanted) in args.iter().zip(types.clone()) {
            if !can_cast_types(arg, wanted) {
                return plan_err!("function {} takes a {wanted}, and was given a {arg}", self.name);
            }
        }
        Ok(types.take(args.len()).cloned().collect())
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let args = self.complete(args)?;
        self.check_call(&args)?;
        let inlined = self.body.clone().transform_up(|expr| match &expr {
            Expr::Column(column) => match self.parameters.index_of_column(column) {
                Ok(place) => Ok(Transformed::yes(args[place].clone())),
                Err(_) => internal_err!("function {} has a column {column}", self.name),
            },
            _ => Ok(Transformed::no(expr)),
        })?;
        Ok(ExprSimplifyResult::Simplified(inlined.data))
    }

    /// For calls of constants, which planning computes.
    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = call.number_rows;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
        let mut columns = call.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        for default in self.defaults.iter().skip(columns.len()).flatten() {
            columns.push(evaluate(default, &DFSchema::empty(), &nothing)?.into_array(rows)?);
        }
        let batch = RecordBatch::try_new_with_options(Arc::clone(self.parameters.inner()), columns, &options)?;
        evaluate(&self.body, &self.parameters, &batch)
    }
}

fn evaluate(expr: &Expr, schema: &DFSchema, batch: &RecordBatch) -> Result<ColumnarValue> {
    create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?.evaluate(batch)
}
