//! Jobs that share slots.

use super::{Cluster, stage};
use crate::machine::{DEFAULT_POOL, DriverOptions, Pool, Pools};
use hearth_core::conf::SchedulingMode;

fn with_pools(mode: SchedulingMode, pools: &[(&str, Pool)], slots: u32) -> Cluster {
    let named = pools.iter().map(|(name, pool)| ((*name).to_owned(), *pool)).collect();
    let mut c = Cluster::new(DriverOptions { pools: Pools { mode, named }, ..DriverOptions::default() });
    c.join(1, slots);
    c
}

const FAIR: Pool = Pool { mode: SchedulingMode::Fair, weight: 1, min_share: 0 };

/// Jobs 1.. with so many tasks in these pools, each of one stage; how many tasks of each job run when all were submitted to
/// slots that are freed one by one.
fn shares(c: &mut Cluster, jobs: &[(&str, u32)]) -> Vec<usize> {
    // Something holds all slots until every job is there.
    let held = c.launches.len();
    c.submit(99, vec![stage(100, &[])]);
    let first = c.launches.len() - held;
    for (job, (pool, tasks)) in (1..).zip(jobs) {
        c.submit_to(pool, job, vec![stage(*tasks, &[])]);
    }
    c.send(crate::machine::Event::JobCancelled { job: hearth_core::JobId(99), reason: "enough".into() });
    for task in 0..first {
        c.killed(task as u64);
    }
    c.take();
    let of = |job: u32| c.launches.values().filter(|(_, launch)| launch.job == hearth_core::JobId(job)).count();
    (1..=jobs.len() as u32).map(of).collect()
}

#[test]
fn first_come_first_served() {
    let mut c = with_pools(SchedulingMode::Fifo, &[], 6);
    assert_eq!(shares(&mut c, &[("a", 4), ("b", 4)]), [4, 2]);
}

#[test]
fn pools_share_by_weight() {
    let mut c = with_pools(SchedulingMode::Fair, &[("big", Pool { weight: 2, ..FAIR })], 6);
    assert_eq!(shares(&mut c, &[("small", 9), ("big", 9)]), [2, 4]);
    // What one cannot use is another's.
    let mut c = with_pools(SchedulingMode::Fair, &[("big", Pool { weight: 2, ..FAIR })], 6);
    assert_eq!(shares(&mut c, &[("small", 9), ("big", 1)]), [5, 1]);
}

#[test]
fn minimums_come_before_weights() {
    let pools = [("urgent", Pool { min_share: 4, ..FAIR }), ("big", Pool { weight: 100, ..FAIR })];
    let mut c = with_pools(SchedulingMode::Fair, &pools, 6);
    assert_eq!(shares(&mut c, &[("big", 9), ("urgent", 9)]), [2, 4]);
}

/// Jobs that name no pool stand in one line, unless it is set up otherwise.
#[test]
fn inside_a_pool_its_own_mode_counts() {
    let mut c = with_pools(SchedulingMode::Fair, &[], 6);
    assert_eq!(shares(&mut c, &[(DEFAULT_POOL, 4), (DEFAULT_POOL, 4)]), [4, 2]);
    let mut c = with_pools(SchedulingMode::Fair, &[(DEFAULT_POOL, FAIR)], 6);
    assert_eq!(shares(&mut c, &[(DEFAULT_POOL, 4), (DEFAULT_POOL, 4)]), [3, 3]);
}
