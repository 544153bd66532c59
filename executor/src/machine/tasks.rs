//! Task slots.

use super::{
    Effect, log,
    supplies::{Denied, Supplies},
};
use hearth_core::{
    Level, LinkId, PayloadHash, ShuffleId, TaskId,
    messages::task::{
        ResultBlock, TaskFailure, TaskLaunch, TaskMetrics, TaskNews, TaskOutput, TaskStatus, TaskTarget, TaskUp,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of news in one message, unless a single one has more. The wire takes 16 MiB; after a time without a link, every
/// slot may have a result of 1 MiB to report.
const MESSAGE_BYTES: usize = 4 << 20;

/// What a task in a slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It lacks its payload or map statuses.
    Waiting,
    /// It runs.
    Running,
    /// It was told to stop, and has not stopped yet.
    Cancelling,
}

#[derive(Debug)]
struct Task {
    launch: TaskLaunch,
    state: State,
    /// Its job is over: what it still writes has to be removed when it ends.
    forgotten: bool,
}

/// The slots, and the news of their tasks that has not been sent.
#[derive(Debug)]
pub(super) struct Tasks {
    slots: u32,
    tasks: BTreeMap<TaskId, Task>,
    /// In the order in which it happened; at most one a task, unless a refused launch's is among them.
    news: Vec<TaskStatus>,
}

impl Tasks {
    pub(super) const fn new(slots: u32) -> Self {
        Self { slots, tasks: BTreeMap::new(), news: Vec::new() }
    }

    /// What the tasks in slots were told.
    pub(super) fn launches(&self) -> impl Iterator<Item = &TaskLaunch> + Clone {
        self.tasks.values().map(|t| &t.launch)
    }

    /// Tasks whose last news the driver does not have.
    pub(super) fn unreported(&self) -> Vec<TaskId> {
        let tasks: BTreeSet<_> = self.tasks.keys().chain(self.news.iter().map(|n| &n.task)).copied().collect();
        tasks.into_iter().collect()
    }

    /// Slots that tasks hold.
    fn used(&self) -> u32 {
        self.tasks.values().fold(0, |sum, task| sum.saturating_add(task.launch.slots))
    }

    /// Puts a task into its slots. The driver counts slots too, so a surplus is its mistake, and queueing would hide it.
    pub(super) fn launch(&mut self, launch: TaskLaunch, supplies: &mut Supplies, fx: &mut Vec<Effect>) {
        if self.tasks.contains_key(&launch.task) {
            return;
        }
        let (used, wanted) = (self.used(), launch.slots);
        if used.saturating_add(wanted) > self.slots {
            let failure = match wanted {
                1 => format!("no free slot: all {used} are taken"),
                _ => format!("no {wanted} free slots: {used} of {} are taken", self.slots),
            };
            let failure = TaskFailure::Transient(failure);
            self.report(launch.task, TaskNews::Failed(failure));
            return;
        }
        supplies.ask(&launch, fx);
        self.tasks.insert(launch.task, Task { launch, state: State::Waiting, forgotten: false });
    }

    /// Starts the tasks that have all they need.
    pub(super) fn start_ready(&mut self, supplies: &mut Supplies, fx: &mut Vec<Effect>) {
        let mut started = Vec::new();
        for (id, task) in self.tasks.iter_mut().filter(|(_, t)| t.state == State::Waiting) {
            if let Some((payload, inputs)) = supplies.get(&task.launch) {
                task.state = State::Running;
                started.push(*id);
                fx.push(Effect::StartTask { launch: task.launch.clone(), payload, inputs });
            }
        }
        for task in started {
            self.report(task, TaskNews::Started);
        }
    }

    /// Something that was asked for came, or will not: fails the tasks that waited for it in vain, and asks for what the
    /// others still lack.
    pub(super) fn answered(&mut self, denied: Option<Denied>, supplies: &mut Supplies, fx: &mut Vec<Effect>) {
        if let Some(denied) = denied {
            self.fail_waiting(|launch| supplies.denies(&denied, launch), denied.failure());
        }
        for task in self.tasks.values().filter(|t| t.state == State::Waiting) {
            supplies.ask(&task.launch, fx);
        }
    }

    /// A task that only waits is gone at once; one that runs is told to stop.
    pub(super) fn kill(&mut self, task: TaskId, reason: String, fx: &mut Vec<Effect>) {
        let Some(found) = self.tasks.get_mut(&task) else { return };
        match found.state {
            State::Waiting => {
                self.tasks.remove(&task);
                self.report(task, TaskNews::Failed(TaskFailure::Killed(reason)));
            }
            State::Running => {
                found.state = State::Cancelling;
                fx.push(Effect::CancelTask { task, reason });
            }
            State::Cancelling => {}
        }
    }

    /// A job is over.
    pub(super) fn forget(&mut self, payloads: &[PayloadHash], shuffles: &[ShuffleId]) {
        let over = |launch: &TaskLaunch| {
            let writes = matches!(launch.target, TaskTarget::Shuffle { shuffle, .. } if shuffles.contains(&shuffle));
            let reads = launch.inputs.iter().any(|input| shuffles.contains(&input.shuffle));
            writes || reads || payloads.contains(&launch.payload)
        };
        self.fail_waiting(over, &TaskFailure::Killed("its job is over".into()));
        for task in self.tasks.values_mut() {
            task.forgotten |= over(&task.launch);
        }
    }

    /// A slot is free.
    pub(super) fn ended(
        &mut self,
        task: TaskId,
        result: Result<(TaskOutput, TaskMetrics), TaskFailure>,
        fx: &mut Vec<Effect>,
    ) {
        if self.tasks.get(&task).is_none_or(|t| t.state == State::Waiting) {
            log(fx, Level::Warn, format!("task {task} ended without having been started"));
            return;
        }
        if let Some(Task { launch, forgotten: true, .. }) = self.tasks.remove(&task) {
            let (shuffles, results) = match launch.target {
                TaskTarget::Shuffle { shuffle, .. } => (vec![shuffle], vec![]),
                TaskTarget::Result => (vec![], vec![task]),
            };
            fx.push(Effect::RemoveFiles { shuffles, results });
        }
        let news = match result {
            Ok((output, metrics)) => TaskNews::Succeeded(output, metrics),
            Err(failure) => TaskNews::Failed(failure),
        };
        self.report(task, news);
    }

    /// Sends all news: in one message, or in as few as its size allows.
    pub(super) fn send_news(&mut self, link: LinkId, fx: &mut Vec<Effect>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut send = |batch| fx.push(Effect::ToDriver { link, message: TaskUp::Statuses(batch) });
        for news in std::mem::take(&mut self.news) {
            let more = size(&news.news);
            if !batch.is_empty() && bytes + more > MESSAGE_BYTES {
                send(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += more;
            batch.push(news);
        }
        if !batch.is_empty() {
            send(batch);
        }
    }

    /// Stops all and forgets all.
    pub(super) fn cancel_all(&mut self, reason: &str, fx: &mut Vec<Effect>) {
        for (task, _) in self.tasks.iter().filter(|(_, t)| t.state == State::Running) {
            fx.push(Effect::CancelTask { task: *task, reason: reason.to_owned() });
        }
        self.tasks.clear();
        self.news.clear();
    }

    /// Later news of a task replaces what was not sent yet: that it started says nothing once it is over.
    fn report(&mut self, task: TaskId, news: TaskNews) {
        self.news.retain(|n| n.task != task);
        self.news.push(TaskStatus { task, news });
    }

    fn fail_waiting(&mut self, which: impl Fn(&TaskLaunch) -> bool, failure: &TaskFailure) {
        let failed = self.tasks.iter().filter(|(_, t)| t.state == State::Waiting && which(&t.launch));
        for task in failed.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tasks.remove(&task);
            self.report(task, TaskNews::Failed(failure.clone()));
        }
    }

    pub(super) fn assert_empty(&self) {
        assert!(self.tasks.is_empty(), "slots are taken: {:?}", self.tasks);
        assert!(self.news.is_empty(), "news was not sent: {:?}", self.news);
    }

    pub(super) fn check(&self, supplies: &Supplies, registered: bool) {
        assert!(self.used() <= self.slots, "{} of {} slots are taken", self.used(), self.slots);
        assert!(!registered || self.news.is_empty(), "news is kept although the driver could have it");
        // Without a link nothing is launched, so what is kept is bounded by the slots.
        let unreported = self.unreported().len();
        assert!(unreported <= self.slots as usize, "news of {unreported} tasks is kept for {} slots", self.slots);
        for (id, task) in &self.tasks {
            assert_eq!(*id, task.launch.task, "a task is in another's slot");
            if task.state == State::Waiting {
                supplies.check_waiting(&task.launch);
            }
        }
    }
}

/// About how many bytes news takes in a message, rather more than less.
fn size(news: &TaskNews) -> usize {
    /// Ids, metrics, locations, the text of a failure.
    const REST: usize = 2 << 10;
    /// A number of any size.
    const VARINT: usize = 10;
    /// Three numbers with their tags.
    const OPERATOR: usize = 4 * VARINT;
    let TaskNews::Succeeded(output, metrics) = news else { return REST };
    let output = match output {
        TaskOutput::Map(status) => status.sizes.len() * VARINT,
        TaskOutput::Result(ResultBlock::Inline(bytes)) => bytes.len(),
        TaskOutput::Result(ResultBlock::Stored { .. }) => 0,
    };
    REST + output + metrics.operators.len() * OPERATOR
}
