//! What is done at a point.

use super::clause::Action;
use rustix::process::{Signal, getpid, kill_process};
use std::{future::pending, io, thread, time::Duration};

/// How soon all threads of a process stop when it is told to.
const STOPS_WITHIN: Duration = Duration::from_millis(50);

/// What is due at a point, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds(pub(super) Vec<Action>);

impl Deeds {
    /// Does it in asynchronous code.
    pub async fn perform(self) -> io::Result<()> {
        for action in self.0 {
            match action {
                Action::Sleep(time) => tokio::time::sleep(time).await,
                Action::Hang => pending().await,
                other => at_once(other)?,
            }
        }
        Ok(())
    }

    /// Does it in code that may block.
    pub fn perform_blocking(self) -> io::Result<()> {
        for action in self.0 {
            match action {
                Action::Sleep(time) => thread::sleep(time),
                Action::Hang => loop {
                    thread::park();
                },
                other => at_once(other)?,
            }
        }
        Ok(())
    }

    pub(super) fn contains(&self, action: Action) -> bool {
        self.0.contains(&action)
    }
}

fn at_once(action: Action) -> io::Result<()> {
    match action {
        Action::Error => Err(io::Error::other("a fault on purpose")),
        Action::NoSpace => Err(rustix::io::Errno::NOSPC.into()),
        Action::Io => Err(rustix::io::Errno::IO.into()),
        Action::Panic => panic!("a fault on purpose"),
        Action::Abort => std::process::abort(),
        Action::Segv => die_of(Signal::SEGV),
        Action::Kill => die_of(Signal::KILL),
        Action::Overflow => {
            overflow(0);
            Ok(())
        }
        Action::Stop => {
            let _ = kill_process(getpid(), Signal::STOP);
            // Another thread may take the signal; until it has, this one must not run on.
            thread::sleep(STOPS_WITHIN);
            Ok(())
        }
        // Done where they are possible.
        Action::Note | Action::Flip | Action::Duplicate | Action::Delay(_) | Action::Drop => Ok(()),
        Action::Sleep(_) | Action::Hang => unreachable!("the caller waits"),
    }
}

/// A handler may take the first one, as that of Rust's runtime takes a SIGSEGV which is none of its own.
fn die_of(signal: Signal) -> ! {
    loop {
        let _ = kill_process(getpid(), signal);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Takes the whole stack of its thread.
#[expect(unconditional_recursion, reason = "it is what is wanted")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + frame[511]
}
