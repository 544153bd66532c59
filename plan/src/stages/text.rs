//! Stages for people: what `EXPLAIN` prints.
//!
//! ```text
//! stage 1: exchange -> final aggregate (1 task)
//! └─ hash, 1 partition ── stage 0: scan orders -> partial aggregate (2 tasks)
//!
//! stage 1: exchange -> final aggregate (1 task, reads stage 0 (hash), gives the result)
//! AggregateExec: …
//!   ExchangeReaderExec: …
//! ```

use super::StageText;
use hearth_core::{Exchange, StageGraph, StageNode};
use std::{collections::BTreeSet, fmt::Write};

/// Columns of a line: what most terminals have.
const WIDTH: usize = 120;

/// Columns that the tree may move to the right; stages further down stay below one another.
const MAX_INDENT: usize = 60;

/// The graph as a tree, and then each stage with its operators; the result stage first.
pub fn render(graph: &StageGraph, texts: &[StageText]) -> String {
    let mut text = overview(graph);
    for stage in texts.iter().rev() {
        text.push('\n');
        fold_into(&mut text, &stage.title);
        stage.plan.lines().for_each(|line| fold_into(&mut text, line));
    }
    text
}

/// The stages as a tree, from the result down. A stage that several read is shown below the first of them.
fn overview(graph: &StageGraph) -> String {
    let mut text = String::new();
    let mut shown = BTreeSet::new();
    // What is still to be shown: a stage, what stands before it, and what before the stages below it.
    let mut rest = vec![(graph.result(), String::new(), String::new())];
    while let Some((place, before, below)) = rest.pop() {
        let stage = &graph.stages[place];
        if !shown.insert(place) {
            fold_into(&mut text, &format!("{before}stage {place}, see above"));
            continue;
        }
        let tasks = sized(stage.tasks, stage.slots);
        fold_into(&mut text, &format!("{before}stage {place}: {} ({tasks})", stage.name));
        for (i, edge) in stage.inputs.iter().enumerate().rev() {
            let (branch, bar) = if i + 1 == stage.inputs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let line = format!("{below}{branch}{} ── ", travel(edge.exchange, &graph.stages[edge.from]));
            let deeper = if below.chars().count() < MAX_INDENT { format!("{below}{bar}") } else { below.clone() };
            rest.push((edge.from, line, deeper));
        }
    }
    text
}

/// How rows come from a stage.
fn travel(exchange: Exchange, from: &StageNode) -> String {
    match exchange {
        Exchange::Single | Exchange::Broadcast => exchange.to_string(),
        _ => format!("{exchange}, {}", counted(from.output_partitions, "partition")),
    }
}

/// Tasks, with their slots where those are several.
pub(super) fn sized(tasks: u32, slots: u32) -> String {
    match slots {
        1 => counted(tasks, "task"),
        _ => format!("{} of {slots} slots", counted(tasks, "task")),
    }
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Adds a line, or several when it is too long; those that continue it stand four columns further to the right. Words are
/// not cut.
fn fold_into(text: &mut String, line: &str) {
    let indent = line.len() - line.trim_start_matches(' ').len() + 4;
    let mut width = 0;
    for (i, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if i > 0 && width + 1 + length > WIDTH && width > indent {
            // Writing into a string does not fail.
            let _ = write!(text, "\n{:indent$}{word}", "");
            width = indent + length;
            continue;
        }
        if i > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_core::{Determinism, Edge, Payload};

    fn stage(name: &str, tasks: u32, output_partitions: u32, inputs: &[(usize, Exchange)]) -> StageNode {
        StageNode {
            name: name.into(),
            tasks,
            slots: 1,
            inputs: inputs.iter().map(|&(from, exchange)| Edge { from, exchange }).collect(),
            output_partitions,
            payload: Payload::new(""),
            determinism: Determinism::Determinate,
        }
    }

    #[test]
    fn a_graph_is_a_tree_with_each_stage_once() {
        let graph = StageGraph {
            stages: vec![
                stage("scan a", 3, 4, &[]),
                stage("scan b", 1, 1, &[]),
                stage("join", 4, 1, &[(0, Exchange::Hash), (1, Exchange::Broadcast)]),
                stage("merge", 1, 1, &[(2, Exchange::Single), (1, Exchange::Single)]),
            ],
        };
        let expected = "\
stage 3: merge (1 task)
├─ single ── stage 2: join (4 tasks)
│  ├─ hash, 4 partitions ── stage 0: scan a (3 tasks)
│  └─ broadcast ── stage 1: scan b (1 task)
└─ single ── stage 1, see above
";
        assert_eq!(overview(&graph), expected);
        let texts = vec![StageText { title: "stage 0: x".into(), plan: "A\n  B\n".into() }; 2];
        assert_eq!(render(&graph, &texts), format!("{expected}\nstage 0: x\nA\n  B\n\nstage 0: x\nA\n  B\n"));
    }

    #[test]
    fn a_graph_of_any_depth_is_shown() {
        let one = |place: usize| match place {
            0 => stage("scan", 1, 1, &[]),
            _ => stage("step", 1, 1, &[(place - 1, Exchange::Single)]),
        };
        let text = overview(&StageGraph { stages: (0..10_000).map(one).collect() });
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.len() < 10_000 * 150);
    }

    #[test]
    fn long_lines_are_folded_between_words() {
        let words = ["a_word_of_ten"; 30].join(", ");
        let mut text = String::new();
        fold_into(&mut text, &format!("  Exec: {words}"));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() > 3 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(lines[1..].iter().all(|line| line.starts_with("      a")), "{text}");
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            format!("Exec: {words}").split(' ').collect::<Vec<_>>()
        );
        let mut uncut = String::new();
        fold_into(&mut uncut, &"x".repeat(500));
        assert_eq!(uncut, format!("{}\n", "x".repeat(500)));
    }
}
