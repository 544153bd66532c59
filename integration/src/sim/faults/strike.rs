//! What each fault does.

use super::{Kind, Struck, Touches, Undo};
use crate::sim::{
    cluster::{Cluster, MASTER_HOST, Occurrence},
    node::{NodeId, Process},
};
use hearth_core::{LinkId, Now, StageId};
use hearth_driver::machine as driver;
use hearth_worker::machine::{self as worker, Child};
use std::time::Duration;

/// How long it may take until a driver hears that a task has ended: until its executor has another link.
const UNHEARD: Duration = Duration::from_secs(30);

impl Cluster {
    /// Lets a fault happen, when there is something for it to strike.
    pub(super) fn strike(&mut self, kind: Kind) -> Option<Struck> {
        match kind {
            Kind::KillExecutor
            | Kind::KillWorker
            | Kind::StopWorker
            | Kind::KillBlockService
            | Kind::KillMaster
            | Kind::KillDriver
            | Kind::SpawnFails => self.end_process(kind),
            Kind::Cut | Kind::HalfOpen | Kind::Swizzle | Kind::Partition | Kind::OneWay => self.break_network(kind),
            Kind::Pause
            | Kind::LoseDisk
            | Kind::DamageOutput
            | Kind::Slow
            | Kind::ClockJump
            | Kind::Deaf
            | Kind::LoseAnswers
            | Kind::Cancel => self.disturb(kind),
        }
    }

    fn end_process(&mut self, kind: Kind) -> Option<Struck> {
        match kind {
            Kind::KillExecutor => {
                let node = self.some_node(|process| matches!(process, Process::Executor(_)))?;
                let exit_code = [137, 137, 134, 1][self.chance.index(3)];
                let host = self.nodes[node.0].host;
                self.crash(node, exit_code);
                Struck::at_once(Touches::Host(host))
            }
            Kind::KillWorker => self.kill_worker(),
            Kind::StopWorker => {
                let place = self.some_worker()?;
                let id = self.seats[place].node.filter(|id| !self.nodes[id.0].is_paused(self.now))?;
                self.faults.stopping.insert(id).then_some(())?;
                self.worker_event(id, worker::Event::StopAsked { reason: "its machine is needed".into() });
                Struck::lasts(Duration::from_secs(10), Touches::Host(Self::worker_host(place)))
            }
            Kind::KillBlockService => {
                let place = self.some_worker()?;
                self.seats[place].serves_at.take()?;
                self.faults.block_service_deaths += 1;
                let of = self.seats[place].node?;
                self.worker_event(
                    of,
                    worker::Event::ChildExited {
                        child: Child::BlockService,
                        exit_code: 137,
                        cause: None,
                        tail: String::new(),
                    },
                );
                Struck::lasts(Duration::from_secs(1), Touches::Host(Self::worker_host(place)))
            }
            Kind::KillMaster => {
                let id = self.master.take()?;
                self.vanish(id);
                let down = self.chance.millis(100, 15_000);
                self.later(down, Occurrence::MasterStarts);
                Struck::lasts(down, Touches::Everybody)
            }
            Kind::KillDriver => {
                let id = self.some_node(|process| matches!(process, Process::Driver(_)))?;
                let place = self.place_of(id);
                self.vanish(id);
                let back = self.chance.millis(500, 3000);
                self.later(back, Occurrence::DriverStarts { place });
                Struck::lasts(back, Touches::Host(self.driver_host(place)))
            }
            Kind::SpawnFails => {
                // Together with a loss, so that there is something to start.
                let node = self.some_node(|process| matches!(process, Process::Executor(_)))?;
                self.faults.spawns_that_fail += self.chance.number(1, 4);
                self.executor_exits(node, 137);
                Struck::at_once(Touches::Everybody)
            }
            _ => unreachable!("{kind:?} ends no process"),
        }
    }

    fn break_network(&mut self, kind: Kind) -> Option<Struck> {
        match kind {
            Kind::Cut | Kind::HalfOpen => {
                let links = self.network.open_links();
                let link = self.chance.pick(&links)?;
                let half_open = (kind == Kind::HalfOpen).then(|| self.chance.index(1));
                let arrivals = self.network.cut(self.now, link, half_open, &mut self.chance);
                self.arrive(link, arrivals);
                let lasts = if half_open.is_some() { Duration::from_secs(100) } else { Duration::ZERO };
                Struck::lasts(lasts, self.ends_of(link))
            }
            Kind::Swizzle => {
                let links = self.network.open_links();
                let link = self.chance.pick(&links)?;
                let sides = [[true, true], [true, false], [false, true]][self.chance.index(2)];
                let arrivals = self.network.clog(self.now, link, sides, &mut self.chance);
                self.arrive(link, arrivals);
                let lasts = self.chance.millis(50, 30_000);
                Struck::until(lasts, Undo::Unclog(link), self.ends_of(link))
            }
            Kind::Partition | Kind::OneWay => self.split(kind == Kind::OneWay),
            _ => unreachable!("{kind:?} breaks no link"),
        }
    }

    fn disturb(&mut self, kind: Kind) -> Option<Struck> {
        match kind {
            Kind::Pause => self.pause(),
            Kind::LoseDisk => {
                let places: Vec<_> = (0..self.seats.len()).filter(|p| !self.seats[*p].disk.is_empty()).collect();
                let place = self.chance.pick(&places)?;
                self.seats[place].disk.clear();
                Struck::at_once(Touches::Host(Self::worker_host(place)))
            }
            Kind::DamageOutput => {
                let places: Vec<_> = (0..self.seats.len()).filter(|p| !self.seats[*p].disk.is_empty()).collect();
                let place = self.chance.pick(&places)?;
                let which = self.chance.index(self.seats[place].disk.len() - 1);
                self.seats[place].disk.damage(which);
                Struck::at_once(Touches::Host(Self::worker_host(place)))
            }
            Kind::Slow => {
                let place = self.some_worker()?;
                self.seats[place].slow = self.chance.number(2, 8);
                let lasts = self.chance.millis(1000, 20_000);
                Struck::until(lasts, Undo::Quicken(place), Touches::Host(Self::worker_host(place)))
            }
            Kind::ClockJump => {
                let jump = i64::try_from(self.chance.between(1000, 86_400_000)).unwrap_or(1000);
                self.wall_offset += if self.chance.once_in(2) { jump } else { -jump };
                Struck::at_once(Touches::Everybody)
            }
            Kind::Deaf => {
                self.faults.deaf_tasks += self.chance.number(1, 6);
                Struck::lasts(Duration::from_secs(30), Touches::Everybody)
            }
            Kind::LoseAnswers => {
                self.faults.answers_lost = true;
                let lasts = self.chance.millis(500, 10_000);
                Struck::until(lasts, Undo::HearAnswers, Touches::Everybody)
            }
            Kind::Cancel => self.cancel(),
            _ => unreachable!("{kind:?} is another kind of fault"),
        }
    }

    /// An executor's process ends by itself, or by somebody's hand: the one is held against what it ran, the other is not.
    pub(in crate::sim) fn crash(&mut self, id: NodeId, exit_code: i32) {
        if let Some(process) = self.nodes[id.0].executor().filter(|_| ![137, 143].contains(&exit_code)) {
            let running = process.tasks.values().map(|task| (task.launch.stage, task.launch.partition));
            let lately = |(at, ..): &&(Now, StageId, u32)| self.now.since(*at) < UNHEARD;
            let unheard = process.ended.iter().filter(lately).map(|(_, stage, partition)| (*stage, *partition));
            for (stage, partition) in running.chain(unheard) {
                self.faults.count(process.driver, stage, partition);
            }
        }
        self.executor_exits(id, exit_code);
    }

    /// The machines that a link connects.
    fn ends_of(&self, link: LinkId) -> Touches {
        let [a, b] = [0, 1].map(|side| self.nodes[self.network.end(link, side).0].host);
        Touches::Pairs(vec![(a, b)])
    }

    fn some_node(&mut self, which: impl Fn(&Process) -> bool) -> Option<NodeId> {
        let nodes: Vec<_> = (0..self.nodes.len()).filter(|id| which(&self.nodes[*id].process)).map(NodeId).collect();
        self.chance.pick(&nodes)
    }

    /// A worker that runs.
    fn some_worker(&mut self) -> Option<usize> {
        let places: Vec<_> = (0..self.seats.len()).filter(|place| self.seats[*place].node.is_some()).collect();
        self.chance.pick(&places)
    }

    fn kill_worker(&mut self) -> Option<Struck> {
        let place = self.some_worker()?;
        let id = self.seats[place].node.take()?;
        self.vanish(id);
        let children: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].executor().is_some_and(|executor| executor.worker == place))
            .collect();
        for child in children {
            self.vanish(NodeId(child));
        }
        let seat = &mut self.seats[place];
        seat.serves_at = None;
        seat.restarted = true;
        if self.chance.once_in(2) {
            seat.disk.clear();
        }
        if self.chance.once_in(3) {
            seat.port += 1;
        }
        let back =
            if self.chance.once_in(2) { self.chance.millis(100, 1500) } else { self.chance.millis(2000, 20_000) };
        self.later(back, Occurrence::WorkerStarts { place });
        Struck::lasts(back, Touches::Host(Self::worker_host(place)))
    }

    fn pause(&mut self) -> Option<Struck> {
        let now = self.now;
        let node = self.some_node(|process| !matches!(process, Process::Gone))?;
        if self.nodes[node.0].is_paused(now) {
            return None;
        }
        let longest = [2_000, 20_000, 150_000][self.chance.index(2)];
        let lasts = self.chance.millis(100, longest);
        self.nodes[node.0].paused_until = Some(now.after(lasts));
        for link in self.network.links_of(node) {
            let looks = self.network.stalls(now, link, &mut self.chance);
            self.arrive(link, looks);
        }
        Struck::lasts(lasts, Touches::Host(self.nodes[node.0].host))
    }

    /// Splits the machines into two groups.
    fn split(&mut self, one_way: bool) -> Option<Struck> {
        let hosts = MASTER_HOST + 1 + self.seats.len() + self.users.len();
        let alone = self.chance.once_in(2).then(|| self.chance.index(hosts - 1));
        let group: Vec<bool> =
            (0..hosts).map(|host| alone.map_or_else(|| self.chance.once_in(2), |alone| alone == host)).collect();
        let mut pairs = Vec::new();
        for (from, to) in (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to))) {
            if group[from] != group[to] && (!one_way || group[from]) {
                pairs.push((from, to));
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let longest = [3_000, 15_000, 60_000][self.chance.index(2)];
        let lasts = self.chance.millis(100, longest);
        let stalled = self.network.partition(self.now, &pairs, &mut self.chance);
        let struck = !stalled.is_empty();
        for (link, looks) in stalled {
            self.arrive(link, looks);
        }
        if !struck {
            self.network.heal(self.now, &pairs, &mut self.chance);
            return None;
        }
        Struck::until(lasts, Undo::Heal(pairs.clone()), Touches::Pairs(pairs))
    }

    /// A user cancels its job, and wants it again.
    fn cancel(&mut self) -> Option<Struck> {
        let running = |process: &Process| match process {
            Process::Driver(driver) => driver.jobs.values().any(|job| job.ended.is_none()),
            _ => false,
        };
        let id = self.some_node(running)?;
        if self.nodes[id.0].is_paused(self.now) {
            return None;
        }
        let jobs: Vec<_> = self.nodes[id.0].driver()?.jobs.iter().filter(|(_, job)| job.ended.is_none()).collect();
        let job = *jobs[self.chance.index(jobs.len() - 1)].0;
        self.faults.cancelled.insert((id, job));
        self.driver_event(id, driver::Event::JobCancelled { job, reason: "its user had enough".into() });
        Struck::at_once(Touches::Host(self.nodes[id.0].host))
    }

    /// Whether the next executor cannot be started.
    pub(in crate::sim) const fn spawn_fails(&mut self) -> bool {
        let fails = self.faults.spawns_that_fail > 0;
        self.faults.spawns_that_fail = self.faults.spawns_that_fail.saturating_sub(1);
        fails
    }

    /// Whether the next task is deaf.
    pub(in crate::sim) fn is_deaf(&mut self) -> bool {
        let deaf = self.faults.deaf_tasks > 0 && self.chance.once_in(3);
        self.faults.deaf_tasks -= u32::from(deaf);
        deaf
    }

    /// Whether answers are not to be relied on.
    pub(in crate::sim) const fn loses_answers(&self) -> bool {
        self.faults.answers_lost
    }
}
