//! A run as JSON, for programs.

use super::Report;
use crate::failure::{Doing, Failure};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn json(report: &Report<'_>) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(&value(report)).doing("the report")?;
    text.push('\n');
    Ok(text)
}

fn value(report: &Report<'_>) -> Value {
    let engines = report.engines.iter().map(|engine| {
        let shares = engine.peak.shares();
        let shares = shares.iter().map(|share| json!({"kind": share.kind, "count": share.count, "mib": share.mib}));
        json!({
            "name": engine.kind.name(),
            "version": engine.version,
            "peak_memory_mib": engine.peak.mib(),
            "peak_memory_of": shares.collect::<Vec<_>>(),
        })
    });
    let queries = report.measured.iter().map(|query| {
        let outcomes = query.outcomes.iter().zip(report.engines).map(|(outcome, engine)| {
            json!({
                "engine": engine.kind.name(),
                "seconds": outcome.seconds,
                "median": outcome.median(),
                "rows": outcome.rows,
                "outputs_right": outcome.right,
                "rows_open_at_limit": outcome.open,
                "failure": outcome.failure,
                "wrong": outcome.wrong,
            })
        });
        json!({"query": query.query, "engines": outcomes.collect::<Vec<_>>()})
    });
    json!({
        "benchmark": "tpch",
        "scale": report.terms.scale,
        "runs": report.terms.runs,
        "cores": report.terms.cores,
        "executor_memory_mib": report.terms.executor_memory_mib,
        "warm": report.terms.warm,
        "conf": report.terms.shown_conf().collect::<BTreeMap<_, _>>(),
        "machine": report.machine,
        "busy": report.machine.is_busy(),
        "debug_build": cfg!(debug_assertions),
        "good": report.is_good(),
        "engines": engines.collect::<Vec<_>>(),
        "queries": queries.collect::<Vec<_>>(),
        "totals": totals(report),
        "left_out": report.skipped,
    })
}

/// Each Hearth beside each other engine.
fn totals(report: &Report<'_>) -> Vec<Value> {
    let name = |place: usize| report.engines[place].kind.name();
    let mut totals = Vec::new();
    for hearth in report.hearths() {
        for other in (0..report.engines.len()).filter(|&other| other != hearth) {
            if let Some(pair) = report.pair(hearth, other) {
                totals.push(json!({
                    "engine": name(hearth),
                    "over": name(other),
                    "queries": pair.queries,
                    "seconds": pair.first,
                    "over_seconds": pair.second,
                    "ratio": pair.ratio(),
                    "worst_query": pair.most.0,
                    "worst_ratio": pair.most.1,
                }));
            }
        }
    }
    totals
}
