//! Simulation of the whole cluster, tests on real processes, the corpus of queries, and the tidy test.

pub mod answers;
pub mod compare;
#[cfg(feature = "sql")]
pub mod corpus;
#[cfg(feature = "sql")]
pub mod engine;
#[cfg(feature = "sql")]
pub mod program;
pub mod real;
pub mod sim;
#[cfg(feature = "sql")]
pub mod slt;
