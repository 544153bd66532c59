#!/usr/bin/env bash
# `./scripts/bench.sh results [--gib N]`: streams a result of about N GiB (10 unless told otherwise) of CSV from two one-core
# workers, over the network, through one client. Prints how fast, and what memory the client took at its peak; exits with 1 if
# that is above its limit. The workers' disks hold the result meanwhile, compressed to about half of that.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
need_rust
need_linker

client_limit_mib=256

usage() { echo "usage: ./scripts/bench.sh results [--gib N]" >&2; exit 2; }
gib=10
if [ $# -gt 0 ]; then
    [ "$1" = --gib ] && [ $# = 2 ] || usage
    gib=$2
fi
[[ $gib =~ ^[0-9]{1,4}$ ]] && [ "$gib" -ge 1 ] || usage

# As the benchmark of TPC-H builds it: each other selection of features builds everything again.
cargo build --quiet --release --workspace --features hearth-integration/sql --bin hearth
hearth=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)/hearth

trap stop_cluster EXIT
trap 'exit 130' INT TERM
start_cluster

# The table at scale 1 is about 0.72 GiB of CSV.
scale=$(((gib * 100 + 71) / 72))
begun=$(date +%s%N)
"$hearth" sql --master "$master" --conf hearth.shuffle.localRead=false --format csv \
    -e "select * from tpch.sf$scale.lineitem" > >(wc -c >"$dir/bytes") &
client=$!
pids+=("$client")
peak=0
while kill -0 "$client" 2>/dev/null; do
    now=$(awk '/^VmHWM/ {print $2}' "/proc/$client/status" 2>/dev/null || true)
    peak=${now:-$peak}
    sleep 0.2
done
wait "$client"
unset "pids[-1]"
ended=$(date +%s%N)
for ((i = 0; i < 100; i++)); do
    [ -s "$dir/bytes" ] && break
    sleep 0.1
done
bytes=$(cat "$dir/bytes")
mib=$((bytes >> 20)) millis=$(((ended - begun) / 1000000)) peak_mib=$(((peak + 1023) / 1024))
printf 'select * from tpch.sf%d.lineitem: %d MiB of CSV in %d.%03d s, %d MiB/s; peak memory of the client %d MiB\n' \
    "$scale" "$mib" $((millis / 1000)) $((millis % 1000)) $((mib * 1000 / millis)) "$peak_mib"
show_logs=no
if [ "$mib" -lt $((gib * 1024 * 9 / 10)) ]; then
    echo "the result is smaller than it should be" >&2
    exit 1
fi
if [ "$peak_mib" -gt "$client_limit_mib" ]; then
    echo "above the limit: memory of the client: $peak_mib MiB, limit $client_limit_mib MiB" >&2
    exit 1
fi
