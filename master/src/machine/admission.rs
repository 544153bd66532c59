//! What of a registration is refused before anything else looks at it: it comes from outside and is kept for long.

use hearth_core::messages::{VERSION, application::ApplicationSpec, worker::WorkerRegistration};
use hearth_core::{Refusal, Resources};

/// Cores one worker may claim: above any machine, and low enough that dealing them one by one stays quick.
const MAX_CORES: u32 = 65_536;
/// Memory one worker or executor may claim, in MiB: 1 PiB.
const MAX_MEMORY_MIB: u64 = 1 << 30;
/// Bytes of a host name (RFC 1035 allows 253).
const MAX_HOST: usize = 253;
/// Bytes of a name that people gave.
const MAX_NAME: usize = 1024;
/// Bytes of a URL.
const MAX_URL: usize = 2048;
/// Bytes of all labels, or of a whole configuration: as many as a legal configuration has.
const MAX_SETTINGS: usize = 1 << 20;

/// Checks a worker's registration.
pub(super) fn worker(registration: &WorkerRegistration) -> Result<(), Refusal> {
    version(&registration.version)?;
    let host = &registration.address.host;
    check(!host.is_empty() && host.len() <= MAX_HOST, || {
        format!("a worker's host must have 1 to {MAX_HOST} bytes, it has {}", host.len())
    })?;
    let offered = registration.resources;
    check((1..=MAX_CORES).contains(&offered.cores), || {
        format!("a worker must offer 1 to {MAX_CORES} cores, it offers {}; see --cores", offered.cores)
    })?;
    check((1..=MAX_MEMORY_MIB).contains(&offered.memory_mib), || {
        format!(
            "a worker must offer 1 to {MAX_MEMORY_MIB} MiB of memory, it offers {}; see --memory",
            offered.memory_mib
        )
    })?;
    let labels = registration.labels.iter().map(|(k, v)| k.len() + v.iter().map(String::len).sum::<usize>());
    settings("labels", labels.sum())?;
    let held = registration.executors.iter().fold(Resources::default(), |sum, e| sum.plus(&e.resources));
    check(registration.executors.iter().all(|e| e.resources.cores > 0 && !e.state.is_final()), || {
        "an executor that lives has a core and no final state".into()
    })?;
    check(offered.fits(&held), || format!("its executors hold {held}, more than the {offered} it offers"))
}

/// Checks what an application asks for.
pub(super) fn application(spec: &ApplicationSpec) -> Result<(), Refusal> {
    version(&spec.version)?;
    for (what, text, limit) in
        [("name", &spec.name, MAX_NAME), ("user", &spec.user, MAX_NAME), ("driver URL", &spec.driver_url, MAX_URL)]
    {
        check(text.len() <= limit, || {
            format!("an application's {what} may have {limit} bytes, this one has {}", text.len())
        })?;
    }
    check(spec.cores_per_executor != Some(0), || "an executor needs at least 1 core; see --executor-cores".into())?;
    check(spec.max_cores != Some(0), || {
        "a cap of 0 cores gives no executor; leave --total-executor-cores out for no cap".into()
    })?;
    check((1..=MAX_MEMORY_MIB).contains(&spec.memory_per_executor_mib), || {
        let asked = spec.memory_per_executor_mib;
        format!("an executor needs 1 to {MAX_MEMORY_MIB} MiB of memory, {asked} were asked for; see --executor-memory")
    })?;
    settings("configuration", spec.conf.iter().map(|(k, v)| k.len() + v.len()).sum())
}

fn version(theirs: &str) -> Result<(), Refusal> {
    if theirs == VERSION {
        return Ok(());
    }
    // What a stranger calls its version may be anything; a version is short.
    let theirs = theirs.chars().take(64).collect();
    Err(Refusal::VersionMismatch { theirs, ours: VERSION.into() })
}

fn settings(what: &str, bytes: usize) -> Result<(), Refusal> {
    check(bytes <= MAX_SETTINGS, || format!("{what} may have {MAX_SETTINGS} bytes in all, these have {bytes}"))
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Malformed(otherwise())) }
}
