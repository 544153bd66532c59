//! Which worker gives what to which application: a pure function from a view of the cluster to a list of grants.
//!
//! The rules are those of Spark's standalone mode. Applications are served in turn (`turns` is the policy: first in,
//! first out). An application's executors are dealt to the workers that fit one, those with most free cores first:
//! spread out, one executor's worth to each in turn; packed, each filled before the next. An application that does not
//! say how many cores an executor has gets at most one new executor a worker and placement, which grows core by core
//! while its memory is counted once; a later placement may start another one there when cores come free, so that no
//! core stays idle that somebody wants.
//!
//! Guarantees, held by the tests below on random clusters: no worker is oversubscribed, no application gets more than
//! it may have, and when it is done nothing more could be granted.

use hearth_core::{ApplicationId, Resources, WorkerId};

/// What a usable worker has free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The worker.
    pub worker: WorkerId,
    /// What is free on it.
    pub free: Resources,
}

/// What an application may still get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The application.
    pub application: ApplicationId,
    /// Cores of one executor; unset means executors that grow core by core.
    pub cores_per_executor: Option<u32>,
    /// Memory of one executor.
    pub memory_mib: u64,
    /// Cores it may still get.
    pub cores: u32,
    /// Executors it may still get.
    pub executors: u32,
}

impl Demand {
    /// The least that can be granted: one executor's cores, or one core, and one executor's memory.
    pub fn unit(&self) -> Resources {
        Resources::new(self.cores_per_executor.unwrap_or(1), self.memory_mib)
    }

    /// Whether it may get anything at all.
    pub fn is_open(&self) -> bool {
        self.executors > 0 && self.cores >= self.unit().cores
    }
}

/// One executor for an application on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// For whom.
    pub application: ApplicationId,
    /// Where.
    pub worker: WorkerId,
    /// What it may use.
    pub resources: Resources,
}

/// Places as much as can be placed. `demands` are in the order in which the applications were registered.
pub fn place(spread_out: bool, mut offers: Vec<Offer>, demands: &[Demand]) -> Vec<Grant> {
    let mut grants = Vec::new();
    for demand in turns(demands) {
        offers.retain(|offer| offer.free.cores > 0 && offer.free.memory_mib > 0);
        if offers.is_empty() {
            break;
        }
        if demand.is_open() {
            serve(spread_out, &mut offers, demand, &mut grants);
        }
    }
    grants
}

/// The policy: who is served before whom. First in, first out.
fn turns(demands: &[Demand]) -> impl Iterator<Item = &Demand> {
    demands.iter()
}

/// What one worker gives to the application that is being served.
struct Share {
    /// The place of its offer.
    offer: usize,
    cores: u32,
    executors: u32,
}

/// Gives one application all it may get, and takes it off the offers.
fn serve(spread_out: bool, offers: &mut [Offer], demand: &Demand, grants: &mut Vec<Grant>) {
    for share in deal(spread_out, offers, demand) {
        let offer = &mut offers[share.offer];
        for _ in 0..share.executors {
            let cores = demand.cores_per_executor.unwrap_or(share.cores);
            let resources = Resources::new(cores, demand.memory_mib);
            offer.free = offer.free.minus(&resources).expect("shares are dealt from what is free");
            grants.push(Grant { application: demand.application.clone(), worker: offer.worker.clone(), resources });
        }
    }
}

/// Deals executors, or cores, to the workers in turn.
fn deal(spread_out: bool, offers: &[Offer], demand: &Demand) -> Vec<Share> {
    let unit = demand.unit();
    let grows = demand.cores_per_executor.is_none();
    let mut shares: Vec<Share> = (0..offers.len())
        .filter(|&offer| offers[offer].free.fits(&unit))
        .map(|offer| Share { offer, cores: 0, executors: 0 })
        .collect();
    shares.sort_by(|a, b| {
        let (a, b) = (&offers[a.offer], &offers[b.offer]);
        b.free.cores.cmp(&a.free.cores).then_with(|| a.worker.cmp(&b.worker))
    });

    let mut cores_left = demand.cores;
    let mut executors_left = demand.executors;
    let mut open: Vec<usize> = (0..shares.len()).collect();
    while !open.is_empty() {
        open.retain(|&place| {
            let share = &mut shares[place];
            let free = offers[share.offer].free;
            loop {
                let starts = !grows || share.executors == 0;
                let memory = demand.memory_mib.saturating_mul(u64::from(share.executors) + 1);
                let fits = cores_left >= unit.cores
                    && free.cores - share.cores >= unit.cores
                    && (!starts || (executors_left > 0 && free.memory_mib >= memory));
                if !fits {
                    return false;
                }
                share.cores += unit.cores;
                cores_left -= unit.cores;
                if starts {
                    share.executors += 1;
                    executors_left -= 1;
                }
                if spread_out {
                    return true;
                }
            }
        });
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn offers(free: &[(u32, u64)]) -> Vec<Offer> {
        free.iter()
            .enumerate()
            .map(|(i, &(cores, mib))| Offer {
                worker: format!("worker-{i:02}").parse().unwrap(),
                free: Resources::new(cores, mib),
            })
            .collect()
    }

    fn demand(cores: u32, cores_per_executor: Option<u32>) -> Demand {
        Demand {
            application: "app-1".parse().unwrap(),
            cores_per_executor,
            memory_mib: 1024,
            cores,
            executors: u32::MAX,
        }
    }

    /// Cores a worker, in the order of the workers, and the number of executors.
    fn cores(spread_out: bool, free: &[(u32, u64)], demand: &Demand) -> (Vec<u32>, usize) {
        let grants = place(spread_out, offers(free), std::slice::from_ref(demand));
        let mut cores = vec![0; free.len()];
        for grant in &grants {
            let i: usize = grant.worker.as_str()["worker-".len()..].parse().unwrap();
            cores[i] += grant.resources.cores;
        }
        (cores, grants.len())
    }

    const THREE_OF_FOUR: &[(u32, u64)] = &[(4, 8192), (4, 8192), (4, 8192)];

    #[test]
    fn eight_cores_on_three_workers_of_four() {
        assert_eq!(cores(true, THREE_OF_FOUR, &demand(8, None)), (vec![3, 3, 2], 3));
        assert_eq!(cores(false, THREE_OF_FOUR, &demand(8, None)), (vec![4, 4, 0], 2));
        assert_eq!(cores(true, THREE_OF_FOUR, &demand(8, Some(2))), (vec![4, 2, 2], 4));
        assert_eq!(cores(false, THREE_OF_FOUR, &demand(8, Some(2))), (vec![4, 4, 0], 4));
    }

    #[test]
    fn a_growing_executor_counts_its_memory_once() {
        assert_eq!(cores(true, &[(4, 1024)], &demand(u32::MAX, None)), (vec![4], 1));
        assert_eq!(cores(true, &[(4, 2500)], &demand(u32::MAX, Some(1))), (vec![2], 2));
    }

    #[test]
    fn nothing_is_granted_below_one_executor() {
        assert_eq!(cores(true, &[(3, 8192)], &demand(8, Some(4))), (vec![0], 0));
        assert_eq!(cores(true, &[(4, 1023)], &demand(8, Some(4))), (vec![0], 0));
        assert_eq!(cores(true, &[(4, 8192)], &demand(3, Some(4))), (vec![0], 0));
    }

    #[test]
    fn the_limit_on_executors_holds_and_lets_them_grow() {
        let two = |cores_per_executor| Demand { executors: 2, ..demand(u32::MAX, cores_per_executor) };
        assert_eq!(cores(true, THREE_OF_FOUR, &two(None)), (vec![4, 4, 0], 2));
        assert_eq!(cores(true, THREE_OF_FOUR, &two(Some(1))), (vec![1, 1, 0], 2));
        assert_eq!(cores(false, THREE_OF_FOUR, &two(Some(1))), (vec![2, 0, 0], 2));
    }

    #[test]
    fn the_workers_with_most_free_cores_come_first() {
        assert_eq!(cores(false, &[(1, 8192), (2, 8192), (8, 8192)], &demand(9, None)), (vec![0, 1, 8], 2));
    }

    #[test]
    fn applications_are_served_in_the_order_of_their_registration() {
        let mut second = demand(u32::MAX, None);
        second.application = "app-0".parse().unwrap();
        let grants = place(true, offers(&[(4, 8192)]), &[demand(3, None), second]);
        let got: Vec<_> = grants.iter().map(|g| (g.application.as_str(), g.resources.cores)).collect();
        assert_eq!(got, [("app-1", 3), ("app-0", 1)]);
    }

    /// A small generator (xorshift): chance that is the same in every run.
    struct Chance(u64);
    impl Chance {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }

        fn up_to(&mut self, bound: u32) -> u32 {
            u32::try_from(self.below(u64::from(bound) + 1)).unwrap()
        }

        fn cluster(&mut self) -> Vec<Offer> {
            let free: Vec<_> = (0..self.below(7)).map(|_| (self.up_to(9), self.below(10) * 512)).collect();
            offers(&free)
        }

        fn demands(&mut self) -> Vec<Demand> {
            (0..self.below(5))
                .map(|i| Demand {
                    application: format!("app-{i}").parse().unwrap(),
                    cores_per_executor: (self.below(2) == 0).then(|| 1 + self.up_to(3)),
                    memory_mib: 256 * (1 + self.below(8)),
                    cores: if self.below(3) == 0 { u32::MAX } else { self.up_to(20) },
                    executors: if self.below(3) == 0 { self.up_to(4) } else { u32::MAX },
                })
                .collect()
        }
    }

    #[test]
    fn on_random_clusters_nothing_is_oversubscribed_and_nothing_is_left_over() {
        let mut granted = 0;
        for seed in 1..=20_000 {
            let mut chance = Chance(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
            let spread_out = chance.below(2) == 0;
            let cluster = chance.cluster();
            let demands = chance.demands();
            let grants = place(spread_out, cluster.clone(), &demands);
            granted += grants.len();

            let mut free: BTreeMap<_, _> = cluster.iter().map(|o| (o.worker.clone(), o.free)).collect();
            let mut rest: BTreeMap<_, _> = demands.iter().map(|d| (d.application.clone(), d.clone())).collect();
            for grant in &grants {
                let free = free.get_mut(&grant.worker).unwrap();
                *free = free.minus(&grant.resources).unwrap_or_else(|| panic!("seed {seed}: oversubscribed"));
                let rest = rest.get_mut(&grant.application).unwrap();
                let asked = Resources::new(rest.cores_per_executor.unwrap_or(grant.resources.cores), rest.memory_mib);
                assert_eq!(grant.resources, asked, "seed {seed}: not what was asked for");
                assert!(grant.resources.cores > 0, "seed {seed}: an executor without cores");
                rest.cores = rest.cores.checked_sub(grant.resources.cores).expect("above the cap on cores");
                rest.executors = rest.executors.checked_sub(1).expect("above the limit on executors");
            }
            for rest in rest.values().filter(|rest| rest.is_open()) {
                let idle = free.iter().find(|(_, free)| free.fits(&rest.unit()));
                assert_eq!(idle, None, "seed {seed}: not work-conserving for {rest:?}");
            }
        }
        assert!(granted > 20_000, "the random clusters gave only {granted} grants: they test nothing");
    }
}
