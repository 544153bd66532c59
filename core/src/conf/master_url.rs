//! Where a program runs.

use super::value::digits;
use crate::messages::worker::Address;
use std::{fmt, str::FromStr};

/// Where a program runs. `Display` gives what `FromStr` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterUrl {
    /// In this process: `local` (one thread), `local[N]`, `local[*]`, `local[N,maxFailures]`.
    Local {
        /// Task slots.
        threads: Threads,
        /// In place of `spark.task.maxFailures`, when it is given.
        max_failures: Option<u32>,
    },
    /// A master and workers of its own on this machine: `local-cluster[workers,cores,memoryMiB]`.
    LocalCluster {
        /// How many workers.
        workers: u32,
        /// Cores of each.
        cores: u32,
        /// Memory of each.
        memory_mib: u64,
    },
    /// A cluster: `hearth://host:port[,host2:port]`, one of which leads.
    Cluster(Vec<Address>),
}

/// Task slots of local mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As many as the machine has cores.
    All,
    /// So many.
    Fixed(u32),
}

/// What a master URL may be.
pub(super) const EXPECTED: &str = "local, local[N], local[*], local[N,MAX_FAILURES], \
    local-cluster[WORKERS,CORES,MEMORY_MIB] or hearth://HOST:PORT[,HOST:PORT], \
    such as local[4] or hearth://127.0.0.1:7077";

/// Why a text is not a master URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a master URL: {problem}; expected {EXPECTED}")]
pub struct BadMasterUrl {
    text: String,
    problem: String,
}

/// Where a master listens unless it is told otherwise.
pub const DEFAULT_PORT: u16 = 7077;
/// Slots of one process, and cores of one pretended worker: each is a thread.
const MAX_THREADS: u32 = 1024;
/// Workers of a cluster on one machine: each is a process with a block service beside it.
const MAX_WORKERS: u32 = 64;
/// Memory of a pretended worker, 1 PiB.
const MAX_MEMORY_MIB: u64 = 1 << 30;
/// Masters of one cluster: one leads, and nobody keeps more in reserve.
const MAX_MASTERS: usize = 16;

impl FromStr for MasterUrl {
    type Err = BadMasterUrl;

    fn from_str(text: &str) -> Result<Self, BadMasterUrl> {
        let parsed = if let Some(masters) = text.strip_prefix("hearth://") {
            cluster(masters)
        } else if let Some(rest) = text.strip_prefix("local-cluster") {
            arguments(rest).and_then(|arguments| local_cluster(&arguments))
        } else if text == "local" {
            Ok(Self::Local { threads: Threads::Fixed(1), max_failures: None })
        } else if let Some(rest) = text.strip_prefix("local") {
            arguments(rest).and_then(|arguments| local(&arguments))
        } else if text.starts_with("spark://") {
            Err("it is a Spark master's; Hearth has masters of its own".into())
        } else {
            Err("it is neither local nor hearth://".into())
        };
        parsed.map_err(|problem| BadMasterUrl { text: text.chars().take(200).collect(), problem })
    }
}

fn arguments(text: &str) -> Result<Vec<&str>, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Ok(inner.ok_or("what follows is not in brackets")?.split(',').map(str::trim).collect())
}

fn number<T>(what: &str, text: &str, max: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + fmt::Display + From<u8> + Copy,
{
    match digits::<T>(text).filter(|n| (T::from(1)..=max).contains(n)) {
        Some(n) => Ok(n),
        None => Err(format!("{what} is {text:?}, not a whole number from 1 to {max}")),
    }
}

fn local(arguments: &[&str]) -> Result<MasterUrl, String> {
    let (threads, max_failures) = match *arguments {
        [threads] => (threads, None),
        [threads, failures] => (threads, Some(number("the number of failures", failures, u32::MAX)?)),
        _ => return Err(format!("local takes one or two numbers, not {}", arguments.len())),
    };
    let threads = match threads {
        "*" => Threads::All,
        text => Threads::Fixed(number("the number of threads", text, MAX_THREADS)?),
    };
    Ok(MasterUrl::Local { threads, max_failures })
}

fn local_cluster(arguments: &[&str]) -> Result<MasterUrl, String> {
    let &[workers, cores, memory] = arguments else {
        return Err(format!("local-cluster takes three numbers, not {}", arguments.len()));
    };
    Ok(MasterUrl::LocalCluster {
        workers: number("the number of workers", workers, MAX_WORKERS)?,
        cores: number("the number of cores", cores, MAX_THREADS)?,
        memory_mib: number("the memory in MiB", memory, MAX_MEMORY_MIB)?,
    })
}

fn cluster(masters: &str) -> Result<MasterUrl, String> {
    let masters: Vec<_> = masters.split(',').map(master).collect::<Result<_, _>>()?;
    if masters.len() > MAX_MASTERS {
        return Err(format!("it names {} masters, more than {MAX_MASTERS}", masters.len()));
    }
    Ok(MasterUrl::Cluster(masters))
}

/// An address whose port may be left out.
fn master(text: &str) -> Result<Address, String> {
    let has_port = match text.strip_prefix('[') {
        Some(rest) => rest.contains("]:"),
        None => text.contains(':'),
    };
    let address = if has_port { text.parse() } else { format!("{text}:{DEFAULT_PORT}").parse() };
    match address {
        Ok(Address { port: 0, .. }) => Err(format!("{text:?} has port 0, where nobody can listen")),
        Ok(address) => Ok(address),
        Err(_) => Err(format!("{text:?} is not HOST:PORT")),
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("*"),
            Self::Fixed(n) => fmt::Display::fmt(n, f),
        }
    }
}

impl fmt::Display for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { threads, max_failures: None } => write!(f, "local[{threads}]"),
            Self::Local { threads, max_failures: Some(failures) } => write!(f, "local[{threads},{failures}]"),
            Self::LocalCluster { workers, cores, memory_mib } => {
                write!(f, "local-cluster[{workers},{cores},{memory_mib}]")
            }
            Self::Cluster(masters) => {
                f.write_str("hearth://")?;
                for (i, master) in masters.iter().enumerate() {
                    write!(f, "{}{master}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn master_urls_read_as_they_are_written() {
        let local = |threads, max_failures| MasterUrl::Local { threads, max_failures };
        let table = [
            ("local[4]", local(Threads::Fixed(4), None)),
            ("local[*]", local(Threads::All, None)),
            ("local[2,3]", local(Threads::Fixed(2), Some(3))),
            ("local[*,3]", local(Threads::All, Some(3))),
            ("local-cluster[2,1,2048]", MasterUrl::LocalCluster { workers: 2, cores: 1, memory_mib: 2048 }),
            ("hearth://a:7077", MasterUrl::Cluster(vec![address("a", 7077)])),
            ("hearth://a:1,[::1]:2", MasterUrl::Cluster(vec![address("a", 1), address("::1", 2)])),
        ];
        for (text, url) in table {
            assert_eq!(text.parse::<MasterUrl>().as_ref(), Ok(&url), "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn short_forms_mean_the_usual() {
        let table = [
            ("local", "local[1]"),
            ("local[ 2 , 3 ]", "local[2,3]"),
            ("hearth://a", "hearth://a:7077"),
            ("hearth://[::1]", "hearth://[::1]:7077"),
        ];
        for (text, long) in table {
            assert_eq!(text.parse::<MasterUrl>().unwrap().to_string(), long);
        }
    }

    #[test]
    fn what_is_not_a_master_url_is_refused_with_the_reason() {
        let many = format!("hearth://{}", vec!["a:1"; MAX_MASTERS + 1].join(","));
        let table = [
            ("", "neither local nor hearth://"),
            ("yarn", "neither local nor hearth://"),
            ("LOCAL", "neither local nor hearth://"),
            ("127.0.0.1:7077", "neither local nor hearth://"),
            ("spark://a:7077", "Spark master's"),
            ("local4", "not in brackets"),
            ("local[4", "not in brackets"),
            ("local[]", "number of threads is \"\""),
            ("local[0]", "number of threads is \"0\""),
            ("local[-1]", "number of threads is \"-1\""),
            ("local[1.5]", "number of threads is \"1.5\""),
            ("local[1025]", "from 1 to 1024"),
            ("local[1,0]", "number of failures is \"0\""),
            ("local[1,2,3]", "one or two numbers, not 3"),
            ("local-cluster", "not in brackets"),
            ("local-cluster[1,1]", "three numbers, not 2"),
            ("local-cluster[0,1,1]", "number of workers is \"0\""),
            ("local-cluster[65,1,1]", "from 1 to 64"),
            ("local-cluster[1,x,1]", "number of cores is \"x\""),
            ("local-cluster[1,1,2g]", "memory in MiB is \"2g\""),
            ("hearth://", "\"\" is not HOST:PORT"),
            ("hearth://a:1,", "\"\" is not HOST:PORT"),
            ("hearth://a:", "\"a:\" is not HOST:PORT"),
            ("hearth://a:0", "port 0"),
            ("hearth://a:65536", "not HOST:PORT"),
            ("hearth://a:1/x", "not HOST:PORT"),
            ("hearth://u@a:1", "not HOST:PORT"),
            (&many, "names 17 masters"),
        ];
        for (text, problem) in table {
            let error = text.parse::<MasterUrl>().expect_err(text).to_string();
            assert!(error.contains(problem) && error.contains("such as local[4]"), "{error}");
        }
    }
}
