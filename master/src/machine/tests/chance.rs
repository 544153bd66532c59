//! Random events in random order, some of them nonsense: the master holds its invariants (`check` runs after each
//! step), keeps its promises to every peer, and is empty when all is over.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

struct Chance(u64);
impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.below(of.len())].clone()) }
    }
}

/// What the outside world knows: the processes that really live on a worker, by what the master told it.
#[derive(Default)]
struct World {
    workers: BTreeMap<u64, BTreeMap<(ApplicationId, ExecutorId), Resources>>,
    /// Applications of which files lie on a worker.
    files: BTreeMap<u64, BTreeSet<ApplicationId>>,
    worker_links: BTreeMap<u64, u64>,
    drivers: BTreeMap<u64, Option<ApplicationId>>,
    closed: BTreeSet<u64>,
    granted: BTreeSet<(ApplicationId, ExecutorId)>,
    links: u64,
    grants: usize,
    ended: usize,
}

impl World {
    fn register(&mut self, bench: &mut Bench, link: u64, worker: u64, executors: Vec<LiveExecutor>) -> Vec<Effect> {
        self.worker_links.insert(link, worker);
        let applications = self.files.entry(worker).or_default().iter().cloned().collect();
        let registration = WorkerRegistration { executors, applications, ..registration(worker, CORES) };
        bench.worker_says(link, WorkerUp::Register(registration))
    }

    fn link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }

    fn absorb(&mut self, bench: &mut Bench, fx: Vec<Effect>) {
        for effect in fx {
            match effect {
                Effect::ToWorker { link: LinkId(link), message: WorkerDown::LaunchExecutor(launch) } => {
                    let worker = self.worker_links[&link];
                    let key = (launch.application, launch.executor);
                    assert!(self.granted.insert(key.clone()), "{key:?} was granted twice");
                    self.files.entry(worker).or_default().insert(key.0.clone());
                    let there = self.workers.get_mut(&worker).unwrap();
                    there.insert(key, launch.resources);
                    let cores: u32 = there.values().map(|resources| resources.cores).sum();
                    assert!(cores <= CORES, "worker {worker} really runs {cores} of {CORES} cores");
                    self.grants += 1;
                }
                Effect::ToWorker { link: LinkId(link), message: WorkerDown::ApplicationFinished { application } } => {
                    let active = bench.status().active;
                    let is_over = active.iter().all(|view| view.id != application);
                    assert!(is_over, "{application} is said to be over and is not");
                    self.files.entry(self.worker_links[&link]).or_default().remove(&application);
                }
                Effect::ToApplication { link: LinkId(link), message } => {
                    assert!(!self.closed.contains(&link), "said on a closed link: {message:?}");
                    if let AppDown::Registered { application, .. } = message {
                        self.drivers.insert(link, Some(application));
                    }
                }
                Effect::CloseLink { link: LinkId(link) } => {
                    self.closed.insert(link);
                    self.ended += usize::from(self.drivers.remove(&link).is_some());
                    self.worker_links.remove(&link);
                }
                _ => {}
            }
        }
    }
}

const CORES: u32 = 4;

fn random_step(chance: &mut Chance, world: &mut World, bench: &mut Bench) {
    let worker_links: Vec<u64> = world.worker_links.keys().copied().collect();
    let drivers: Vec<u64> = world.drivers.keys().copied().collect();
    let fx = match chance.below(14) {
        0 | 1 => {
            let n = 900 + u64::try_from(chance.below(3)).unwrap();
            let link = world.link();
            let executors = world.workers.entry(n).or_default().iter();
            let live =
                |((application, executor), resources): (&(ApplicationId, ExecutorId), &Resources)| LiveExecutor {
                    application: application.clone(),
                    executor: *executor,
                    resources: *resources,
                    state: ExecutorState::Running,
                };
            let executors = executors.map(live).collect();
            world.register(bench, link, n, executors)
        }
        2 | 3 => match chance.one(&worker_links) {
            Some(link) => bench.worker_says(link, WorkerUp::Heartbeat),
            None => return,
        },
        4..=6 => {
            let Some(link) = chance.one(&worker_links) else { return };
            let live = world.workers.get_mut(&world.worker_links[&link]).unwrap();
            let keys: Vec<_> = live.keys().cloned().collect();
            let Some(key) = chance.one(&keys) else { return };
            let state = ExecutorState::ALL[chance.below(ExecutorState::ALL.len())];
            if state.is_final() {
                live.remove(&key);
            }
            bench.worker_says(link, reports(&key.0, key.1.0, state, Some(i32::try_from(chance.below(2)).unwrap())))
        }
        7 => match chance.one(&worker_links) {
            Some(link) => {
                world.worker_links.remove(&link);
                world.closed.insert(link);
                bench.worker_link_closes(link)
            }
            None => return,
        },
        8 | 9 => {
            let link = world.link();
            world.drivers.insert(link, None);
            let some =
                |chance: &mut Chance, n| (chance.below(2) == 0).then(|| u32::try_from(1 + chance.below(n)).unwrap());
            let asked = ApplicationSpec {
                cores_per_executor: some(chance, 3),
                max_cores: some(chance, 9),
                max_executors: some(chance, 3),
                memory_per_executor_mib: 512,
                ..spec("random")
            };
            bench.driver_says(link, AppUp::Register(asked))
        }
        10 => {
            let Some(link) = chance.one(&drivers) else { return };
            let state = ApplicationState::ALL[chance.below(ApplicationState::ALL.len())];
            bench.driver_says(link, AppUp::Unregister { state, message: String::new() })
        }
        11 => {
            let Some(link) = chance.one(&drivers) else { return };
            let executors = (0..8).map(ExecutorId).collect();
            let reconnect = world.drivers.remove(&link).flatten().filter(|_| chance.below(2) == 0);
            let mut fx = Vec::new();
            if chance.below(2) == 0 {
                fx = bench.driver_link_closes(link);
                world.closed.insert(link);
            } else {
                world.drivers.insert(link, None);
            }
            if let Some(application) = reconnect {
                let again = world.link();
                world.drivers.insert(again, None);
                fx.extend(bench.driver_says(again, AppUp::Reconnect { application, executors, spec: spec("random") }));
            }
            fx
        }
        12 => {
            let Some(link) = chance.one(&drivers) else { return };
            let executors = (0..u32::try_from(chance.below(6)).unwrap()).map(ExecutorId).collect();
            bench.driver_says(link, AppUp::KillExecutors { executors, reason: "chance".into() })
        }
        _ => bench.wait([1, 100, 2000, 10_000, 61_000][chance.below(5)]),
    };
    world.absorb(bench, fx);
}

#[test]
fn random_events_break_no_invariant_and_leave_nothing_behind() {
    let (mut grants, mut ended) = (0, 0);
    for seed in 1..=100 {
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut world = World::default();
        let mut bench = Bench::with(MasterOptions { spread_out: seed % 2 == 0, ..Default::default() });
        for _ in 0..300 {
            random_step(&mut chance, &mut world, &mut bench);
        }
        for link in world.drivers.keys().copied().collect::<Vec<_>>() {
            let fx = bench.driver_link_closes(link);
            world.closed.insert(link);
            world.absorb(&mut bench, fx);
        }
        for link in world.worker_links.keys().copied().collect::<Vec<_>>() {
            let fx = bench.worker_link_closes(link);
            world.absorb(&mut bench, fx);
        }
        bench.wait(61_000);
        bench.master.assert_empty();
        for n in world.files.keys().copied().collect::<Vec<_>>() {
            let link = world.link();
            let fx = world.register(&mut bench, link, n, Vec::new());
            world.absorb(&mut bench, fx);
        }
        assert!(world.files.values().all(BTreeSet::is_empty), "files are left: {:?}", world.files);
        (grants, ended) = (grants + world.grants, ended + world.ended);
    }
    assert!(grants > 1_500 && ended > 300, "only {grants} grants and {ended} ends: this tests nothing");
}
