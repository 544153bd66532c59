//! The keys that Hearth reads: name, type, default and meaning of each. `docs/configuration.md` shows this table.
//!
//! [`EXECUTOR_MEMORY`] and [`WORKER_MEMORY_RESERVE`] give MiB, the unit of placement; every other size gives bytes.

use super::{
    Entry, Fuse, Key, RangeSort, Reader, SchedulingMode, ShufflePartitions,
    master_url::MasterUrl,
    value::{
        boolean, bytes_in_bytes, bytes_in_mib, bytes_or_off, count, directories, directory, file, fuse, host,
        limit_in_bytes, line, master, memory_mib, millis, optional, pause_in_seconds, port, range_sort,
        scheduling_mode, seconds, shuffle_partitions, thousandths,
    },
};
use std::{path::PathBuf, time::Duration};

/// Each entry is `CONSTANT: Type = "name", "default", how its values are read;`. A default of "" is unset. What is read anew
/// for each statement says `, per_statement` at its end.
macro_rules! keys {
    (@when) => { false };
    (@when per_statement) => { true };
    ($($reader:ident { $(
        $(#[doc = $doc:literal])+ $key:ident: $ty:ty = $name:literal, $default:literal, $parse:expr $(, $when:ident)?;
    )+ })+) => {
        $($(
            $(#[doc = $doc])+
            #[doc = ""]
            #[doc = concat!("`", $name, "`, default `", $default, "`")]
            pub const $key: Key<$ty> = Key { name: $name, default: $default, parse: $parse };
        )+)+

        const ALL: &[Entry] = &[$($(Entry {
            name: $name,
            default: $default,
            doc: concat!($($doc),+),
            reader: Reader::$reader,
            per_statement: keys!(@when $($when)?),
            check: |text| $key.parse(text).map(drop),
        }),+),+];
    };
}

/// The largest count where nothing smaller limits it.
const ANY: u32 = u32::MAX;
/// Cores of one machine, as the wire bounds them.
const CORES: u32 = 1 << 16;

keys! {
    Application {
        /// The application's name, for people.
        APP_NAME: String = "spark.app.name", "hearth", line;
        /// Where the application runs.
        MASTER: MasterUrl = "spark.master", "local[*]", master;
        /// Cores that the application may hold in all; unset is no limit.
        CORES_MAX: Option<u32> = "spark.cores.max", "", |t| optional(t, count::<1, ANY>);
        /// Cores of one executor; unset means one executor a worker that takes as many cores as it gets.
        EXECUTOR_CORES: Option<u32> = "spark.executor.cores", "", |t| optional(t, count::<1, CORES>);
        /// Memory of one executor; a plain number is MiB.
        EXECUTOR_MEMORY: u64 = "spark.executor.memory", "1g", memory_mib;
        /// Executors that the application may hold in all; unset is no limit.
        EXECUTOR_INSTANCES: Option<u32> = "spark.executor.instances", "", |t| optional(t, count::<1, ANY>);
        /// Tasks of a stage that reads a shuffle; `auto` is one for each core that the application may use, and more where
        /// statistics say that what a join builds would not fit into a task's memory.
        SQL_SHUFFLE_PARTITIONS: ShufflePartitions = "spark.sql.shuffle.partitions", "auto", shuffle_partitions, per_statement;
        /// Whether a query is one task with as many threads as there are slots, where all slots are in one executor
        /// (`local[N]`): `auto`, or `never`, which cuts it into stages as on a cluster.
        SQL_FUSE: Fuse = "hearth.sql.fuse", "auto", fuse, per_statement;
        /// The largest side of a join, by estimate, of which every task gets a copy instead of both sides being shuffled; -1 is
        /// never.
        SQL_AUTO_BROADCAST_JOIN_THRESHOLD: Option<u64> = "spark.sql.autoBroadcastJoinThreshold", "10m", bytes_or_off, per_statement;
        /// Bytes of files that one task reads at most.
        SQL_FILES_MAX_PARTITION_BYTES: u64 = "spark.sql.files.maxPartitionBytes", "128m", bytes_in_bytes, per_statement;
        /// What opening a file costs, in bytes that could be read meanwhile.
        SQL_FILES_OPEN_COST: u64 = "spark.sql.files.openCostInBytes", "4m", bytes_in_bytes, per_statement;
        /// Rows of one batch inside a task.
        SQL_BATCH_SIZE: u32 = "hearth.sql.batchSize", "8192", count::<1, { 1 << 20 }>, per_statement;
        /// The directory in which `CREATE TABLE` puts tables; executors must see it under the same path. Unset, tables lie in
        /// a directory that goes with the application.
        SQL_WAREHOUSE_DIR: Option<PathBuf> = "spark.sql.warehouse.dir", "", |t| optional(t, directory);
        /// How long a request to an object store may take, tries and all.
        STORE_TIMEOUT: Duration = "hearth.store.timeout", "30s", seconds;
        /// The access key for `s3://` and `s3a://`.
        S3A_ACCESS_KEY: Option<String> = "spark.hadoop.fs.s3a.access.key", "", |t| optional(t, line);
        /// Its secret.
        S3A_SECRET_KEY: Option<String> = "spark.hadoop.fs.s3a.secret.key", "", |t| optional(t, line);
        /// The token of a session, for keys that are valid for a while.
        S3A_SESSION_TOKEN: Option<String> = "spark.hadoop.fs.s3a.session.token", "", |t| optional(t, line);
        /// Where S3 is, such as `http://127.0.0.1:9000`; unset is Amazon's.
        S3A_ENDPOINT: Option<String> = "spark.hadoop.fs.s3a.endpoint", "", |t| optional(t, line);
        /// The region of the buckets; unset is us-east-1.
        S3A_ENDPOINT_REGION: Option<String> = "spark.hadoop.fs.s3a.endpoint.region", "", |t| optional(t, line);
        /// Whether the bucket stands in the path of requests rather than in the host's name; unset is true.
        S3A_PATH_STYLE_ACCESS: Option<bool> = "spark.hadoop.fs.s3a.path.style.access", "", |t| optional(t, boolean);
        /// Whether an endpoint without `http://` or `https://` is asked by https.
        S3A_CONNECTION_SSL_ENABLED: bool = "spark.hadoop.fs.s3a.connection.ssl.enabled", "true", boolean;
        /// A class of Hadoop's; one with Anonymous in its name means requests without credentials, others nothing.
        S3A_CREDENTIALS_PROVIDER: Option<String> = "spark.hadoop.fs.s3a.aws.credentials.provider", "", |t| optional(t, line);
        /// The file with the key of a service account for `gs://`, on the driver's machine.
        GCS_KEYFILE: Option<String> = "spark.hadoop.google.cloud.auth.service.account.json.keyfile", "", |t| optional(t, line);
        /// Where Google Cloud Storage is; unset is Google's.
        GCS_ROOT_URL: Option<String> = "spark.hadoop.fs.gs.storage.root.url", "", |t| optional(t, line);
        /// Whether `gs://` is read without credentials.
        GCS_NULL_AUTH: bool = "spark.hadoop.fs.gs.auth.null.enable", "false", boolean;
        /// Whether an ORDER BY without LIMIT sorts by ranges of its keys, each in a task of its own, instead of merging in one
        /// task: `always`, `never`, or `auto`, which is when the rows are estimated at 64 MiB or more.
        SQL_RANGE_SORT: RangeSort = "hearth.sql.rangeSort", "auto", range_sort, per_statement;
        /// Failures of one task that end its job.
        TASK_MAX_FAILURES: u32 = "spark.task.maxFailures", "4", count::<1, ANY>;
        /// Attempts of one stage in a row that may fail to fetch their input before the job ends.
        STAGE_MAX_CONSECUTIVE_ATTEMPTS: u32 = "spark.stage.maxConsecutiveAttempts", "4", count::<1, ANY>;
        /// How long a killed task may take to end before it costs its executor.
        TASK_REAP_TIMEOUT: Duration = "hearth.task.reapTimeout", "30s", seconds;
        /// Which of the application's jobs gets slots first: `FIFO`, the one that came first, or `FAIR`, one of the pool that has
        /// least.
        SCHEDULER_MODE: SchedulingMode = "spark.scheduler.mode", "FIFO", scheduling_mode;
        /// The pool whose share of the slots statements take, in mode FAIR.
        SCHEDULER_POOL: String = "spark.scheduler.pool", "default", line, per_statement;
        /// The file that sets up pools, on the driver's machine: Spark's `fairscheduler.xml`.
        SCHEDULER_ALLOCATION_FILE: Option<PathBuf> = "spark.scheduler.allocation.file", "", |t| optional(t, file);
        /// Whether a task that runs much longer than others of its stage gets a copy on another worker; the first of the two to
        /// give its output wins.
        SPECULATION: bool = "spark.speculation", "false", boolean;
        /// How often slow tasks are looked for.
        SPECULATION_INTERVAL: Duration = "spark.speculation.interval", "100ms", millis;
        /// How many times the median of its stage's tasks a slow task takes.
        SPECULATION_MULTIPLIER: u32 = "spark.speculation.multiplier", "3", thousandths::<1000, 1_000_000>;
        /// The part of a stage's tasks that must be done before others count as slow.
        SPECULATION_QUANTILE: u32 = "spark.speculation.quantile", "0.9", thousandths::<0, 1000>;
        /// No task counts as slow that has run for less.
        SPECULATION_MIN_TASK_RUNTIME: Duration = "spark.speculation.minTaskRuntime", "100ms", millis;
        /// Whether executors and workers on which tasks failed get no more of them: of the same task, of the same stage, and at
        /// last of the application.
        EXCLUDE_ON_FAILURE: bool = "spark.excludeOnFailure.enabled", "false", boolean;
        /// How long the application leaves out executors and workers.
        EXCLUDE_TIMEOUT: Duration = "spark.excludeOnFailure.timeout", "1h", millis;
        /// Failures of one task on one executor after which it gets that task no more.
        EXCLUDE_TASK_PER_EXECUTOR: u32 = "spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor", "1", count::<1, ANY>;
        /// Failures of one task on one worker after which that worker gets it no more.
        EXCLUDE_TASK_PER_NODE: u32 = "spark.excludeOnFailure.task.maxTaskAttemptsPerNode", "2", count::<1, ANY>;
        /// Tasks of one stage that fail on one executor before it gets no more of that stage.
        EXCLUDE_STAGE_PER_EXECUTOR: u32 = "spark.excludeOnFailure.stage.maxFailedTasksPerExecutor", "2", count::<1, ANY>;
        /// Executors of one worker that a stage leaves out before it leaves out the worker.
        EXCLUDE_STAGE_PER_NODE: u32 = "spark.excludeOnFailure.stage.maxFailedExecutorsPerNode", "2", count::<1, ANY>;
        /// Tasks that fail on one executor, of stages that succeeded, before the application leaves it out.
        EXCLUDE_APPLICATION_PER_EXECUTOR: u32 = "spark.excludeOnFailure.application.maxFailedTasksPerExecutor", "2", count::<1, ANY>;
        /// Executors of one worker that the application leaves out before it leaves out the worker.
        EXCLUDE_APPLICATION_PER_NODE: u32 = "spark.excludeOnFailure.application.maxFailedExecutorsPerNode", "2", count::<1, ANY>;
        /// How long a task that is left out everywhere waits for another executor before its job ends.
        EXCLUDE_UNSCHEDULABLE_TIMEOUT: Duration = "spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout", "120s", seconds;
        /// How long a job waits for an executor once every one is gone and none can be had.
        JOB_EXECUTOR_GRACE: Duration = "hearth.job.executorGrace", "30s", seconds;
        /// Whether shuffle outputs are served by the machine's block service, and so outlive their executor, or by the
        /// executors to one another.
        SHUFFLE_SERVICE_ENABLED: bool = "spark.shuffle.service.enabled", "true", boolean;
        /// How often a fetch of blocks that failed is tried again.
        SHUFFLE_IO_MAX_RETRIES: u32 = "spark.shuffle.io.maxRetries", "3", count::<0, 100>;
        /// How long to wait before a fetch is tried again; shorter on loopback.
        SHUFFLE_IO_RETRY_WAIT: Duration = "spark.shuffle.io.retryWait", "5s", pause_in_seconds;
        /// Whether blocks on the reader's own machine are read from their files rather than through the network.
        SHUFFLE_LOCAL_READ: bool = "hearth.shuffle.localRead", "true", boolean;
        /// Bytes of blocks that one task may have under way.
        REDUCER_MAX_SIZE_IN_FLIGHT: u64 = "spark.reducer.maxSizeInFlight", "48m", bytes_in_mib;
        /// Bytes of results that one query may hold in the driver; rows that stream through it do not count. 0 is no limit.
        DRIVER_MAX_RESULT_SIZE: Option<u64> = "spark.driver.maxResultSize", "1g", limit_in_bytes;
        /// The name or address at which executors reach the driver.
        DRIVER_HOST: String = "spark.driver.host", "127.0.0.1", host;
        /// The address on which the driver listens, where that is not the one at which executors reach it; unset is
        /// `spark.driver.host`.
        DRIVER_BIND_ADDRESS: Option<String> = "spark.driver.bindAddress", "", |t| optional(t, host);
        /// The port at which executors reach the driver; 0 is any free one.
        DRIVER_PORT: u16 = "spark.driver.port", "0", port;
        /// Silence after which an executor is lost.
        NETWORK_TIMEOUT: Duration = "spark.network.timeout", "120s", seconds;
        /// How often an executor tells its driver that it lives.
        EXECUTOR_HEARTBEAT_INTERVAL: Duration = "spark.executor.heartbeatInterval", "10s", millis;
        /// How long an executor that hears nothing of its driver waits for it to come back before it exits.
        EXECUTOR_DRIVER_TIMEOUT: Duration = "hearth.executor.driverTimeout", "20s", seconds;
        /// The directories in which local mode and drivers keep temporary files, with commas between them: spills and shuffle
        /// files are spread over all of them, and one that fails is left out for a while. Unset is the system's. Executors on a
        /// cluster use those of their worker.
        LOCAL_DIR: Vec<PathBuf> = "spark.local.dir", "", directories;
        /// What stays free on a disk, or 2 % of the disk where that is less: where less is free, no new shuffle or spill file is
        /// begun.
        DISK_RESERVE: u64 = "hearth.disk.reserve", "1g", bytes_in_bytes;
    }
    Master {
        /// Silence after which a worker is dead; workers send four heartbeats in this time.
        WORKER_TIMEOUT: Duration = "spark.worker.timeout", "60", seconds;
        /// Whether an application's executors are spread over the workers, or packed onto few.
        DEPLOY_SPREAD_OUT_APPS: bool = "spark.deploy.spreadOutApps", "true", boolean;
        /// Cores that an application may hold which does not set `spark.cores.max`; unset is no limit.
        DEPLOY_DEFAULT_CORES: Option<u32> = "spark.deploy.defaultCores", "", |t| optional(t, count::<1, ANY>);
        /// Executors of an application that may fail in a row, with none running, before it ends.
        DEPLOY_MAX_EXECUTOR_RETRIES: u32 = "spark.deploy.maxExecutorRetries", "10", count::<0, ANY>;
        /// Applications that are over and still shown.
        DEPLOY_RETAINED_APPLICATIONS: u32 = "spark.deploy.retainedApplications", "200", count::<0, 100_000>;
        /// How long a driver whose link broke may take to come back before its application is over.
        DEPLOY_DRIVER_GRACE: Duration = "hearth.deploy.driverGrace", "10s", seconds;
    }
    Worker {
        /// Bytes after which an executor's log file is rotated.
        EXECUTOR_LOGS_MAX_SIZE: u64 = "spark.executor.logs.rolling.maxSize", "1m", bytes_in_bytes;
        /// Rotated log files that are kept, beside the one that is written.
        EXECUTOR_LOGS_MAX_RETAINED_FILES: u32 = "spark.executor.logs.rolling.maxRetainedFiles", "10", count::<0, 1000>;
        /// How long the directory of an application that is over stays on a worker after its last change.
        WORKER_CLEANUP_APP_DATA_TTL: Duration = "spark.worker.cleanup.appDataTtl", "604800", seconds;
        /// Memory of the machine that a worker does not offer unless `--memory` says otherwise; a plain number is MiB.
        WORKER_MEMORY_RESERVE: u64 = "hearth.worker.memoryReserve", "1g", memory_mib;
    }
}

/// All keys, in the order in which the documentation shows them.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    ALL.iter()
}

/// Whether a name is one of those of which there is one a bucket or an account. They are not in the table; the user's
/// guide has them.
pub fn is_of_family(name: &str) -> bool {
    const S3A: &str = "spark.hadoop.fs.s3a.";
    const AZURE: [&str; 4] =
        ["account.key.", "sas.fixed.token.", "account.oauth2.client.id.", "account.oauth2.client.secret."];
    if let Some(of_bucket) = name.strip_prefix(S3A).and_then(|rest| rest.strip_prefix("bucket.")) {
        let of_all = ALL.iter().filter_map(|entry| entry.name.strip_prefix(S3A));
        return of_all.into_iter().any(|key| of_bucket.ends_with(&format!(".{key}")));
    }
    name.strip_prefix("spark.hadoop.fs.azure.").is_some_and(|rest| AZURE.iter().any(|key| rest.starts_with(key)))
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for entry in all() {
            assert_eq!((entry.check)(entry.default), Ok(()), "{}={}", entry.name, entry.default);
        }
    }

    #[test]
    fn names_are_unique_and_have_a_prefix() {
        let names: BTreeSet<_> = all().map(|entry| entry.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| name.starts_with("spark.") || name.starts_with("hearth.")));
    }

    /// What says how statements are planned may change between them; what says where things are may not.
    #[test]
    fn keys_of_planning_are_read_for_each_statement() {
        let of_sql = |entry: &&Entry| entry.name.starts_with("spark.sql.") || entry.name.starts_with("hearth.sql.");
        let fixed: Vec<_> = all().filter(of_sql).filter(|entry| !entry.per_statement).map(|entry| entry.name).collect();
        assert_eq!(fixed, ["spark.sql.warehouse.dir"]);
        let others: Vec<_> =
            all().filter(|entry| entry.per_statement && !of_sql(entry)).map(|entry| entry.name).collect();
        assert_eq!(others, ["spark.scheduler.pool"]);
    }

    #[test]
    fn decimals_are_read_as_thousandths() {
        let read = SPECULATION_QUANTILE;
        assert_eq!(read.parse("0.9"), Ok(900));
        assert_eq!(read.parse("1"), Ok(1000));
        assert_eq!(read.parse("0.125"), Ok(125));
        for bad in ["", ".5", "1.", "0.1234", "1.001", "-1", "a"] {
            assert!(read.parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn units_are_those_of_spark() {
        // Independent source: Spark's configuration page, and its sources for the units of plain numbers.
        assert_eq!(EXECUTOR_MEMORY.parse("512"), Ok(512));
        assert_eq!(EXECUTOR_HEARTBEAT_INTERVAL.parse("500"), Ok(Duration::from_millis(500)));
        assert_eq!(NETWORK_TIMEOUT.parse("120"), Ok(Duration::from_secs(120)));
        assert_eq!(WORKER_TIMEOUT.parse("60"), Ok(Duration::from_secs(60)));
        assert_eq!(SHUFFLE_IO_RETRY_WAIT.parse("5"), Ok(Duration::from_secs(5)));
        assert_eq!(REDUCER_MAX_SIZE_IN_FLIGHT.parse("48"), Ok(48 << 20));
        assert_eq!(DRIVER_MAX_RESULT_SIZE.parse("1048576"), Ok(Some(1 << 20)));
        assert_eq!(DRIVER_MAX_RESULT_SIZE.parse("0"), Ok(None));
        assert_eq!(EXECUTOR_LOGS_MAX_SIZE.parse("1048576"), Ok(1 << 20));
        assert_eq!(SQL_SHUFFLE_PARTITIONS.parse("200"), Ok(ShufflePartitions::Fixed(200)));
    }
}
