//! Between a worker and the master.

use crate::{ApplicationId, ExecutorId, ExecutorState, Labels, Refusal, Resources, WorkerId};
use std::{collections::BTreeMap, net::IpAddr};

/// Where a server of blocks listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Address {
    /// A host name or address.
    pub host: String,
    /// A port.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address: expected HOST:PORT, such as 127.0.0.1:7077 or [::1]:7077")]
pub struct BadAddress(String);

impl Address {
    /// Bytes of a host name, by the domain name system's own limit.
    const MAX_HOST: usize = 255;

    /// Whether a text may be a host's name or IP address: it becomes part of URLs and log words.
    pub fn is_host(text: &str) -> bool {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_:%".contains(&b);
        (1..=Self::MAX_HOST).contains(&text.len()) && text.bytes().all(legal)
    }

    /// Whether a host names this machine to itself. Other names than `localhost` are not looked up: what they mean may
    /// change after the question.
    pub fn is_loopback(host: &str) -> bool {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl std::str::FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let parts = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").filter(|(host, _)| host.contains(':')),
            None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':')),
        };
        // `u16` would take a sign.
        let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        parts
            .filter(|(host, _)| Self::is_host(host))
            .and_then(|(host, digits)| Some(Self { host: host.into(), port: port(digits)? }))
            .ok_or_else(|| BadAddress(text.chars().take(Self::MAX_HOST).collect()))
    }
}

/// An executor that lives on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveExecutor {
    /// Its application.
    pub application: ApplicationId,
    /// Its id in the application.
    pub executor: ExecutorId,
    /// What it was granted.
    pub resources: Resources,
    /// `LAUNCHING` or `RUNNING`.
    pub state: ExecutorState,
}

/// What a worker says when its link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRegistration {
    /// The version of its binary.
    pub version: String,
    /// Its id, kept in its working directory.
    pub worker: WorkerId,
    /// Its machine, and the port of its block service: the address that only one living worker may have.
    pub address: Address,
    /// What it offers in all.
    pub resources: Resources,
    /// What it says about itself.
    pub labels: Labels,
    /// Its children that still live, and those whose end it could not say yet and says next; on a registration after
    /// the first.
    pub executors: Vec<LiveExecutor>,
    /// Applications of which it keeps files, with or without executors that live. Those that the master does not list
    /// are over: it says so.
    pub applications: Vec<ApplicationId>,
}

/// From a worker to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerUp {
    /// The first message of every link.
    Register(WorkerRegistration),
    /// Still here.
    Heartbeat,
    /// One of its executors changed its state.
    ExecutorChanged {
        /// Its application.
        application: ApplicationId,
        /// Its id.
        executor: ExecutorId,
        /// The new state.
        state: ExecutorState,
        /// For people: why, with the tail of its log when it failed.
        message: String,
        /// Its exit code, or 128 and the signal's number, once it is over.
        exit_code: Option<i32>,
    },
    /// It leaves; its executors are being killed.
    Leaving {
        /// For people.
        reason: String,
    },
}

/// What a worker needs to start an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorLaunch {
    /// Its application.
    pub application: ApplicationId,
    /// Its id.
    pub executor: ExecutorId,
    /// What it may use.
    pub resources: Resources,
    /// The driver's TaskLink: `http://host:port`.
    pub driver_url: String,
    /// The application's configuration, as far as executors need it.
    pub conf: BTreeMap<String, String>,
}

/// From the master to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerDown {
    /// The registration is taken.
    Registered {
        /// The master's term; a lower one than before is refused.
        term: u64,
        /// How often to send heartbeats, in milliseconds.
        heartbeat_millis: u64,
    },
    /// The registration is refused.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The master's term: the word of one that was replaced counts for nothing.
        term: u64,
    },
    /// The master has dropped this worker: register anew.
    Reregister,
    /// Start an executor.
    LaunchExecutor(ExecutorLaunch),
    /// End an executor. One that is not there is reported `KILLED`.
    KillExecutor {
        /// Its application.
        application: ApplicationId,
        /// Its id.
        executor: ExecutorId,
        /// For people.
        reason: String,
    },
    /// The application is over: remove its shuffle files and keep its logs.
    ApplicationFinished {
        /// Which.
        application: ApplicationId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in ["127.0.0.1:7077", "[::1]:80", "node-1.rack_2:0", "[fe80::1%eth0]:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long = format!("{}:1", "x".repeat(256));
        for bad in [
            "",
            ":",
            "host",
            "host:",
            ":80",
            "host:65536",
            "host:+1",
            "host:-1",
            "::1:80",
            "[::1]",
            "[::1]80",
            "[host]:1",
            "a b:1",
            "a/b:1",
            "ä:1",
            &long,
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }
}
