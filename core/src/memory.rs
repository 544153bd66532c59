//! How the memory of an executor is divided.

/// What a process holds before any task: its code, runtimes, connections, functions. An idle executor stays below it.
const BASE_MIB: u64 = 120;
/// The least a pool has, so that a tiny grant can still run a small query: one batch of each operator.
const LEAST_MIB: u64 = 32;
/// The part of an executor's memory that operators may account for, as Spark's `spark.memory.fraction` has it.
const POOL_FRACTION: f64 = 0.6;

/// Bytes of the pool that an executor's tasks share, out of what it was granted.
///
/// As in Spark, a part of what remains is given to what operators account for; the rest is for what nobody does: batches
/// on their way between operators, blocks in flight (48 MiB a task at most) and being decoded, output buffers of readers
/// and writers of files, the allocator's waste.
pub fn pool_bytes(granted_mib: u64) -> usize {
    let rest = granted_mib.saturating_sub(BASE_MIB) as f64 * POOL_FRACTION;
    let mib = (rest as u64).max(LEAST_MIB);
    usize::try_from(mib << 20).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_part_of_what_the_process_may_have() {
        assert_eq!(pool_bytes(1024), 542 << 20);
        assert_eq!(pool_bytes(64), 32 << 20, "never nothing");
        assert_eq!(pool_bytes(0), 32 << 20);
    }
}
