//! The user of each driver: a program that wants its jobs done, some of them at once, reads their results in order, and runs
//! again what failed for a reason that it accepts.

use super::{
    blocks::File,
    cluster::{Cluster, Done, Occurrence},
    graph, justify,
    node::{Job, NodeId, Row},
};
use hearth_core::{
    ApplicationState, JobId,
    messages::task::{FetchCause, ResultBlock},
};
use hearth_driver::machine::{self as driver, JobFailure, JobNews};
use std::time::Duration;

/// How many times more often than a task a reader of results tries to reach a block service.
const PATIENCE: u32 = 4;
/// Times that a job is run again before its user gives up: more than there are faults.
const RUNS: u32 = 25;

impl Cluster {
    /// Submits jobs, as many as there are to be at once, or lets the application say goodbye.
    pub(super) fn submit_jobs(&mut self, id: NodeId) {
        loop {
            let Some(driver) = self.nodes[id.0].driver_mut() else { return };
            let place = driver.place;
            let (user, wanted) = (&self.users[place], &self.options.applications[place]);
            let under_way = |job: &usize| driver.jobs.values().any(|known| known.place == *job);
            let mut open = (0..wanted.jobs.len()).filter(|job| user.done[*job].is_none());
            if driver.jobs.len() < wanted.parallel
                && let Some(next) = open.find(|job| !under_way(job))
            {
                driver.submitted += 1;
                let job = JobId(driver.submitted);
                driver.jobs.insert(job, Job::new(next, self.now));
                let (graph, pool) = (wanted.jobs[next].graph.clone(), format!("pool {}", next % 2));
                self.driver_event(id, driver::Event::JobSubmitted { job, graph, pool });
                continue;
            }
            if driver.jobs.is_empty() {
                let state = ApplicationState::Finished;
                self.driver_event(id, driver::Event::StopAsked { state, message: String::new() });
            }
            return;
        }
    }

    fn job_of(&mut self, id: NodeId, job: JobId) -> Option<&mut Job> {
        self.nodes[id.0].driver_mut()?.jobs.get_mut(&job)
    }

    pub(super) fn job_news(&mut self, id: NodeId, job: JobId, news: JobNews) {
        self.trace.say(self.now, || format!("{id:?} {job:?} {news:?}"));
        let delay = self.chance.millis(0, 10);
        if let (JobNews::Over(_), Some(driver)) = (&news, self.nodes[id.0].driver_mut()) {
            driver.over.insert(job);
        }
        let Some(wanted) = self.job_of(id, job) else { return };
        match news {
            JobNews::Result { partition, block, .. } => {
                let taken = (partition as usize) < wanted.rows.len();
                let again = wanted.stored.contains(&partition);
                assert!((!taken || again) && wanted.ended.is_none(), "partition {partition} of {job:?} came too late");
                if taken {
                    return; // It was lost after it was read, and before its driver knew that it was.
                }
                wanted.stored.extend(matches!(block, ResultBlock::Stored { .. }).then_some(partition));
                let before = wanted.came.insert(partition, block);
                assert!(before.is_none() || again, "partition {partition} of {job:?} was delivered twice");
            }
            JobNews::Over(end) => wanted.ended = Some(end),
            JobNews::Stage { .. } | JobNews::Waiting { .. } => return,
        }
        if !std::mem::replace(&mut wanted.reading, true) {
            self.later(delay, Occurrence::ReaderTakes { node: id, job });
        }
    }

    /// The reader of a job does the next thing: takes a result, or ends the job.
    pub(super) fn reader_takes(&mut self, id: NodeId, job: JobId) {
        let delay = self.chance.millis(0, 10);
        let Some(wanted) = self.job_of(id, job) else { return };
        wanted.reading = false;
        let partition = u32::try_from(wanted.rows.len()).expect("few");
        if let Some(Err(failure)) = &wanted.ended {
            let failure = failure.clone();
            return self.job_failed(id, job, failure);
        }
        if let Some(block) = wanted.came.remove(&partition) {
            wanted.reading = true;
            return match self.read_result(id, &block) {
                Ok(row) => self.take_row(id, job, partition, row, delay),
                Err(cause) => self.read_later(id, job, partition, block, cause == FetchCause::Unreachable),
            };
        }
        if wanted.ended.is_some() {
            self.job_done(id, job);
        }
    }

    fn take_row(&mut self, id: NodeId, job: JobId, partition: u32, row: Row, delay: Duration) {
        if let Some(wanted) = self.job_of(id, job) {
            wanted.rows.push(row);
            wanted.tries = 0;
        }
        self.driver_event(id, driver::Event::ResultTaken { job, partition });
        self.later(delay, Occurrence::ReaderTakes { node: id, job });
    }

    /// The rows of a result.
    fn read_result(&self, id: NodeId, block: &ResultBlock) -> Result<Row, FetchCause> {
        match block {
            ResultBlock::Inline(bytes) => Ok(graph::decode(bytes)),
            ResultBlock::Stored { task, location, .. } => {
                let host = self.nodes[id.0].host;
                self.read_from(host, id, location, |disk| disk.row(&(id, File::Result(*task))))
            }
        }
    }

    /// A stored result could not be read: again later, or it is lost, and its driver has it made again.
    fn read_later(&mut self, id: NodeId, job: JobId, partition: u32, block: ResultBlock, may_help: bool) {
        let (most, wait) = (self.options.fetch_retries * PATIENCE, self.options.retry_wait);
        let Some(wanted) = self.job_of(id, job) else { return };
        wanted.tries += 1;
        if may_help && wanted.tries <= most {
            wanted.came.insert(partition, block);
            return self.later(wait, Occurrence::ReaderTakes { node: id, job });
        }
        (wanted.tries, wanted.reading) = (0, false);
        let ResultBlock::Stored { location: there, .. } = &block else { unreachable!("what is inline can be read") };
        // Of what else lies where nobody answers, none is worth the same patience again.
        let is_there = |_: &u32, other: &mut ResultBlock| match other {
            ResultBlock::Stored { location, .. } => may_help && location.server() == there.server(),
            ResultBlock::Inline(_) => false,
        };
        let mut lost: Vec<_> = wanted.came.extract_if(.., is_there).collect();
        lost.push((partition, block));
        for (partition, block) in lost {
            let ResultBlock::Stored { task, .. } = block else { continue };
            self.outcome.results_lost += 1;
            let reason = "gone".to_owned();
            self.driver_event(id, driver::Event::ResultLost { job, partition, task, reason });
        }
    }

    fn job_done(&mut self, id: NodeId, job: JobId) {
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        let Some(done) = driver.jobs.remove(&job) else { return };
        let place = driver.place;
        let wanted = &self.options.applications[place].jobs[done.place];
        let partitions = wanted.graph.stages[wanted.graph.result()].tasks as usize;
        assert_eq!(done.rows.len(), partitions, "{job:?} of application {place} is over and lacks results");
        assert!(wanted.poison.is_none(), "{job:?} of application {place} has a poisonous task, and succeeded");
        self.users[place].done[done.place] = Some(Done::Rows(done.rows));
        self.driver_event(id, driver::Event::JobReleased { job });
        self.submit_jobs(id);
    }

    /// A job failed: as it had to, or for a reason that the faults must justify. Then its user runs it again.
    fn job_failed(&mut self, id: NodeId, job: JobId, failure: JobFailure) {
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        let Some(failed) = driver.jobs.remove(&job) else { return };
        let place = driver.place;
        self.trace.say(self.now, || format!("{id:?} {job:?} failed: {failure}"));
        let poison = self.options.applications[place].jobs[failed.place].poison;
        if poison.is_some_and(|poison| poison.explains(&failure)) {
            self.users[place].done[failed.place] = Some(Done::Poisoned);
            self.outcome.poisoned += 1;
        } else {
            if let Err(complaint) = justify::justify(self, id, (job, &failed), &failure) {
                panic!("nothing justifies that {job:?} of application {place} failed with \"{failure}\": {complaint}");
            }
            self.outcome.failures += 1;
            let runs = self.users[place].runs.entry(failed.place).or_default();
            *runs += 1;
            assert!(*runs <= RUNS, "{job:?} of application {place} failed {runs} times");
        }
        self.driver_event(id, driver::Event::JobReleased { job });
        if ends_application(&failure) {
            self.blame_poison(id, place, &failure);
            let (state, message) = (ApplicationState::Failed, "no job can run any more".into());
            self.driver_event(id, driver::Event::StopAsked { state, message });
            self.later(Duration::from_secs(1), Occurrence::DriverStarts { place });
        } else {
            self.submit_jobs(id);
        }
    }
}

impl Cluster {
    /// An application that ended because its executors crashed one after the other: jobs whose tasks do that did it.
    fn blame_poison(&mut self, id: NodeId, place: usize, failure: &JobFailure) {
        let Some(driver) = self.nodes[id.0].driver() else { return };
        let open: Vec<usize> = driver.jobs.values().map(|job| job.place).collect();
        for job in open {
            let poison = self.options.applications[place].jobs[job].poison;
            if poison.is_some_and(|poison| poison.explains(failure)) {
                self.users[place].done[job] = Some(Done::Poisoned);
                self.outcome.poisoned += 1;
            }
        }
    }
}

/// Whether no job of this driver can run any more.
const fn ends_application(failure: &JobFailure) -> bool {
    use JobFailure::{Ended, Forgotten, MasterUnreachable, Refused};
    matches!(failure, MasterUnreachable { .. } | Refused { .. } | Forgotten { .. } | Ended { .. })
}
