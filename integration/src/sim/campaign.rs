//! Many seeds, one after the other: what they did, and what broke.

use super::{Cluster, Options, Outcome};
use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// What the last panic on this thread said and where, while somebody listens.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
    static LISTENS: RefCell<bool> = const { RefCell::new(false) };
}

/// Does something that may panic, and gives the message of the panic, which nobody else hears.
pub fn quietly<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !LISTENS.with_borrow(|listens| *listens) {
                return before(info);
            }
            let text = info.payload_as_str().unwrap_or("a panic without words");
            let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
            SAID.set(Some(format!("{text}{place}")));
        }));
    });
    let before = LISTENS.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    LISTENS.set(before);
    result.map_err(|_| SAID.take().unwrap_or_default())
}

/// One run; the violation that it found, when it did.
pub fn run(options: Options) -> Result<Outcome, String> {
    quietly(|| Cluster::run(options))
}

/// The last lines of a log, without what only tells that somebody lives.
pub fn tail(log: &[String], lines: usize) -> String {
    /// Characters of a line that tell enough.
    const SHOWN: usize = 200;
    let telling: Vec<_> = log.iter().filter(|l| !l.contains("Heartbeat") && !l.contains(" Tick(")).collect();
    let last = &telling[telling.len().saturating_sub(lines)..];
    last.iter().map(|line| line.chars().take(SHOWN).collect::<String>()).collect::<Vec<_>>().join("\n")
}
