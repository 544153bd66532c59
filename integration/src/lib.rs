//! Simulation of the whole cluster, tests on real processes, and the tidy test.
