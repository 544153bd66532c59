//! Why something is as it is: the typed reason of every "not now", and what `hearth explain` prints.

use super::{
    Master,
    application::{Application, Completed, Presence},
    application_link::named,
    ends::Ends,
    worker::{Standing, Worker},
};
use hearth_core::{ApplicationId, ExecutorId, ExecutorState, Now, Refusal, Resources, WorkerId};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    time::Duration,
};

/// Holders that are named; the rest is counted.
const NAMED_HOLDERS: usize = 5;

/// An application that holds what another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub application: ApplicationId,
    /// Its name; nothing when it is over and its executors are still ending.
    pub name: Option<String>,
    /// What it holds on all workers.
    pub held: Resources,
}

/// Why an application gets no (more) executors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its driver's link is broken.
    DriverAway,
    /// No worker is registered and alive.
    NoWorkers {
        /// Workers that are dead.
        dead: usize,
        /// Workers that said that they leave.
        left: usize,
    },
    /// No worker could run one of its executors, not even when it is empty.
    NoWorkerFits {
        /// One executor.
        asked: Resources,
        /// The worker with most cores.
        most_cores: Resources,
        /// The worker with most memory.
        most_memory: Resources,
    },
    /// The workers that could run an executor have not enough free cores.
    AllCoresTaken {
        /// One executor.
        asked: Resources,
        /// Free on all workers.
        free: Resources,
        /// What all workers offer.
        total: Resources,
        /// Who holds the rest, those with most first.
        holders: Vec<Holder>,
    },
    /// Cores are free, but not enough memory beside them.
    MemoryTaken {
        /// One executor.
        asked: Resources,
        /// The most memory that is free beside enough cores, in MiB.
        most_free_mib: u64,
        /// Who holds the rest, those with most first.
        holders: Vec<Holder>,
    },
    /// It has all the cores it may have.
    AtItsCap {
        /// The cap.
        cap: u32,
        /// What it holds.
        held: u32,
        /// Cores of one executor.
        unit: u32,
    },
    /// It has all the executors it may have.
    AtItsExecutorLimit {
        /// The limit.
        limit: u32,
        /// How many it has.
        held: usize,
    },
    /// Its executors ended too quickly, too often; there is a pause before the next one.
    TooManyExecutorFailures {
        /// Failures in a row.
        failed: u32,
        /// Failures that end it when none is running.
        limit: u32,
        /// How long the pause still lasts.
        pause: Duration,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DriverAway => f.write_str("its driver's link is broken; nothing is granted until it is back"),
            Self::NoWorkers { dead, left } => {
                f.write_str(match (dead, left) {
                    (0, 0) => "no worker is registered",
                    _ => "no worker is alive",
                })?;
                match (dead, left) {
                    (0, 0) => {}
                    (dead, 0) => write!(f, " ({dead} dead)")?,
                    (0, left) => write!(f, " ({left} stopped)")?,
                    (dead, left) => write!(f, " ({dead} dead, {left} stopped)")?,
                }
                f.write_str("; start one with `hearth worker` and the master's URL")
            }
            Self::NoWorkerFits { asked, most_cores, most_memory } => {
                write!(f, "no worker is large enough for one executor of {asked}: the largest has {most_cores}")?;
                if most_cores != most_memory {
                    write!(f, ", the one with most memory {most_memory}")?;
                }
                f.write_str("; ask for less with --executor-cores or --executor-memory, or start a larger worker")
            }
            Self::AllCoresTaken { asked, free, total, holders } => {
                write!(f, "no executor of {asked} fits now: {free} of {total} are free, ")?;
                holding(f, holders)
            }
            Self::MemoryTaken { asked, most_free_mib, holders } => {
                write!(
                    f,
                    "no executor of {asked} fits now: cores are free, but at most {most_free_mib} MiB beside them, "
                )?;
                holding(f, holders)
            }
            Self::AtItsCap { cap, held, .. } if cap == held => {
                write!(f, "it has all it may have: its cap is {} (--total-executor-cores)", counted(*held, "core"))
            }
            Self::AtItsCap { cap, held, unit } => {
                write!(f, "its cap is {} (--total-executor-cores), it holds {held}, and an ", counted(*cap, "core"))?;
                write!(f, "executor of {} (--executor-cores) would be above it", counted(*unit, "core"))
            }
            Self::AtItsExecutorLimit { limit, held } => {
                write!(f, "it has all it may have: {}, its limit is {limit}", counted(*held, "executor"))
            }
            Self::TooManyExecutorFailures { failed, limit, pause } => {
                write!(f, "its executors end soon after their start ({failed} failures in a row, {limit} end it); ")?;
                write!(f, "the next one is started in {:.1} s", pause.as_secs_f64())
            }
        }
    }
}

fn holding(f: &mut fmt::Formatter<'_>, holders: &[Holder]) -> fmt::Result {
    if holders.is_empty() {
        return f.write_str("and nobody holds the rest: it is spread over workers too thinly");
    }
    f.write_str("the rest is held by ")?;
    for (i, holder) in holders.iter().take(NAMED_HOLDERS).enumerate() {
        let separator = if i == 0 { "" } else { "; " };
        let name = holder.name.as_deref().map_or_else(|| "(ending)".into(), named);
        write!(f, "{separator}{} {name}: {}", holder.application, holder.held)?;
    }
    match holders.len().saturating_sub(NAMED_HOLDERS) {
        0 => Ok(()),
        more => write!(f, "; and {more} more"),
    }
}

impl Master {
    /// Why an application gets no more than it has; nothing when the next placement would give it something.
    pub(super) fn wait_reason(&self, now: Now, application: &Application) -> Option<WaitReason> {
        let options = &self.options;
        if application.link().is_none() {
            return Some(WaitReason::DriverAway);
        }
        let wants = application.wants(options);
        if wants.executors == 0 {
            let held = application.executors.len();
            return Some(WaitReason::AtItsExecutorLimit { limit: application.limit(options), held });
        }
        if let Some(cap) = application.cap(options).filter(|_| !wants.is_open()) {
            let (held, unit) = (application.held().cores, wants.unit().cores);
            return Some(WaitReason::AtItsCap { cap, held, unit });
        }
        if let Some(at) = application.retries.pause_until {
            let (failed, limit) = (application.retries.failed, options.max_executor_retries);
            return Some(WaitReason::TooManyExecutorFailures { failed, limit, pause: at.since(now) });
        }
        self.lack(wants.unit())
    }

    /// What the cluster lacks to give an executor of this size.
    fn lack(&self, asked: Resources) -> Option<WaitReason> {
        let usable: Vec<_> = self.workers.values().filter(|worker| worker.link().is_some()).collect();
        if usable.is_empty() {
            let left = self.workers.values().filter(|worker| worker.has_left()).count();
            let over = self.workers.values().filter(|worker| !worker.is_alive()).count();
            return Some(WaitReason::NoWorkers { dead: over - left, left });
        }
        let fitting: Vec<_> = usable.iter().filter(|worker| worker.total.fits(&asked)).collect();
        if fitting.is_empty() {
            let largest = |key: fn(&Resources) -> (u64, u64)| usable.iter().map(|w| w.total).max_by_key(key);
            return Some(WaitReason::NoWorkerFits {
                asked,
                most_cores: largest(|r| (u64::from(r.cores), r.memory_mib)).unwrap_or_default(),
                most_memory: largest(|r| (r.memory_mib, u64::from(r.cores))).unwrap_or_default(),
            });
        }
        if fitting.iter().any(|worker| worker.free().fits(&asked)) {
            return None;
        }
        let with_cores = fitting.iter().map(|w| w.free()).filter(|free| free.cores >= asked.cores);
        if let Some(most_free_mib) = with_cores.map(|free| free.memory_mib).max() {
            let holders = self.holders(|r| r.memory_mib);
            return Some(WaitReason::MemoryTaken { asked, most_free_mib, holders });
        }
        let sum = |of: fn(&Worker) -> Resources| usable.iter().fold(Resources::default(), |sum, w| sum.plus(&of(w)));
        Some(WaitReason::AllCoresTaken {
            asked,
            free: sum(Worker::free),
            total: sum(|worker| worker.total),
            holders: self.holders(|r| u64::from(r.cores)),
        })
    }

    /// Who holds something on living workers, those with most first.
    fn holders(&self, measure: fn(&Resources) -> u64) -> Vec<Holder> {
        let mut held: BTreeMap<&ApplicationId, Resources> = BTreeMap::new();
        for worker in self.workers.values() {
            for ((application, _), executor) in worker.executors() {
                let sum = held.entry(application).or_default();
                *sum = sum.plus(&executor.resources);
            }
        }
        let mut holders: Vec<_> = held
            .into_iter()
            .map(|(id, held)| Holder {
                application: id.clone(),
                name: self.serials.get(id).map(|serial| self.applications[serial].spec.name.clone()),
                held,
            })
            .collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(measure(&holder.held)));
        holders
    }

    /// Lines for people about an application, a worker, or an executor as `APPLICATION/EXECUTOR`.
    pub(super) fn explain(&self, now: Now, id: &str) -> Result<String, Refusal> {
        let unknown = || Refusal::UnknownId(id.chars().take(200).collect());
        if let Some((application, executor)) = id.split_once('/') {
            let application = application.parse().map_err(|_| unknown())?;
            let executor = executor.parse().map(ExecutorId).map_err(|_| unknown())?;
            return self.explain_executor(now, &application, executor).ok_or_else(unknown);
        }
        let application = id.parse().ok().and_then(|id| self.explain_application(now, &id));
        let worker = || id.parse().ok().and_then(|id| self.explain_worker(now, &id));
        application.or_else(worker).ok_or_else(unknown)
    }

    fn explain_application(&self, now: Now, id: &ApplicationId) -> Option<String> {
        let mut out = String::new();
        let Some(application) = self.serials.get(id).map(|serial| &self.applications[serial]) else {
            let over = self.over(id)?;
            line(&mut out, format_args!("{id} {} is over: {}", named(&over.view.name), over.view.state));
            if !over.view.message.is_empty() {
                line(&mut out, format_args!("  {}", over.view.message));
            }
            for ending in self.dying(id) {
                line(&mut out, format_args!("  {ending}"));
            }
            lines_of(&mut out, &over.ends);
            return Some(out);
        };
        let held = application.held();
        line(&mut out, format_args!("{id} {} is {}", named(&application.spec.name), application.state()));
        let count = counted(application.executors.len(), "executor");
        line(&mut out, format_args!("  it has {count} with {held}"));
        match self.wait_reason(now, application) {
            Some(reason) if application.is_short(&self.options) => line(&mut out, format_args!("  it waits: {reason}")),
            Some(reason) => line(&mut out, format_args!("  it gets no more: {reason}")),
            None => {}
        }
        if let Presence::Away { since } = application.presence {
            let left = since.after(self.options.driver_grace).since(now);
            line(&mut out, format_args!("  unless its driver is back in {:.1} s, it is ended", left.as_secs_f64()));
        }
        for (executor, held) in &application.executors {
            let state = self.workers[&held.worker].executors()[&(id.clone(), *executor)].state;
            line(&mut out, format_args!("  executor {executor} on {}: {state}, {}", held.worker, held.resources));
        }
        lines_of(&mut out, &application.ends);
        Some(out)
    }

    /// An application that is over and still remembered.
    fn over(&self, id: &ApplicationId) -> Option<&Completed> {
        self.completed.iter().rev().find(|completed| completed.view.id == *id)
    }

    /// Executors of an application that is over which still hold something.
    fn dying(&self, id: &ApplicationId) -> Vec<String> {
        let on = |(worker, host): (&WorkerId, &Worker)| -> Vec<String> {
            let its = host.executors().iter().filter(|((application, _), _)| application == id);
            its.map(|((_, e), held)| format!("executor {e} on {worker} is still ending and holds {}", held.resources))
                .collect()
        };
        self.workers.iter().flat_map(on).collect()
    }

    fn explain_worker(&self, now: Now, id: &WorkerId) -> Option<String> {
        let worker = self.workers.get(id)?;
        let mut out = String::new();
        line(&mut out, format_args!("{id} at {} is {}", worker.address, worker.state()));
        let silent = now.since(worker.last_heard).as_secs_f64();
        match &worker.standing {
            Standing::Linked(_) => line(&mut out, format_args!("  it was last heard of {silent:.1} s ago")),
            Standing::Away { since } => {
                let left = since.after(self.options.worker_link_grace).since(now).as_secs_f64();
                line(&mut out, format_args!("  its link broke; unless it is back in {left:.1} s, it is dead"));
            }
            Standing::Dead { since, reason, .. } => {
                line(&mut out, format_args!("  since {:.1} s: {reason}", now.since(*since).as_secs_f64()));
                return Some(out);
            }
        }
        line(&mut out, format_args!("  {} of {} are free", worker.free(), worker.total));
        for ((application, executor), held) in worker.executors() {
            line(&mut out, format_args!("  {application}/{executor}: {}{}", held.resources, fate(held)));
        }
        Some(out)
    }

    fn explain_executor(&self, now: Now, application: &ApplicationId, executor: ExecutorId) -> Option<String> {
        let key = (application.clone(), executor);
        let mut out = String::new();
        if let Some((worker, held)) = self.workers.iter().find_map(|(id, w)| Some((id, w.executors().get(&key)?))) {
            let place = format!("{application}/{executor} on {worker} is {}", held.state);
            line(&mut out, format_args!("{place} with {}{}", held.resources, fate(held)));
            if let Some(since) = held.running_since.filter(|_| held.state == ExecutorState::Running) {
                line(&mut out, format_args!("  it has been running for {:.1} s", now.since(since).as_secs_f64()));
            }
            return Some(out);
        }
        let (ends, ever_had) = match self.serials.get(application) {
            Some(serial) => (&self.applications[serial].ends, self.applications[serial].ever_had()),
            None => self.over(application).map(|over| (&over.ends, over.ever_had))?,
        };
        let Some(end) = ends.of(executor) else {
            if executor.0 >= ever_had {
                return None;
            }
            line(
                &mut out,
                format_args!("{application}/{executor} is over; how it ended is forgotten, later ones are remembered"),
            );
            return Some(out);
        };
        line(&mut out, format_args!("{application}/{executor} on {} is over: {}", end.worker, end.state));
        if !end.message.is_empty() {
            line(&mut out, format_args!("  {}", end.message));
        }
        Some(out)
    }
}

/// A number of things, as people write it.
pub(super) fn counted(n: impl fmt::Display + PartialEq + From<u8>, what: &str) -> String {
    format!("{n} {what}{}", if n == 1.into() { "" } else { "s" })
}

/// A line for each executor that is over.
fn lines_of(out: &mut String, ends: &Ends) {
    for end in ends.iter() {
        line(out, format_args!("  executor {} on {}: {}: {}", end.executor, end.worker, end.state, end.message));
    }
}

/// What is about to happen to an executor.
fn fate(executor: &super::worker::Executor) -> String {
    executor.kill.as_ref().map_or_else(String::new, |reason| format!(", being killed: {reason}"))
}

/// Adds a line. What stands in it may come from outside: control characters are shown, not obeyed.
fn line(out: &mut String, text: fmt::Arguments<'_>) {
    for c in text.to_string().chars() {
        if c.is_control() {
            let _ = write!(out, "{}", c.escape_default()); // Writing to a String cannot fail.
        } else {
            out.push(c);
        }
    }
    out.push('\n');
}
