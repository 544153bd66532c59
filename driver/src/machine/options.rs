//! What the driver's machine is told before it starts.

use hearth_core::{
    conf::SchedulingMode,
    messages::{VERSION, application::ApplicationSpec},
};
use std::{collections::BTreeMap, time::Duration};

/// Figures and names; `Default` holds the figures of the specification.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverOptions {
    /// What the application asks the master for.
    pub spec: ApplicationSpec,
    /// The master's address, as errors name it; `None` when nobody is asked and executors come by themselves.
    pub master: Option<String>,
    /// Failures of one task that abort its job (`spark.task.maxFailures`).
    pub task_max_failures: u32,
    /// Whether slow tasks get a copy, and when.
    pub speculation: Option<Speculation>,
    /// Whether places where tasks failed are left out, and when.
    pub exclusion: Option<Exclusion>,
    /// How jobs share slots.
    pub pools: Pools,
    /// Attempts of one stage that may fail to fetch in a row (`spark.stage.maxConsecutiveAttempts`).
    pub stage_max_attempts: u32,
    /// How long after a failed fetch its stages are submitted again, so that a burst becomes one resubmission.
    pub resubmit_delay: Duration,
    /// Silence after which an executor is lost (`spark.network.timeout`).
    pub network_timeout: Duration,
    /// How long an executor whose link closed may take to come back before its tasks are queued again.
    pub link_grace: Duration,
    /// How long open jobs without any executor wait for one when none can be had: the master is away, or has no
    /// replacement for those that are gone.
    pub executor_grace: Duration,
    /// How long a killed task may take to end before it costs its executor (`hearth.task.reapTimeout`).
    pub reap_timeout: Duration,
    /// Tries to reach the master before the first registration.
    pub master_dial_tries: u32,
    /// How long the first registration may take in all, and how long a master may take to answer any registration.
    pub register_timeout: Duration,
    /// The first pause between two tries to reach the master; doubled each time.
    pub backoff_min: Duration,
    /// The longest pause. Below the master's grace for drivers (10 s), so that a flapping link costs no application.
    pub backoff_max: Duration,
    /// How often to tell the master that the driver lives.
    pub master_heartbeat: Duration,
    /// Bytes of results that may wait in the driver for their reader, one job. A running result task counts as
    /// [`INLINE_LIMIT`], the most that it may send: 256 MiB let 256 result tasks run ahead of the reader.
    pub result_buffer_bytes: u64,
    /// Jobs that may be open at once: each is a query that somebody waits for.
    pub max_jobs: usize,
}

/// Whom tasks that failed leave out (`spark.excludeOnFailure`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// How long the application leaves somebody out (`.timeout`).
    pub timeout: Duration,
    /// Failures of a task on an executor (`.task.maxTaskAttemptsPerExecutor`).
    pub task_per_executor: u32,
    /// Failures of a task on a worker (`.task.maxTaskAttemptsPerNode`).
    pub task_per_node: u32,
    /// Tasks of a stage that failed on an executor (`.stage.maxFailedTasksPerExecutor`).
    pub stage_per_executor: u32,
    /// Executors of a worker that a stage leaves out (`.stage.maxFailedExecutorsPerNode`).
    pub stage_per_node: u32,
    /// Tasks of stages that succeeded which failed on an executor (`.application.maxFailedTasksPerExecutor`).
    pub application_per_executor: u32,
    /// Executors of a worker that the application leaves out (`.application.maxFailedExecutorsPerNode`).
    pub application_per_node: u32,
    /// How long a task waits that may run nowhere (`spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout`).
    pub unschedulable_timeout: Duration,
}

impl Default for Exclusion {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3600),
            task_per_executor: 1,
            task_per_node: 2,
            stage_per_executor: 2,
            stage_per_node: 2,
            application_per_executor: 2,
            application_per_node: 2,
            unschedulable_timeout: Duration::from_secs(120),
        }
    }
}

/// Jobs that share slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Who of its jobs is served first.
    pub mode: SchedulingMode,
    /// Its share, against those of other pools.
    pub weight: u32,
    /// Slots that it gets before shares count.
    pub min_share: u32,
}

/// All pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// Whether there are pools at all: in mode FIFO all jobs are in one line.
    pub mode: SchedulingMode,
    /// Those that are set up; others have weight 1 and no minimum.
    pub named: BTreeMap<String, Pool>,
}

/// The pool of jobs that name none.
pub const DEFAULT_POOL: &str = "default";

/// Copies of tasks that run much longer than the others (`spark.speculation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speculation {
    /// How often slow tasks are looked for (`spark.speculation.interval`).
    pub interval: Duration,
    /// How many thousandths of the median time make a task slow (`spark.speculation.multiplier`).
    pub multiplier_thousandths: u32,
    /// How many thousandths of a stage's tasks must be done before (`spark.speculation.quantile`).
    pub quantile_thousandths: u32,
    /// No task is slow that runs for less (`spark.speculation.minTaskRuntime`).
    pub min_runtime: Duration,
}

impl Default for Speculation {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            multiplier_thousandths: 3000,
            quantile_thousandths: 900,
            min_runtime: Duration::from_millis(100),
        }
    }
}

/// Bytes of a result block that travels with its status; larger ones are stored and fetched.
pub const INLINE_LIMIT: u64 = 1 << 20;

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            spec: ApplicationSpec {
                version: VERSION.into(),
                name: "hearth".into(),
                user: String::new(),
                driver_url: String::new(),
                cores_per_executor: None,
                memory_per_executor_mib: 1024,
                max_cores: None,
                max_executors: None,
                conf: BTreeMap::new(),
            },
            master: None,
            task_max_failures: 4,
            speculation: None,
            exclusion: None,
            pools: Pools::default(),
            stage_max_attempts: 4,
            resubmit_delay: Duration::from_millis(200),
            network_timeout: Duration::from_secs(120),
            link_grace: Duration::from_secs(2),
            executor_grace: Duration::from_secs(30),
            reap_timeout: Duration::from_secs(30),
            master_dial_tries: 3,
            register_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(8),
            master_heartbeat: Duration::from_secs(10),
            result_buffer_bytes: 256 * INLINE_LIMIT,
            max_jobs: 1000,
        }
    }
}
