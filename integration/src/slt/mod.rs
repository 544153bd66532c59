//! Runs sqllogictest files, above all DataFusion's own, on Hearth or on plain DataFusion.
//!
//! | file | what |
//! |---|---|
//! | `text.rs` | rows as such a file writes them |
//! | `db.rs` | an engine as the `sqllogictest` crate wants to see one |
//! | `file.rs` | one file through one engine: what became of each record |
//! | `scratch.rs` | the folders that files write into |
//! | `report.rs` | counts, and the reasons of failures |
//!
//! What holds:
//! - A file is run to its end, whatever fails in it: a corpus of somebody else's is to be measured, not only passed.
//! - Each file has a session of its own, and each `connection` in it another.
//! - An error that was expected counts as passed when the engine fails too: its wording is the engine's own. Those whose
//!   words differ are counted beside; `Errors::Compare` makes them failures.

mod db;
mod file;
mod report;
mod scratch;
mod text;

pub use db::{Db, Start};
pub use file::{Errors, Options, run_file};
pub use report::{FileReport, Problem, Reason, Report};
pub use scratch::Scratch;
pub use text::{Letter, letters, rows};
