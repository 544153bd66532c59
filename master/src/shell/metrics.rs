//! The cluster as Prometheus text.

use hearth_core::{
    ApplicationState, ExecutorState, WorkerState,
    messages::status::{ClusterView, WorkerView},
};
use std::fmt::{Display, Write};

/// All metrics of a master.
pub(super) fn text(view: &ClusterView, handled: u64) -> String {
    let mut out = String::new();
    let workers = |state| view.workers.iter().filter(|worker| worker.state == state).count();
    by_state(&mut out, "workers", "Workers, by state.", WorkerState::ALL, |s| workers(*s));

    let sum = |of: fn(&WorkerView) -> u64| -> u64 {
        view.workers.iter().filter(|worker| worker.state == WorkerState::Alive).map(of).sum()
    };
    let mib = |memory: u64| memory.saturating_mul(1 << 20);
    gauge(&mut out, "cores", "Cores of living workers.", sum(|w| w.total.cores.into()));
    gauge(&mut out, "cores_used", "Cores that executors hold.", sum(|w| w.used.cores.into()));
    gauge(&mut out, "memory_bytes", "Memory of living workers.", mib(sum(|w| w.total.memory_mib)));
    gauge(&mut out, "memory_used_bytes", "Memory that executors hold.", mib(sum(|w| w.used.memory_mib)));

    let applications = || view.active.iter().chain(&view.completed);
    let of = |state| applications().filter(|application| application.state == state).count();
    let help = "Applications, by state; of those that are over, as many as are kept.";
    by_state(&mut out, "applications", help, ApplicationState::ALL, |s| of(*s));
    let waiting = view.active.iter().filter(|application| application.waiting.is_some()).count();
    gauge(&mut out, "applications_waiting", "Applications that have less than they asked for.", waiting);

    let executors = || applications().flat_map(|application| &application.executors);
    let of = |state| executors().filter(|executor| executor.state == state).count();
    let live: Vec<_> = ExecutorState::ALL.iter().filter(|state| !state.is_final()).copied().collect();
    by_state(&mut out, "executors", "Executors that are not over, by state.", &live, |s| of(*s));

    header(&mut out, "events_total", "Events that the master has handled.", "counter");
    sample(&mut out, "events_total", "", handled);
    out
}

fn by_state<S: Display>(out: &mut String, name: &str, help: &str, states: &[S], count: impl Fn(&S) -> usize) {
    header(out, name, help, "gauge");
    for state in states {
        sample(out, name, &format!("{{state=\"{state}\"}}"), count(state));
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: impl Display) {
    header(out, name, help, "gauge");
    sample(out, name, "", value);
}

fn header(out: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP hearth_master_{name} {help}\n# TYPE hearth_master_{name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(out, "hearth_master_{name}{labels} {value}");
}
