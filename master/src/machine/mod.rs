//! The master's machine.
#![allow(missing_docs, reason = "skeleton: fields are named for what they hold")]

use hearth_core::messages::{application::*, status::*, worker::*};
use hearth_core::{Level, LinkId, Refusal, ReplyId, WallTime};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker said something on a link; the first message on each link is `Register`.
    WorkerSaid { link: LinkId, wall: WallTime, message: WorkerUp },
    /// A worker's link ended.
    WorkerLinkClosed { link: LinkId },
    /// A driver said something on a link; the first message on each link is `Register` or `Reconnect`.
    ApplicationSaid { link: LinkId, wall: WallTime, message: AppUp },
    /// A driver's link ended.
    ApplicationLinkClosed { link: LinkId },
    /// Somebody wants a snapshot.
    StatusAsked { reply: ReplyId, wall: WallTime },
    /// Somebody asks why an application, executor or worker is as it is.
    ExplainAsked { reply: ReplyId, wall: WallTime, id: String },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make durable before anything that follows.
    Persist(Record),
    /// Say something to a worker.
    ToWorker { link: LinkId, message: WorkerDown },
    /// Say something to a driver.
    ToApplication { link: LinkId, message: AppDown },
    /// Close a link, once what was said on it is sent.
    CloseLink { link: LinkId },
    /// Answer a question.
    Answer { reply: ReplyId, answer: Answer },
    /// Tell the log.
    Log { level: Level, text: String },
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

/// A journal record (serde: the shell's journal writes it).
#[derive(Clone, Debug, PartialEq)]
pub enum Record {}
