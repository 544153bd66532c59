#!/usr/bin/env bash
# Records a session of the shell as text: completion, an error, a cancelled query, EXPLAIN ANALYZE. Prints what a person would see.
# The session is one of the tests of the shell, on a cluster of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
HEARTH_RECORD="$out" cargo test --quiet -p hearth-integration --test shell -- --ignored --exact a_session_to_show >&2
cat "$out"
