//! How often an application's executors may end by themselves, and how soon another one is started.
//!
//! A row of executors that end soon after their start is either a bad application or a bad machine. The first is
//! replaced at once, the following ones after a pause that doubles, so that a crash loop cannot keep the cluster busy;
//! a row of failures without any executor left running ends the application. Spark breaks the row when a process was
//! started; here an executor must have run for a while, because a process that dies on its first line was started too.

use super::options::MasterOptions;
use hearth_core::Now;
use std::time::Duration;

/// The pause before the second executor of a row is replaced; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How an executor ended, as far as its application's retries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody asked for it, or its worker is gone: nothing to hold against the application.
    Excused,
    /// It exited with code 0, unasked.
    Clean,
    /// It could not be started, or exited with an error.
    Abnormal,
}

/// The row of an application's executors that ended soon after their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retries {
    /// Executors in the row.
    ended: u32,
    /// Those among them that failed.
    pub(super) failed: u32,
    /// Nothing is granted before.
    pub(super) pause_until: Option<Now>,
}

impl Retries {
    /// Takes the end of an executor that ran for `ran`.
    pub(super) fn ended(&mut self, now: Now, ran: Duration, ending: Ending, options: &MasterOptions) {
        if ran >= options.executor_settled {
            *self = Self::default();
        }
        if ending == Ending::Excused {
            return;
        }
        self.ended = self.ended.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(ending == Ending::Abnormal));
        if self.ended > 1 {
            let doublings = (self.ended - 2).min(16);
            self.pause_until = Some(now.after(FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)));
        }
    }

    /// Whether the row is so long that an application without a running executor is ended.
    pub(super) fn exhausted(&self, options: &MasterOptions) -> bool {
        self.failed >= options.max_executor_retries
    }

    /// Ends a pause that is over. True when one was.
    pub(super) fn resume(&mut self, now: Now) -> bool {
        let over = self.pause_until.is_some_and(|at| at <= now);
        if over {
            self.pause_until = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_a_settled_executor_breaks_the_row() {
        let options = MasterOptions::default();
        let now = Now::from_millis(1000);
        let mut retries = Retries::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert!(!retries.exhausted(&options));
            retries.ended(now, Duration::from_millis(3), Ending::Abnormal, &options);
            pauses.push(retries.pause_until.map_or(0, |at| at.since(now).as_millis()));
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert!(retries.exhausted(&options));
        retries.ended(now, options.executor_settled, Ending::Abnormal, &options);
        assert_eq!(retries, Retries { ended: 1, failed: 1, pause_until: None });
    }

    #[test]
    fn clean_exits_pause_but_never_fail_and_excused_ones_do_neither() {
        let options = MasterOptions::default();
        let now = Now::from_millis(1000);
        let mut retries = Retries::default();
        for _ in 0..20 {
            retries.ended(now, Duration::ZERO, Ending::Excused, &options);
        }
        assert_eq!(retries, Retries::default());
        for _ in 0..20 {
            retries.ended(now, Duration::ZERO, Ending::Clean, &options);
        }
        assert!(!retries.exhausted(&options));
        assert!(!retries.resume(now));
        assert!(retries.resume(now.after(LONGEST_PAUSE)));
        assert_eq!(retries.pause_until, None);
    }
}
