//! Deliberate bugs, one at a time, that tests switch on to show that checks can fail.
//!
//! The switch belongs to a thread and exists in development builds only. In a release build every bug is off for ever, and
//! nothing of it is left.

/// A bug that somebody could make, each in one place of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An executor takes map statuses of any age for a task.
    EpochNotCompared,
    /// A driver believes what an attempt of a stage that was rolled back still gives.
    LateStatusAccepted,
    /// A driver accepts a second result of a partition.
    ResultAcceptedTwice,
    /// A master does not notice the end of an executor that it had killed.
    CoresNotReturned,
    /// A driver goes on to name a map output that could not be read.
    LostOutputKept,
    /// A driver does not plan when to try a stage again whose input could not be read.
    TimerForgotten,
    /// A driver takes a stage for done that has lost outputs.
    StageReusedAfterLoss,
    /// A stage attempt that another follows goes on to launch tasks.
    ZombieLaunches,
    /// A driver goes on to listen to the link of an executor that has registered on another one.
    DuplicateRegistration,
    /// A driver does not notice that an output which was made again has other rows.
    ChecksumIgnored,
    /// An executor that registers again does not say what it runs.
    RunningTasksNotNamed,
    /// A driver gives slots away that an executor brought back taken.
    StraysNotCounted,
    /// A driver counts one slot for a task that takes several.
    WideTaskCountedOnce,
    /// A driver does not make a stored result again that was lost.
    LostResultIgnored,
    /// A stage that begins anew forgets which of its tasks failed.
    FailuresForgotten,
    /// A driver takes the executors of another application.
    StrangersTaken,
    /// A worker keeps the files of applications that are over.
    FilesKept,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::EpochNotCompared,
        Self::LateStatusAccepted,
        Self::ResultAcceptedTwice,
        Self::CoresNotReturned,
        Self::LostOutputKept,
        Self::TimerForgotten,
        Self::StageReusedAfterLoss,
        Self::ZombieLaunches,
        Self::DuplicateRegistration,
        Self::ChecksumIgnored,
        Self::RunningTasksNotNamed,
        Self::StraysNotCounted,
        Self::WideTaskCountedOnce,
        Self::LostResultIgnored,
        Self::FailuresForgotten,
        Self::StrangersTaken,
        Self::FilesKept,
    ];

    /// Whether the machines of this thread have this bug.
    #[cfg(debug_assertions)]
    pub fn is_on(self) -> bool {
        switch::ON.get() == Some(self)
    }

    /// Whether the machines of this thread have this bug: no.
    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        false
    }

    /// Gives the machines of this thread a bug while something is done.
    #[cfg(debug_assertions)]
    pub fn during<T>(self, act: impl FnOnce() -> T) -> T {
        /// Off again, also after a panic.
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                switch::ON.set(None);
            }
        }
        let _off = Off;
        switch::ON.set(Some(self));
        act()
    }
}

#[cfg(debug_assertions)]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        pub(super) static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_on_for_one_thread_and_a_while() {
        assert!(Mutant::ALL.iter().all(|mutant| !mutant.is_on()));
        Mutant::FilesKept.during(|| {
            assert!(Mutant::FilesKept.is_on() && !Mutant::TimerForgotten.is_on());
            assert!(std::thread::spawn(|| !Mutant::FilesKept.is_on()).join().is_ok_and(|off| off));
        });
        assert!(std::panic::catch_unwind(|| Mutant::FilesKept.during(|| panic!("on purpose"))).is_err());
        assert!(!Mutant::FilesKept.is_on());
    }
}
