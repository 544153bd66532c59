//! Faults on purpose: named points in the shells at which a process of a test fails, waits, lies or dies.
//!
//! Only builds with debug assertions have them; in a release the macros are nothing. A build that has them does as the variable
//! [`VARIABLE`] says, which daemons hand on to their children:
//!
//! ```text
//!   HEARTH_FAILPOINTS="dir=/tmp/x; seed=7; task.chunk[kind=map,partition=1]=kill*1; task.start=note; status.send=duplicate%50"
//!                      ^           ^       ^         ^                      ^    ^                               ^
//!                      ledger      chance  point     only there             deed how often in all                how likely, in percent
//! ```
//!
//! - Each firing becomes a file in the ledger's directory before its deed is done: the proof that the fault happened. With `*N` the
//!   files are numbered, and whoever makes the file N - 1 was the last of all processes that may fire.
//! - Chance is drawn from the seed, the clause, what is known there (of paths the last part), and how often the process was there
//!   knowing the same. So one seed draws the same for the same events, whatever the threads' order and the test's directory.
//! - `[key=value]`, `[key>=number]` and `[key~part]` compare what is known at the point; `dir` is the process's own directory, which
//!   holds the worker's name and the application's.
//!
//! | deed | what happens |
//! |---|---|
//! | `note` | nothing: it is written down |
//! | `error`, `nospace`, `io` | an error of the system: any, no space left, input/output |
//! | `panic`, `abort`, `segv`, `overflow`, `kill` | the task panics; the process dies by SIGABRT, SIGSEGV, its stack, SIGKILL |
//! | `stop` | the process stops until somebody continues it |
//! | `sleep(N)`, `hang` | N milliseconds; for good |
//! | `flip` | a bit of what passes, or of the file that was written |
//! | `duplicate`, `delay(N)`, `drop` | a message is sent twice, N milliseconds later than those behind it, never |

#[cfg(all(debug_assertions, feature = "loop"))]
mod clause;
#[cfg(all(debug_assertions, feature = "loop"))]
mod deed;
#[cfg(all(debug_assertions, feature = "loop"))]
mod ledger;
#[cfg(all(debug_assertions, feature = "loop"))]
mod link;
#[cfg(all(debug_assertions, feature = "loop"))]
mod points;

use std::{env, ffi::OsString};

/// What says which faults there are.
pub const VARIABLE: &str = "HEARTH_FAILPOINTS";

#[cfg(all(debug_assertions, feature = "loop"))]
pub use {
    deed::Deeds,
    link::unreliable,
    points::{Fact, damage, flipped, reached},
};

/// A point in asynchronous code. What is known there are facts, `name = value`; where an error may be had, `; error => what to
/// do with it`, an expression that is evaluated with an [`std::io::Error`].
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint {
    ($point:literal $(, $name:ident = $value:expr)* $(; $error:ident => $failed:expr)?) => {{
        let deeds = $crate::failpoint::reached($point, &[$((stringify!($name), &$value as $crate::failpoint::Fact<'_>)),*]);
        if let Err(_error) = deeds.perform().await {
            $(let $error = _error; $failed)?
        }
    }};
}

/// The same in code that may block.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint_blocking {
    ($point:literal $(, $name:ident = $value:expr)* $(; $error:ident => $failed:expr)?) => {{
        let deeds = $crate::failpoint::reached($point, &[$((stringify!($name), &$value as $crate::failpoint::Fact<'_>)),*]);
        if let Err(_error) = deeds.perform_blocking() {
            $(let $error = _error; $failed)?
        }
    }};
}

/// Bytes that pass a point: the same, or with another bit.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint_bytes {
    ($point:literal, $bytes:expr $(, $name:ident = $value:expr)*) => {
        $crate::failpoint::flipped($point, &[$((stringify!($name), &$value as $crate::failpoint::Fact<'_>)),*], $bytes)
    };
}

/// A file that was written, and of which a bit may be another now.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint_file {
    ($point:literal, $path:expr $(, $name:ident = $value:expr)*) => {
        $crate::failpoint::damage($point, &[$((stringify!($name), &$value as $crate::failpoint::Fact<'_>)),*], $path)
    };
}

/// A link whose outgoing messages may come twice, late or never.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint_link {
    ($point:literal, $link:expr) => {
        $crate::failpoint::unreliable($point, $link)
    };
}

/// Nothing: this is a release.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint {
    ($point:literal $(, $name:ident = $value:expr)* $(; $error:ident => $failed:expr)?) => {{
        // Never called: what only tests look at is used.
        $(let _ = || { let _ = &$value; };)*
    }};
}

/// Nothing: this is a release.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint_blocking {
    ($point:literal $(, $name:ident = $value:expr)* $(; $error:ident => $failed:expr)?) => {{
        // Never called: what only tests look at is used.
        $(let _ = || { let _ = &$value; };)*
    }};
}

/// The bytes: this is a release.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint_bytes {
    ($point:literal, $bytes:expr $(, $name:ident = $value:expr)*) => {{
        $(let _ = || { let _ = &$value; };)*
        $bytes
    }};
}

/// Nothing: this is a release.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint_file {
    ($point:literal, $path:expr $(, $name:ident = $value:expr)*) => {{
        let _ = || { let _ = &$path; };
        $(let _ = || { let _ = &$value; };)*
    }};
}

/// The link: this is a release.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint_link {
    ($point:literal, $link:expr) => {
        $link
    };
}

/// What a child's environment has of it: what this process's has.
pub fn handed_on() -> Vec<(OsString, OsString)> {
    if !cfg!(debug_assertions) {
        return Vec::new();
    }
    env::var_os(VARIABLE).map(|value| (VARIABLE.into(), value)).into_iter().collect()
}
