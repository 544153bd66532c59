#!/usr/bin/env bash
# Records a session of the shell as text: completion, an error, a cancelled query, EXPLAIN ANALYZE. Prints what a person would see.
# The session is one of the tests of the shell, on a cluster of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker
# The session runs the binary, which no test of another package builds. One selection of features for both, as each other one
# builds everything again.
cargo build --quiet --workspace --features hearth-integration/sql --bin hearth
out=$(mktemp)
trap 'rm -f "$out"' EXIT
HEARTH_RECORD="$out" cargo test --quiet --workspace --features hearth-integration/sql \
    --test shell -- --ignored --exact a_session_to_show >&2
cat "$out"
