//! What the master is told, and what it wants done.

use super::record::Record;
use hearth_core::messages::{
    application::{AppDown, AppUp},
    status::ClusterView,
    worker::{WorkerDown, WorkerUp},
};
use hearth_core::{Durable, Level, LinkId, Refusal, ReplyId, WallTime};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker said something on a link; the first message on each link is `Register`.
    WorkerSaid {
        /// On which link.
        link: LinkId,
        /// When, for people.
        wall: WallTime,
        /// What.
        message: WorkerUp,
    },
    /// A worker's link ended.
    WorkerLinkClosed {
        /// Which.
        link: LinkId,
    },
    /// A driver said something on a link; the first message on each link is `Register` or `Reconnect`.
    ApplicationSaid {
        /// On which link.
        link: LinkId,
        /// When, for people: part of an application's name.
        wall: WallTime,
        /// What.
        message: AppUp,
    },
    /// A driver's link ended.
    ApplicationLinkClosed {
        /// Which.
        link: LinkId,
    },
    /// Somebody wants a snapshot.
    StatusAsked {
        /// Whom to answer.
        reply: ReplyId,
        /// When, for people.
        wall: WallTime,
    },
    /// Somebody asks why an application, executor or worker is as it is.
    ExplainAsked {
        /// Whom to answer.
        reply: ReplyId,
        /// When, for people.
        wall: WallTime,
        /// An application, a worker, or an executor as `APPLICATION/EXECUTOR`.
        id: String,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make durable before anything that follows.
    Persist(Record),
    /// Say something to a worker.
    ToWorker {
        /// On which link.
        link: LinkId,
        /// What.
        message: WorkerDown,
    },
    /// Say something to a driver.
    ToApplication {
        /// On which link.
        link: LinkId,
        /// What.
        message: AppDown,
    },
    /// Close a link, once what was said on it is sent.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Answer a question.
    Answer {
        /// Whom.
        reply: ReplyId,
        /// What.
        answer: Answer,
    },
    /// Tell the log.
    Log {
        /// How much it matters.
        level: Level,
        /// For people.
        text: String,
    },
}

impl Effect {
    pub(super) fn log(level: Level, text: String) -> Self {
        Self::Log { level, text }
    }
}

impl Durable for Effect {
    type Record = Record;

    fn record(&self) -> Option<&Record> {
        if let Self::Persist(record) = self { Some(record) } else { None }
    }
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The cluster.
    Status(ClusterView),
    /// Lines for people.
    Explanation(String),
    /// No.
    Refused(Refusal),
}
