//! The loop that drives every machine of a real process.
//!
//! It takes all queued events (or the deadline), steps the machine through each, makes all their `Persist` effects
//! durable with one write and one sync, and only then performs the other effects, in order. So nothing is promised
//! before it is durable, and a burst of events costs one sync.

use crate::machine::{Durable, Machine, Now};
use std::{io, time::Instant};
use tokio::sync::mpsc;

/// Events that may wait for one machine. Links wait when it is full, which slows their peers down.
pub const QUEUE: usize = 4096;
/// Events taken in one go, so that a flood cannot put off effects without end.
const BURST: usize = 512;

/// Makes records durable. The one trait between a machine and its disk.
pub trait Journal<R>: Send + 'static {
    /// Writes all records and syncs once. They are durable when it returns.
    fn append(&mut self, records: &[&R]) -> io::Result<()>;
}

/// A journal for machines that keep nothing.
#[derive(Debug, Default)]
pub struct NoJournal;

impl<R> Journal<R> for NoJournal {
    fn append(&mut self, _: &[&R]) -> io::Result<()> {
        Ok(())
    }
}

/// Performs effects. Must not block and must not wait: it hands them to tasks of its own.
pub trait Perform<E>: Send {
    /// Does one thing. `Stopped` ends the loop after the current burst.
    fn perform(&mut self, effect: E) -> Performed;
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performed {
    /// On.
    Done,
    /// The machine has nothing more to do.
    Stopped,
}

/// The clock of one node.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::new_without_default, reason = "a clock has no default instant")]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// The time on it.
    pub fn now(&self) -> Now {
        Now(self.0.elapsed())
    }
}

/// Drives `machine` until its event senders are gone or an effect stops it. Gives the machine back.
///
/// A journal that cannot be written ends the loop with its error: what cannot be made durable must not be promised.
pub async fn run<M, J, P>(
    mut machine: M,
    mut events: mpsc::Receiver<M::Event>,
    mut journal: J,
    mut perform: P,
    clock: Clock,
) -> io::Result<M>
where
    M: Machine,
    M::Effect: Durable,
    J: Journal<<M::Effect as Durable>::Record>,
    P: Perform<M::Effect>,
{
    let mut burst = Vec::with_capacity(BURST);
    let mut fx = Vec::new();
    loop {
        match machine.deadline() {
            Some(at) => {
                let wake = tokio::time::Instant::from_std(clock.0 + at.0);
                tokio::select! {
                    biased;
                    taken = events.recv_many(&mut burst, BURST) => if taken == 0 { return Ok(machine) },
                    () = tokio::time::sleep_until(wake) => {}
                }
            }
            None => {
                if events.recv_many(&mut burst, BURST).await == 0 {
                    return Ok(machine);
                }
            }
        }
        for event in burst.drain(..) {
            machine.handle(clock.now(), event, &mut fx);
        }
        let now = clock.now();
        if machine.deadline().is_some_and(|at| at <= now) {
            machine.tick(now, &mut fx);
        }
        let records: Vec<_> = fx.iter().filter_map(Durable::record).collect();
        if !records.is_empty() {
            // A sync is short and this loop must not promise anything before it: it may hold its thread.
            journal.append(&records)?;
        }
        let mut stopped = false;
        for effect in fx.drain(..) {
            if effect.record().is_none() {
                stopped |= perform.perform(effect) == Performed::Stopped;
            }
        }
        if stopped {
            return Ok(machine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    /// Counts what it is told, persists each count, and says it after a while.
    #[derive(Default)]
    struct Counter {
        sum: u32,
        due: Option<Now>,
    }

    #[derive(Debug, PartialEq)]
    enum Effect {
        Persist(u32),
        Say(u32),
        Stop,
    }

    impl Durable for Effect {
        type Record = u32;
        fn record(&self) -> Option<&u32> {
            if let Self::Persist(n) = self { Some(n) } else { None }
        }
    }

    impl Machine for Counter {
        type Event = u32;
        type Effect = Effect;
        fn handle(&mut self, now: Now, event: u32, fx: &mut Vec<Effect>) {
            self.sum += event;
            fx.push(Effect::Say(self.sum));
            fx.push(Effect::Persist(self.sum));
            self.due = Some(now.after(Duration::from_millis(20)));
        }
        fn deadline(&self) -> Option<Now> {
            self.due
        }
        fn tick(&mut self, _: Now, fx: &mut Vec<Effect>) {
            self.due = None;
            fx.push(Effect::Stop);
        }
        fn check(&self) {}
    }

    type Log = Arc<Mutex<Vec<String>>>;
    struct TestJournal(Log, bool);
    impl Journal<u32> for TestJournal {
        fn append(&mut self, records: &[&u32]) -> io::Result<()> {
            if self.1 {
                return Err(io::Error::other("disk full"));
            }
            self.0.lock().unwrap().push(format!("sync {records:?}"));
            Ok(())
        }
    }
    struct TestPerform(Log);
    impl Perform<Effect> for TestPerform {
        fn perform(&mut self, effect: Effect) -> Performed {
            self.0.lock().unwrap().push(format!("{effect:?}"));
            if effect == Effect::Stop { Performed::Stopped } else { Performed::Done }
        }
    }

    #[tokio::test]
    async fn a_burst_is_one_sync_and_nothing_is_done_before_it() {
        let log = Log::default();
        let (tx, rx) = mpsc::channel(8);
        for n in [1, 2, 3] {
            tx.send(n).await.unwrap();
        }
        let machine =
            run(Counter::default(), rx, TestJournal(log.clone(), false), TestPerform(log.clone()), Clock::new());
        assert_eq!(machine.await.unwrap().sum, 6);
        assert_eq!(*log.lock().unwrap(), ["sync [1, 3, 6]", "Say(1)", "Say(3)", "Say(6)", "Stop"]);
    }

    #[tokio::test]
    async fn what_cannot_be_made_durable_is_not_promised() {
        let log = Log::default();
        let (tx, rx) = mpsc::channel(8);
        tx.send(1).await.unwrap();
        let end =
            run(Counter::default(), rx, TestJournal(log.clone(), true), TestPerform(log.clone()), Clock::new()).await;
        assert_eq!(end.err().unwrap().to_string(), "disk full");
        assert!(log.lock().unwrap().is_empty());
    }
}
