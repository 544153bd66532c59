//! The shell of drivers.

use super::{
    checks,
    cluster::{Asking, Cluster, MASTER_HOST, Message, Occurrence, Question},
    network::LinkKind,
    node::{DriverProcess, NodeId, Process},
};
use hearth_core::{
    LinkId, ReplyId,
    messages::{
        application::AppUp,
        task::{TaskDown, TaskLaunch},
    },
};
use hearth_driver::machine as driver;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// Who is left out is so for a short time, that a run sees an end of it.
fn exclusion() -> driver::Exclusion {
    let timeout = Duration::from_secs(30);
    driver::Exclusion { timeout, unschedulable_timeout: timeout / 2, ..driver::Exclusion::default() }
}

impl Cluster {
    pub(super) fn driver_host(&self, place: usize) -> usize {
        MASTER_HOST + 1 + self.seats.len() + place
    }

    /// Starts the driver of an application: the first one, or one more because the last is gone.
    pub(super) fn start_driver(&mut self, place: usize) {
        let url = format!("sim://{}", self.nodes.len());
        let wanted = &self.options.applications[place];
        let options = driver::DriverOptions {
            spec: wanted.spec(url),
            master: Some("sim".into()),
            speculation: wanted.speculates.then(driver::Speculation::default),
            exclusion: wanted.excludes.then(exclusion),
            pools: driver::Pools { mode: wanted.mode, named: BTreeMap::new() },
            ..Default::default()
        };
        let process = DriverProcess {
            machine: driver::Driver::new(options),
            place,
            application: None,
            since: self.now,
            jobs: BTreeMap::new(),
            submitted: 0,
            stopped: false,
            newest: BTreeMap::new(),
            launched: HashSet::new(),
            over: HashSet::new(),
            given_up: HashSet::new(),
        };
        let id = self.begin(self.driver_host(place), Process::Driver(Box::new(process)));
        self.users[place].node = Some(id);
        self.users[place].starts += 1;
        self.schedule(id);
        self.submit_jobs(id);
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
                driver::Effect::Named(application) => {
                    if let Some(driver) = self.nodes[id.0].driver_mut() {
                        driver.application = Some(application);
                    }
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
        let executor = self.nodes[self.network.end(link, 0).0].executor();
        assert!(executor.is_none_or(|executor| executor.driver == id), "{id:?} launches on somebody else's executor");
        let executor = executor.map(|executor| executor.id);
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
}
