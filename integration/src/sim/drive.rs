//! The shell of drivers, and the user around each: a program that wants its jobs done one after the other, reads their
//! results in order, and runs again what failed for a reason that it accepts.

use super::{
    checks,
    cluster::{Asking, Cluster, MASTER_HOST, Message, Occurrence, Question},
    graph, justify,
    network::LinkKind,
    node::{DriverProcess, Job, NodeId, Process, Row},
};
use hearth_core::{
    ApplicationState, JobId, LinkId, ReplyId,
    messages::{
        application::AppUp,
        task::{ResultBlock, TaskDown, TaskLaunch},
    },
};
use hearth_driver::machine::{self as driver, JobFailure, JobNews};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// How many times more often than a task a reader of results tries to reach a block service.
const PATIENCE: u32 = 4;
/// Times that a job is run again before its user gives up: more than there are faults.
const RUNS: usize = 25;

impl Cluster {
    fn driver_host(&self, place: usize) -> usize {
        MASTER_HOST + 1 + self.seats.len() + place
    }

    /// Starts the driver of an application: the first one, or one more because the last is gone.
    pub(super) fn start_driver(&mut self, place: usize) {
        let url = format!("sim://{}", self.nodes.len());
        let options = driver::DriverOptions {
            spec: self.options.applications[place].spec(url),
            master: Some("sim".into()),
            speculation: self.options.applications[place].speculates.then(driver::Speculation::default),
            ..Default::default()
        };
        let process = DriverProcess {
            machine: driver::Driver::new(options),
            place,
            job: None,
            submitted: 0,
            stopped: false,
            newest: BTreeMap::new(),
            launched: HashSet::new(),
            over: JobId(0),
            given_up: HashSet::new(),
        };
        let id = self.begin(self.driver_host(place), Process::Driver(Box::new(process)));
        self.users[place].node = Some(id);
        self.users[place].starts += 1;
        self.schedule(id);
        self.next_job(id);
    }

    /// Submits the next job, or lets the application say goodbye.
    fn next_job(&mut self, id: NodeId) {
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        let place = driver.place;
        let done = self.users[place].done.len();
        match self.options.applications[place].jobs.get(done).cloned() {
            Some(graph) => {
                driver.submitted += 1;
                let job = JobId(driver.submitted);
                let (came, rows) = (BTreeMap::new(), Vec::new());
                driver.job = Some(Job { id: job, came, rows, reading: false, tries: 0, ended: None });
                self.driver_event(id, driver::Event::JobSubmitted { job, graph, pool: driver::DEFAULT_POOL.into() });
            }
            None => {
                let state = ApplicationState::Finished;
                self.driver_event(id, driver::Event::StopAsked { state, message: String::new() });
            }
        }
    }

    pub(super) fn perform_driver(&mut self, id: NodeId, fx: Vec<driver::Effect>) {
        for effect in fx {
            match effect {
                driver::Effect::DialMaster => self.dial(LinkKind::Application, id, self.master),
                driver::Effect::ToMaster { link, message } => {
                    self.note_given_up(id, &message);
                    self.send(id, link, Message::AppUp(message));
                }
                driver::Effect::CloseMasterLink { link } | driver::Effect::CloseExecutorLink { link } => {
                    self.close(id, link);
                }
                driver::Effect::ToExecutor { link, message } => {
                    if let TaskDown::Launch(launches) = &message {
                        self.note_launches(id, link, launches);
                    }
                    self.send(id, link, Message::TaskDown(message));
                }
                driver::Effect::Answer { reply, answer } => self.answer(reply, answer),
                driver::Effect::Job { job, news } => self.job_news(id, job, news),
                driver::Effect::Log { text, .. } => {
                    self.outcome.rollbacks += u64::from(text.contains("begins anew"));
                    self.outcome.copies += u64::from(text.contains("gets a copy"));
                    self.trace.say(self.now, || format!("{id:?} driver: {text}"));
                }
                driver::Effect::Stopped => {
                    self.close_all(id);
                    if let Process::Driver(driver) = &mut self.nodes[id.0].process {
                        driver.stopped = true;
                        driver.machine.assert_empty();
                    }
                }
            }
        }
        if self.nodes[id.0].driver().is_some_and(|driver| driver.stopped) {
            self.nodes[id.0].process = Process::Gone;
        }
    }

    /// Which executors a driver has given up.
    fn note_given_up(&mut self, id: NodeId, message: &AppUp) {
        if let (AppUp::KillExecutors { executors, .. }, Some(driver)) = (message, self.nodes[id.0].driver_mut()) {
            driver.given_up.extend(executors);
        }
    }

    fn note_launches(&mut self, id: NodeId, link: LinkId, launches: &[TaskLaunch]) {
        let executor = self.nodes[self.network.end(link, 0).0].executor().map(|executor| executor.id);
        if let Process::Driver(driver) = &mut self.nodes[id.0].process {
            let given_up = executor.is_some_and(|executor| driver.given_up.contains(&executor));
            assert!(!given_up, "tasks are launched on {executor:?}, which was given up");
            launches.iter().for_each(|launch| checks::launch(driver, launch));
        }
    }

    /// A driver was asked something.
    pub(super) fn asked(&mut self, asking: Asking) {
        if self.nodes[asking.of.0].driver().is_none() {
            return self.ask_again(asking, Duration::from_millis(100));
        }
        self.asked += 1;
        let reply = ReplyId(self.asked);
        self.questions.insert(reply, asking);
        let event = match asking.question {
            Question::Payload(hash) => driver::Event::PayloadAsked { reply, hash },
            Question::Statuses(shuffle, epoch) => driver::Event::MapStatusesAsked { reply, shuffle, epoch },
        };
        self.driver_event(asking.of, event);
    }

    fn answer(&mut self, reply: ReplyId, answer: driver::Answer) {
        let asking = self.questions.remove(&reply).expect("an answer belongs to one question");
        let to = asking.by;
        let occurrence = match (asking.question, answer) {
            (Question::Payload(hash), driver::Answer::Payload(payload)) => {
                Occurrence::PayloadCame { to, hash, answer: Ok(payload) }
            }
            (Question::Payload(hash), driver::Answer::Refused(refusal)) => {
                Occurrence::PayloadCame { to, hash, answer: Err(refusal) }
            }
            (Question::Statuses(shuffle, _), driver::Answer::MapStatuses(statuses)) => {
                Occurrence::StatusesCame { to, shuffle, answer: Ok(statuses) }
            }
            (Question::Statuses(shuffle, _), driver::Answer::Refused(refusal)) => {
                Occurrence::StatusesCame { to, shuffle, answer: Err(refusal) }
            }
            (question, answer) => unreachable!("{question:?} was answered with {answer:?}"),
        };
        self.carry_answer(asking, occurrence);
    }

    fn job_news(&mut self, id: NodeId, job: JobId, news: JobNews) {
        self.trace.say(self.now, || format!("{id:?} {job:?} {news:?}"));
        let delay = self.chance.millis(0, 10);
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        if matches!(news, JobNews::Over(_)) {
            driver.over = driver.over.max(job);
        }
        let Some(wanted) = driver.job.as_mut().filter(|wanted| wanted.id == job) else { return };
        match news {
            JobNews::Result { partition, block, .. } => {
                let taken = (partition as usize) < wanted.rows.len();
                assert!(!taken && wanted.ended.is_none(), "partition {partition} of {job:?} came too late");
                let before = wanted.came.insert(partition, block);
                assert!(before.is_none(), "partition {partition} of {job:?} was delivered twice");
            }
            JobNews::Over(end) => wanted.ended = Some(end),
            JobNews::Stage { .. } | JobNews::Waiting { .. } => return,
        }
        if !std::mem::replace(&mut wanted.reading, true) {
            self.later(delay, Occurrence::ReaderTakes { node: id });
        }
    }

    /// The user of a driver does the next thing: takes a result, or ends a job.
    pub(super) fn user_acts(&mut self, id: NodeId) {
        let delay = self.chance.millis(0, 10);
        let Some(job) = self.nodes[id.0].driver_mut().and_then(|driver| driver.job.as_mut()) else { return };
        job.reading = false;
        let partition = u32::try_from(job.rows.len()).expect("few");
        if let Some(Err(failure)) = &job.ended {
            let failure = failure.clone();
            return self.job_failed(id, failure);
        }
        if let Some(block) = job.came.remove(&partition) {
            job.reading = true;
            let number = job.id;
            return match self.read_result(id, &block) {
                Ok(row) => self.take_row(id, number, partition, row, delay),
                Err(read) => self.read_later(id, partition, block, read),
            };
        }
        let place = self.nodes[id.0].driver().map_or(0, |driver| driver.place);
        let Some(job) = self.nodes[id.0].driver_mut().and_then(|driver| driver.job.as_mut()) else { return };
        let graph = &self.options.applications[place].jobs[self.users[place].done.len()];
        if job.ended.is_some() {
            let wanted = graph.stages[graph.result()].tasks;
            assert_eq!(partition, wanted, "{:?} is over and lacks results", job.id);
            self.job_done(id);
        }
    }

    fn take_row(&mut self, id: NodeId, job: JobId, partition: u32, row: Row, delay: Duration) {
        if let Some(job) = self.nodes[id.0].driver_mut().and_then(|driver| driver.job.as_mut()) {
            job.rows.push(row);
            job.tries = 0;
        }
        self.driver_event(id, driver::Event::ResultTaken { job, partition });
        self.later(delay, Occurrence::ReaderTakes { node: id });
    }

    /// The rows of a result; the error is whether trying again may help.
    fn read_result(&self, id: NodeId, block: &ResultBlock) -> Result<Row, bool> {
        match block {
            ResultBlock::Inline(bytes) => Ok(graph::decode(bytes)),
            ResultBlock::Stored { task, location, .. } => {
                let file = super::blocks::File::Result(*task);
                let host = self.nodes[id.0].host;
                self.read_from(host, id, location, |disk| disk.row(&(id, file)))
            }
        }
    }

    /// A stored result could not be read: again later, or it is lost, and its driver has it made again.
    fn read_later(&mut self, id: NodeId, partition: u32, block: ResultBlock, may_help: bool) {
        let (most, wait) = (self.options.fetch_retries * PATIENCE, self.options.retry_wait);
        let Some(wanted) = self.nodes[id.0].driver_mut().and_then(|driver| driver.job.as_mut()) else { return };
        let job = wanted.id;
        wanted.tries += 1;
        if may_help && wanted.tries <= most {
            wanted.came.insert(partition, block);
            return self.later(wait, Occurrence::ReaderTakes { node: id });
        }
        (wanted.tries, wanted.reading) = (0, false);
        let ResultBlock::Stored { location: there, .. } = &block else { unreachable!("what is inline can be read") };
        // Of what else lies where nobody answers, none is worth the same patience again.
        let is_there = |_: &u32, other: &mut ResultBlock| match other {
            ResultBlock::Stored { location, .. } => may_help && location == there,
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

    fn job_done(&mut self, id: NodeId) {
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        let Some(job) = driver.job.take() else { return };
        let place = driver.place;
        self.users[place].done.push(job.rows);
        self.users[place].failures.clear();
        self.driver_event(id, driver::Event::JobReleased { job: job.id });
        self.next_job(id);
    }

    /// A job failed, for a reason that the faults must justify. Its user runs it again.
    fn job_failed(&mut self, id: NodeId, failure: JobFailure) {
        let Some(driver) = self.nodes[id.0].driver_mut() else { return };
        let Some(job) = driver.job.take() else { return };
        let place = driver.place;
        self.trace.say(self.now, || format!("{id:?} {:?} failed: {failure}", job.id));
        if let Err(complaint) = justify::justify(self, id, job.id, &failure) {
            panic!("nothing justifies that {:?} of application {place} failed with \"{failure}\": {complaint}", job.id);
        }
        self.outcome.failures += 1;
        let is_last = ends_application(&failure);
        self.users[place].failures.push(failure);
        let runs = self.users[place].failures.len();
        assert!(runs <= RUNS, "application {place} failed {runs} times");
        self.driver_event(id, driver::Event::JobReleased { job: job.id });
        if is_last {
            let (state, message) = (ApplicationState::Failed, "no job can run any more".into());
            self.driver_event(id, driver::Event::StopAsked { state, message });
            self.later(Duration::from_secs(1), Occurrence::DriverStarts { place });
        } else {
            self.next_job(id);
        }
    }
}

/// Whether no job of this driver can run any more.
const fn ends_application(failure: &JobFailure) -> bool {
    use JobFailure::{Ended, Forgotten, MasterUnreachable, Refused};
    matches!(failure, MasterUnreachable { .. } | Refused { .. } | Forgotten { .. } | Ended { .. })
}
