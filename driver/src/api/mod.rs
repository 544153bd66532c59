//! What a program uses: SQL text in, rows out.
//!
//! ```text
//! text ─> Session::run ─> SqlSession: plan, cut into stages ─> DriverHandle::submit
//!                                                                     │ results, in any order
//! rows <─ QueryRun::next <─ decoded <─ partition 0, 1, 2 … <──────────┘ inline, from a file, or fetched
//! ```
//!
//! A write's results are manifests of what its tasks left; it gives one row, once that is committed ([`hearth_plan::sink`]).
//!
//! Rows come batch by batch, and the next one is decoded while the reader looks at the last: of a stored partition two
//! batches are in memory at a time, beside at most `spark.reducer.maxSizeInFlight` bytes (48 MiB) of what follows, however
//! large it is and wherever it lies. Only rows whose reader says that it holds them all ([`QueryRun::collect`],
//! [`QueryRun::bounded`]) count against `spark.driver.maxResultSize`.
//!
//! `EXPLAIN ANALYZE` runs a query like any other, but its result tasks count their rows and drop them; when it is over, its
//! one row tells what the stages did (`analyze`).
//!
//! A partition is handed out when its task has succeeded and all before it were handed out, so that no row is seen twice
//! and an ORDER BY holds. Partitions that are ahead of the reader wait: the inline ones in this process, at most 256 MiB
//! of them a job, since the machine starts no more result tasks than fit
//! ([`result_buffer_bytes`](crate::machine::DriverOptions::result_buffer_bytes)); the others stay where they were written
//! until it is their turn, and take what room the workers' disks have.

mod analyze;
mod error;
mod query;
mod results;
mod session;
#[cfg(test)]
mod tests;
mod variables;
mod write;

pub use error::QueryError;
pub use query::QueryRun;
pub use session::{Capacity, Session, SessionOptions};
