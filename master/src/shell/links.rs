//! Between the machine and its peers: links and questions by number, the loop's events in, its effects out.

use crate::machine::{Answer, Effect, Event};
use hearth_core::{
    Level, LinkId, Refusal, ReplyId, WallTime,
    link::Link,
    messages::{
        application::{AppDown, AppUp},
        worker::{WorkerDown, WorkerUp},
    },
    run::{Perform, Performed},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long a new link may take to say its first message, so that connections that never register do not pile up.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// Open links: all the workers and drivers that a machine takes, and as many again that are about to be refused.
const MAX_LINKS: usize = 30_000;
/// Questions that wait for an answer. The machine answers in its next burst; more than this is a flood.
const MAX_QUESTIONS: usize = 1024;
/// How long a question waits.
const ANSWER: Duration = Duration::from_secs(5);

/// An open link, as the performer sees it. Dropping it closes the link once what was said is sent.
struct Open<Out> {
    outgoing: mpsc::Sender<Out>,
    /// Ends the reader.
    _reader: oneshot::Sender<()>,
}

type OpenLinks<Out> = BTreeMap<LinkId, Open<Out>>;

#[derive(Default)]
struct Table {
    numbers: u64,
    workers: OpenLinks<WorkerDown>,
    applications: OpenLinks<AppDown>,
    questions: BTreeMap<ReplyId, oneshot::Sender<Answer>>,
    /// Where events go; nowhere once the master shuts down.
    events: Option<mpsc::Sender<Event>>,
}

impl Table {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// Links and questions of one master.
pub(super) struct Links {
    table: Mutex<Table>,
    /// Events that the machine has handled.
    pub(super) handled: Arc<AtomicU64>,
}

/// What distinguishes the two kinds of link.
struct Kind<In, Out> {
    table: fn(&mut Table) -> &mut OpenLinks<Out>,
    said: fn(LinkId, WallTime, In) -> Event,
    closed: fn(LinkId) -> Event,
}

const WORKER: Kind<WorkerUp, WorkerDown> = Kind {
    table: |table| &mut table.workers,
    said: |link, wall, message| Event::WorkerSaid { link, wall, message },
    closed: |link| Event::WorkerLinkClosed { link },
};
const APPLICATION: Kind<AppUp, AppDown> = Kind {
    table: |table| &mut table.applications,
    said: |link, wall, message| Event::ApplicationSaid { link, wall, message },
    closed: |link| Event::ApplicationLinkClosed { link },
};

impl Links {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { table: Mutex::new(Table { events: Some(events), ..Table::default() }), handled: Arc::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing is left half-done where the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accept_worker(self: &Arc<Self>, link: Link<WorkerUp, WorkerDown>) -> Result<(), Refusal> {
        self.accept(link, &WORKER)
    }

    pub(super) fn accept_application(self: &Arc<Self>, link: Link<AppUp, AppDown>) -> Result<(), Refusal> {
        self.accept(link, &APPLICATION)
    }

    fn accept<In, Out>(self: &Arc<Self>, link: Link<In, Out>, kind: &'static Kind<In, Out>) -> Result<(), Refusal>
    where
        In: Send + 'static,
        Out: Send + 'static,
    {
        let Link { incoming, outgoing } = link;
        let (reader, stop) = oneshot::channel();
        let (id, events) = {
            let mut table = self.table();
            if table.workers.len() + table.applications.len() >= MAX_LINKS {
                let limit = u64::try_from(MAX_LINKS).unwrap_or(u64::MAX);
                return Err(Refusal::Full { what: "the number of connections to the master".into(), limit });
            }
            let events = table.events.clone().ok_or_else(gone)?;
            let id = LinkId(table.number());
            (kind.table)(&mut table).insert(id, Open { outgoing, _reader: reader });
            (id, events)
        };
        let links = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Closed by us: what the peer still says is not heard.
                _ = stop => {}
                () = read(id, incoming, &events, kind.said) => {}
            }
            (kind.table)(&mut links.table()).remove(&id);
            // When the loop is gone, nobody needs to know.
            let _ = events.send((kind.closed)(id)).await;
        });
        Ok(())
    }

    /// Asks the machine something, and waits for its answer.
    pub(super) async fn ask(&self, question: impl FnOnce(ReplyId, WallTime) -> Event) -> Result<Answer, Refusal> {
        let (answer, answered) = oneshot::channel();
        let (id, events) = {
            let mut table = self.table();
            table.questions.retain(|_, waiting| !waiting.is_closed());
            if table.questions.len() >= MAX_QUESTIONS {
                let limit = u64::try_from(MAX_QUESTIONS).unwrap_or(u64::MAX);
                return Err(Refusal::Full { what: "the number of open questions".into(), limit });
            }
            let events = table.events.clone().ok_or_else(gone)?;
            let id = ReplyId(table.number());
            table.questions.insert(id, answer);
            (id, events)
        };
        let asked = async {
            events.send(question(id, wall_time())).await.map_err(|_| gone())?;
            drop(events);
            answered.await.map_err(|_| gone())
        };
        let answer = timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(gone()));
        self.table().questions.remove(&id);
        answer
    }

    /// Takes no more links or questions, and closes those that are open: the loop ends when its events are handled.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.events = None;
        table.workers.clear();
        table.applications.clear();
        table.questions.clear();
    }

    fn say<Out>(&self, link: LinkId, message: Out, of: fn(&mut Table) -> &mut OpenLinks<Out>) {
        let mut table = self.table();
        let links = of(&mut table);
        let Some(open) = links.get(&link) else { return };
        if let Err(error) = open.outgoing.try_send(message) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                tracing::warn!(link = link.0, "link closed: its peer does not read what it is told");
            }
            links.remove(&link);
        }
    }
}

fn gone() -> Refusal {
    Refusal::Gone("the master".into())
}

/// Hands what a peer says to the loop, until either ends.
async fn read<In>(
    link: LinkId,
    mut incoming: mpsc::Receiver<In>,
    events: &mpsc::Sender<Event>,
    said: fn(LinkId, WallTime, In) -> Event,
) {
    let Ok(first) = timeout(FIRST_MESSAGE, incoming.recv()).await else {
        tracing::warn!(link = link.0, "link closed: it said nothing for {FIRST_MESSAGE:?}");
        return;
    };
    let mut next = first;
    while let Some(message) = next {
        if events.send(said(link, wall_time(), message)).await.is_err() {
            return;
        }
        next = incoming.recv().await;
    }
}

/// The time that people read.
pub(super) fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Performs the machine's effects.
pub(super) struct Performer(pub(super) Arc<Links>);

impl Perform<Effect> for Performer {
    fn perform(&mut self, effect: Effect) -> Performed {
        match effect {
            // The loop has made it durable.
            Effect::Persist(_) => {}
            Effect::ToWorker { link, message } => self.0.say(link, message, WORKER.table),
            Effect::ToApplication { link, message } => self.0.say(link, message, APPLICATION.table),
            Effect::CloseLink { link } => {
                let mut table = self.0.table();
                table.workers.remove(&link);
                table.applications.remove(&link);
            }
            Effect::Answer { reply, answer } => {
                if let Some(question) = self.0.table().questions.remove(&reply) {
                    let _ = question.send(answer); // Whoever asked may have lost patience.
                }
            }
            Effect::Log { level, text } => match level {
                Level::Debug => tracing::debug!("{text}"),
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
        }
        Performed::Done
    }
}

/// A machine that counts what it handles, for the metrics.
pub(super) struct Counted {
    pub(super) machine: crate::machine::Master,
    pub(super) handled: Arc<AtomicU64>,
}

impl hearth_core::Machine for Counted {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: hearth_core::Now, event: Event, fx: &mut Vec<Effect>) {
        self.machine.handle(now, event, fx);
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    fn deadline(&self) -> Option<hearth_core::Now> {
        self.machine.deadline()
    }

    fn tick(&mut self, now: hearth_core::Now, fx: &mut Vec<Effect>) {
        self.machine.tick(now, fx);
    }

    fn check(&self) {
        self.machine.check();
    }
}
