#!/usr/bin/env bash
# Lets each fault of the table happen many times to real processes, and prints what became of their queries.
#   ./scripts/chaos.sh [--repeat N] [--only A1,A13]
# A development build: a release has no failpoints. Exits with 1 when a promise was broken.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker
cargo build --quiet --workspace --features hearth-integration/sql
built=$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd)
HEARTH_BIN="$built/hearth" exec "$built/chaos" "$@"
