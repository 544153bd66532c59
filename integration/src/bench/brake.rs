//! A worker that is made slow: its executors are stopped for most of the time.

use crate::memory;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// One turn of running and being stopped: short against a task, long against a system call.
const TURN: Duration = Duration::from_millis(100);

/// Stops the executors below a worker again and again; dropping it lets them go on.
#[derive(Debug)]
pub(crate) struct Brake {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Brake {
    /// Of each hundred milliseconds the executors run for so many.
    pub(crate) fn new(worker: i32, percent: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let runs = TURN * percent / 100;
        let thread = thread::spawn(move || {
            let mut stopped = BTreeSet::new();
            while !seen.load(Ordering::Relaxed) {
                for pid in memory::below(worker, "executor") {
                    signal(pid, Signal::STOP);
                    stopped.insert(pid);
                }
                thread::sleep(TURN - runs);
                std::mem::take(&mut stopped).into_iter().for_each(|pid| signal(pid, Signal::CONT));
                thread::sleep(runs);
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Its last deed is to let them go on.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended.
        let _ = kill_process(pid, signal);
    }
}
