//! Panics in tasks: caught by the runtime, and told with the place where they happened.
//!
//! A panic unwinds its task's thread, and the runtime hands over what was thrown: the message, without the place. The
//! place is known only to the panic hook. An operator may have spawned what panicked, in which case the panic goes on in
//! another thread than it began in. So the hook keeps the last few panics of all task threads, and whoever catches one
//! finds its place by its message.

use hearth_core::messages::task::TaskFailure;
use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    collections::VecDeque,
    panic::PanicHookInfo,
    sync::{Mutex, Once, PoisonError},
};

/// Panics that are kept: more than a process of some hundred slots has under way at once, if all its tasks panic.
const KEPT: usize = 256;

struct Panic {
    message: String,
    place: String,
}

static PANICS: Mutex<VecDeque<Panic>> = Mutex::new(VecDeque::new());

thread_local! {
    static RUNS_TASKS: Cell<bool> = const { Cell::new(false) };
}

/// From now on, panics of this thread are a task's. Other threads' go to the hook that was there before.
pub(super) fn watch_this_thread() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| if RUNS_TASKS.get() { keep(info) } else { previous(info) }));
    });
    RUNS_TASKS.set(true);
}

fn keep(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message").to_owned();
    let place = info.location().map_or_else(|| "an unknown place".into(), ToString::to_string);
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!("a task panicked at {place}: {message}\n{backtrace}");
    }
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    if panics.len() == KEPT {
        panics.pop_front();
    }
    panics.push_back(Panic { message, place });
}

/// What a task failed with that panicked with `thrown`.
pub(super) fn failure(thrown: &(dyn Any + Send)) -> TaskFailure {
    let message = thrown.downcast_ref::<&str>().copied().or_else(|| thrown.downcast_ref().map(String::as_str));
    TaskFailure::Panicked(with_place(message.unwrap_or("no message")))
}

/// Adds the place to a panic that an operator caught and made an error of.
pub(super) fn locate(failure: TaskFailure) -> TaskFailure {
    match failure {
        TaskFailure::Panicked(message) => TaskFailure::Panicked(with_place(&message)),
        other => other,
    }
}

fn with_place(message: &str) -> String {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    match panics.iter().rev().find(|p| message.contains(&p.message)) {
        Some(Panic { place, .. }) => format!("{message}, at {place}"),
        None => message.to_owned(),
    }
}
