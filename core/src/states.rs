//! The states of applications, executors, workers and the master, and which transitions are legal.
//!
//! ```text
//! application  WAITING <-> RUNNING -> FINISHED | FAILED | KILLED        (UNKNOWN only during a master's recovery)
//! executor     LAUNCHING -> RUNNING -> KILLED | FAILED | LOST | EXITED | DECOMMISSIONED   (each also from LAUNCHING)
//! worker       ALIVE -> DEAD | DECOMMISSIONED                           (UNKNOWN only during a master's recovery)
//! ```
//!
//! Final states absorb: a later report changes nothing.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// Every state, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $text),* })
            }
        }
    };
}

states!(
    /// The state of an application.
    ApplicationState {
        /// It has no executor yet.
        Waiting = "WAITING",
        /// It has or had an executor.
        Running = "RUNNING",
        /// It said goodbye, or its driver went away in peace.
        Finished = "FINISHED",
        /// It failed.
        Failed = "FAILED",
        /// Somebody killed it.
        Killed = "KILLED",
        /// Not heard of since the master's restart.
        Unknown = "UNKNOWN",
    }
);
states!(
    /// The state of an executor.
    ExecutorState {
        /// Granted; its process is being started.
        Launching = "LAUNCHING",
        /// Its process runs.
        Running = "RUNNING",
        /// Killed because somebody asked.
        Killed = "KILLED",
        /// It could not be started, or exited with an error.
        Failed = "FAILED",
        /// Its worker is gone.
        Lost = "LOST",
        /// It exited with code 0.
        Exited = "EXITED",
        /// Its worker was drained.
        Decommissioned = "DECOMMISSIONED",
    }
);
states!(
    /// The state of a worker.
    WorkerState {
        /// It sends heartbeats.
        Alive = "ALIVE",
        /// It has been silent for too long, or its stream broke and did not come back.
        Dead = "DEAD",
        /// It takes no new work.
        Decommissioned = "DECOMMISSIONED",
        /// Not heard of since the master's restart.
        Unknown = "UNKNOWN",
    }
);
states!(
    /// The state of a master.
    MasterState {
        /// Another one leads.
        Standby = "STANDBY",
        /// It leads.
        Alive = "ALIVE",
        /// It reads its journal.
        Recovering = "RECOVERING",
        /// It waits for workers and drivers to answer.
        CompletingRecovery = "COMPLETING_RECOVERY",
    }
);

impl ApplicationState {
    /// Whether the application is over.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

impl ExecutorState {
    /// Whether the executor is over.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Launching | Self::Running)
    }

    /// Whether a report of `next` is news for an executor in this state.
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Launching, Self::Running) => true,
            (Self::Launching | Self::Running, next) => next.is_final(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_executor_states_absorb_and_running_follows_launching_only() {
        for &from in ExecutorState::ALL {
            for &to in ExecutorState::ALL {
                let legal = match from {
                    ExecutorState::Launching => to != ExecutorState::Launching,
                    ExecutorState::Running => to.is_final(),
                    _ => false,
                };
                assert_eq!(from.may_become(to), legal, "{from} -> {to}");
            }
        }
    }
}
