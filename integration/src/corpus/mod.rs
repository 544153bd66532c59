//! The corpus: several hundred queries, by feature, whose rows on Hearth must be those of plain DataFusion.
//!
//! ```text
//! fixtures/corpus/tables.sql ──DataFusion──> Parquet, CSV and JSON files ──┐
//! fixtures/corpus/*.sql ──Script──> queries ──run on──┬─ DataFusion ──> expected rows, or an error
//!                                                     └─ Hearth, in every mode ──> rows, or an error
//!                                                            compared: names, types, rows, order where there is one
//! ```
//!
//! | file | what |
//! |---|---|
//! | `script.rs` | a file's statements, and what the comments above them ask for |
//! | `data.rs` | the files that the tables lie in |
//! | `table.rs` | rows in a form that can be compared, and their first difference |
//! | `exceptions.rs` | which queries are known not to agree, and why |
//! | `run.rs` | one engine through all files; the tally of a mode |
//!
//! What holds:
//! - Every statement runs on every engine, in the order of its file, in one session an engine. Only statements that change
//!   the session wait for those before them.
//! - A query that fails must be marked, and must fail everywhere.
//! - An exception is a query, a mode and a reason. One that agrees after all is as wrong as a query that does not.

mod data;
mod exceptions;
mod run;
mod script;
mod table;

pub use data::Data;
pub use exceptions::Exceptions;
pub use run::{Answers, Corpus, Selected, Tally};
pub use script::{Script, Statement};
pub use table::{Cell, Table};
