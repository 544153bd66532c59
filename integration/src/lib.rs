//! Simulation of the whole cluster, tests on real processes, and the tidy test.

pub mod answers;
pub mod compare;
pub mod real;
pub mod sim;
