#!/usr/bin/env bash
# Runs seeds of the simulated cluster (integration/src/sim) in a release build, on all cores.
#
# ./scripts/sim.sh --seeds N [--seed S] [--threads T]   N seeds from S on (0). Prints the rate, the faults that fired by kind, and
#                                                       each violation with the end of its log. Exits with 1 if there was one.
# ./scripts/sim.sh --seed S --log                       one seed again, with its whole log.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker
# This package alone: the simulation needs none of the query engine, and builds in seconds without it. In a directory of its
# own, as other selections of features would build the rest again and again.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/sim"
cargo build --quiet --release --package hearth-integration --bin sim
exec "$CARGO_TARGET_DIR/release/sim" "$@"
