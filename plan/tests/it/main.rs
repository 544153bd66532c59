//! Whole queries through stages, payloads as bytes, and tasks, with blocks in memory.
#![allow(missing_docs, reason = "a test binary has no public items worth documenting")]

mod answers;
mod bad_input;
mod broken;
mod deep;
mod failures;
mod functions;
mod harness;
mod layouts;
mod metrics;
mod nested;
mod operators;
mod queries;
mod range;
mod repartition;
mod session;
mod shapes;
mod sources;
mod thrifty;
mod tpch;
mod warehouse;
mod writes;
