//! Start, limit, watch and reap one child process.
