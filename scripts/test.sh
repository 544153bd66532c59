#!/usr/bin/env bash
# The whole check: format, lints, machines without their shells, unit tests, simulation, real processes, docs.
# Needs a Rust toolchain; sets up everything else itself.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker

step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

step "format"
cargo fmt --all --check

step "machines without their shells"
# One crate a command: in one command features would unify, and prove nothing.
for crate in master worker driver executor; do
    cargo check --quiet --package "hearth-$crate" --no-default-features
    # No machine may reach a runtime, the wire or the query engine, however far down.
    if cargo tree --package "hearth-$crate" --no-default-features --edges normal --prefix none |
        grep -E '^(tokio|tonic|prost|hearth-proto|hearth-plan|hearth-blocks|hearth-launch|datafusion|arrow)[ -]'; then
        echo "hearth-$crate without its shell still builds the crates above" >&2
        exit 1
    fi
done

step "lints"
cargo clippy --quiet --workspace --all-targets --features hearth-integration/sql -- --deny warnings

step "build"
cargo build --quiet --workspace --all-targets --features hearth-integration/sql

step "tests"
cargo test --quiet --workspace --features hearth-integration/sql

step "docs"
RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --features hearth-integration/sql --no-deps --document-private-items

if command -v cargo-deny >/dev/null; then
    step "licences and advisories"
    cargo deny --offline check licenses bans sources
fi

step "all is well"
