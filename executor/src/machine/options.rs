//! What the executor's machine is told before it starts.

use hearth_core::{
    ApplicationId, ExecutorId, WorkerId,
    messages::{task::BlockLocation, worker::Address},
};
use std::time::Duration;

/// Names and figures; `Default` holds the figures of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// Its application.
    pub application: ApplicationId,
    /// This executor.
    pub executor: ExecutorId,
    /// Its worker.
    pub worker: WorkerId,
    /// The name of its machine.
    pub host: String,
    /// Its task slots.
    pub cores: u32,
    /// Where readers find its outputs.
    pub blocks: BlockLocation,
    /// How often to tell the driver that it lives, or more often; see [`ExecutorOptions::probe`]
    /// (`spark.executor.heartbeatInterval`).
    pub heartbeat_interval: Duration,
    /// How long it lives on without a word of the driver (`hearth.executor.driverTimeout`).
    pub driver_timeout: Duration,
    /// The first pause before the driver is dialed again; doubled each time.
    pub backoff_min: Duration,
    /// The longest pause: a tenth of the driver's timeout, so that a driver that is back is not missed.
    pub backoff_max: Duration,
    /// Bytes of payloads that are kept for later tasks: dozens of ordinary stages (some 100 KiB), four of the largest
    /// possible (15 MiB). Those that tasks use now are kept beyond it.
    pub payload_cache_bytes: u64,
    /// Bytes of map statuses that are kept for later tasks: those of a shuffle of 2000 by 2000 tasks are 32 MB. Those that
    /// tasks wait with are kept beyond it.
    pub statuses_cache_bytes: u64,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            application: "app".parse().expect("a valid id"),
            executor: ExecutorId(0),
            worker: "worker".parse().expect("a valid id"),
            host: "localhost".into(),
            cores: 1,
            blocks: BlockLocation {
                worker: "worker".parse().expect("a valid id"),
                executor: None,
                address: Address { host: "localhost".into(), port: 0 },
                directory: "/nowhere".into(),
            },
            heartbeat_interval: Duration::from_secs(10),
            driver_timeout: Duration::from_secs(20),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            payload_cache_bytes: 64 << 20,
            statuses_cache_bytes: 64 << 20,
        }
    }
}

impl ExecutorOptions {
    /// How often it says that it lives and hears the same: often enough that one heartbeat which is lost or late is not yet
    /// the end.
    pub fn probe(&self) -> Duration {
        self.heartbeat_interval.min(self.driver_timeout / 5)
    }
}
