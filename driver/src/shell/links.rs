//! Between the machine and everybody else: links, questions and jobs by number.

use super::{Error, job::JobSink};
use crate::machine::{Answer, Event, JobNews};
use hearth_core::{
    JobId, LinkId, Refusal, ReplyId,
    link::Link,
    messages::task::{TaskDown, TaskUp},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

/// How long a new link may take to say its first message, so that connections that never register do not pile up.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// How long a link that we close stays open for the executor to read what was said last. Somebody at a prompt waits for it
/// when the application ends; an executor that missed the word is ended by the master.
const LINGER: Duration = Duration::from_millis(100);
/// Open links: far more executors than one driver can feed, and as many that are about to be refused.
const MAX_LINKS: usize = 20_000;
/// Questions that wait for an answer: one for each input of each slot of a large cluster. The machine answers in its next
/// burst; more than this is a flood.
const MAX_QUESTIONS: usize = 1 << 16;
/// How long a question waits.
const ANSWER: Duration = Duration::from_secs(10);

/// An open link to an executor. Dropping it closes the link once what was said is sent.
struct Open {
    outgoing: mpsc::Sender<TaskDown>,
    /// Ends the reader.
    _reader: oneshot::Sender<std::convert::Infallible>,
}

#[derive(Default)]
struct Table {
    numbers: u64,
    jobs_so_far: u32,
    executors: BTreeMap<LinkId, Open>,
    questions: BTreeMap<ReplyId, oneshot::Sender<Answer>>,
    jobs: BTreeMap<JobId, JobSink>,
    closed: bool,
}

/// Links, questions and jobs of one driver.
pub(super) struct Links {
    table: Mutex<Table>,
    events: mpsc::Sender<Event>,
    /// Everything that was spawned.
    pub(super) tracker: TaskTracker,
}

impl Links {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { table: Mutex::default(), events, tracker: TaskTracker::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing is left half-done where the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new link.
    pub(super) fn number(&self) -> u64 {
        let mut table = self.table();
        table.numbers += 1;
        table.numbers
    }

    /// Gives the machine an event; false when there is none any more.
    pub(super) async fn post(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// Gives the machine events, soon, where nobody can wait.
    pub(super) fn post_later(self: &Arc<Self>, events: impl IntoIterator<Item = Event>) {
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(event)) => {
                    let rest: Vec<Event> = std::iter::once(event).chain(events).collect();
                    // Without a runtime there is no loop either that could take them.
                    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
                    let links = self.clone();
                    runtime.spawn(async move {
                        for event in rest {
                            links.post(event).await;
                        }
                    });
                    return;
                }
            }
        }
    }

    /// Takes an executor's link, whatever carries it.
    pub(super) fn accept(self: &Arc<Self>, link: Link<TaskUp, TaskDown>) -> Result<(), Refusal> {
        let Link { incoming, outgoing } = link;
        let (reader, stop) = oneshot::channel();
        let id = {
            let mut table = self.table();
            if table.closed {
                return Err(gone());
            }
            if table.executors.len() >= MAX_LINKS {
                let what = "the number of connections to the driver".into();
                return Err(Refusal::Full { what, limit: MAX_LINKS as u64 });
            }
            table.numbers += 1;
            let id = LinkId(table.numbers);
            table.executors.insert(id, Open { outgoing, _reader: reader });
            id
        };
        let links = self.clone();
        self.tracker.spawn(async move { links.read(id, incoming, stop).await });
        Ok(())
    }

    /// Hands what an executor says to the loop, until either side closes the link.
    async fn read(
        &self,
        link: LinkId,
        mut incoming: mpsc::Receiver<TaskUp>,
        stop: oneshot::Receiver<std::convert::Infallible>,
    ) {
        let read = async {
            let Ok(mut next) = timeout(FIRST_MESSAGE, incoming.recv()).await else {
                tracing::warn!(link = link.0, "link closed: it said nothing for {FIRST_MESSAGE:?}");
                return;
            };
            while let Some(message) = next {
                if !self.post(Event::ExecutorSaid { link, message }).await {
                    return;
                }
                next = incoming.recv().await;
            }
        };
        let by_us = tokio::select! {
            () = read => false,
            _ = stop => true,
        };
        self.close(link);
        self.post(Event::ExecutorLinkClosed { link }).await;
        if by_us {
            // Dropping the queue at once might cut off what the executor has not read yet.
            let read_out = async { while incoming.recv().await.is_some() {} };
            let _ = timeout(LINGER, read_out).await;
        }
    }

    /// Says something to an executor. One that lets its queue fill up is cut off.
    pub(super) fn say(&self, link: LinkId, message: TaskDown) {
        let mut table = self.table();
        let Some(open) = table.executors.get(&link) else { return };
        if let Err(error) = open.outgoing.try_send(message) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                tracing::warn!(link = link.0, "link closed: the executor does not read what it is told");
            }
            table.executors.remove(&link);
        }
    }

    pub(super) fn close(&self, link: LinkId) {
        self.table().executors.remove(&link);
    }

    /// A number and a place for the news of a new job.
    pub(super) fn new_job(&self, sink: impl FnOnce(JobId) -> JobSink) -> Result<JobId, Error> {
        let mut table = self.table();
        if table.closed {
            return Err(Error::Stopped);
        }
        table.jobs_so_far += 1;
        let job = JobId(table.jobs_so_far);
        table.jobs.insert(job, sink(job));
        Ok(job)
    }

    /// Tells whoever submitted a job.
    pub(super) fn tell(&self, job: JobId, news: JobNews) {
        let mut table = self.table();
        if table.jobs.get(&job).is_some_and(|sink| sink.take(news)) {
            table.jobs.remove(&job);
        }
    }

    /// Asks the machine something, and waits for its answer.
    pub(super) async fn ask(&self, question: impl FnOnce(ReplyId) -> Event) -> Result<Answer, Refusal> {
        let (answer, answered) = oneshot::channel();
        let reply = {
            let mut table = self.table();
            if table.closed {
                return Err(gone());
            }
            if table.questions.len() >= MAX_QUESTIONS {
                let limit = MAX_QUESTIONS as u64;
                return Err(Refusal::Full { what: "the number of open questions".into(), limit });
            }
            table.numbers += 1;
            let reply = ReplyId(table.numbers);
            table.questions.insert(reply, answer);
            reply
        };
        let _forget = Forget(self, reply);
        if !self.post(question(reply)).await {
            return Err(gone());
        }
        match timeout(ANSWER, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(gone()),
        }
    }

    /// Gives an answer to whoever asked.
    pub(super) fn answer(&self, reply: ReplyId, answer: Answer) {
        if let Some(question) = self.table().questions.remove(&reply) {
            let _ = question.send(answer); // Whoever asked may have lost patience.
        }
    }

    /// The loop has ended: nobody is heard or answered any more.
    pub(super) fn shut(&self) {
        let mut table = self.table();
        table.closed = true;
        table.executors.clear();
        table.questions.clear();
        table.jobs.clear();
    }
}

/// A question whose asker went away is dropped with it.
struct Forget<'a>(&'a Links, ReplyId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.table().questions.remove(&self.1);
    }
}

fn gone() -> Refusal {
    Refusal::Gone("the driver".into())
}
