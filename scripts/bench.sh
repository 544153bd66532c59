#!/usr/bin/env bash
# Measures a release build. `./scripts/bench.sh startup [RUNS]`: a trivial query as a whole process on a running cluster,
# run by an executor started for it, and what the processes keep in memory when idle.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker

usage() { echo "usage: ./scripts/bench.sh startup [RUNS]" >&2; exit 2; }
[ "${1:-}" = startup ] || usage
runs=${2:-21}
[[ $runs =~ ^[0-9]+$ ]] && [ "$runs" -ge 1 ] || usage

cargo build --quiet --release --bin hearth
hearth=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)/hearth

start_cluster
trap stop_cluster EXIT
trap 'exit 130' INT TERM

query="select count(*) from tpch.sf0_01.nation"
times=()
for ((i = 0; i <= runs; i++)); do
    begun=$(date +%s%N)
    answer=$("$hearth" sql --master "$master" --format csv -e "$query" | tail -n 1)
    ended=$(date +%s%N)
    [ "$answer" = 25 ] || { echo "wrong answer: $answer" >&2; exit 1; }
    # The first run warms the page cache.
    [ "$i" = 0 ] || times+=($(((ended - begun) / 1000)))
done
mapfile -t sorted < <(printf '%s\n' "${times[@]}" | sort -n)
printf 'a trivial query as a whole process, %d runs: median %d ms, fastest %d ms, slowest %d ms\n' "$runs" \
    $((sorted[runs / 2] / 1000)) $((sorted[0] / 1000)) $((sorted[runs - 1] / 1000))

# With one partition one executor works and the other, of the other worker, is idle.
"$hearth" sql --master "$master" --executor-cores 1 --conf spark.sql.shuffle.partitions=1 --format csv \
    -e "select count(*) from tpch.sf1.lineitem a, tpch.sf1.lineitem b where a.l_orderkey = b.l_orderkey" >/dev/null &
holder=$!
pids+=("$holder")
for ((i = 0; i < 100; i++)); do
    [ "$(pgrep -fc "^$hearth executor" || true)" -ge 2 ] && break
    sleep 0.1
done
sleep 1
printf '\nresident memory\n'
for pid in $(pgrep -f "^$hearth " | sort -n); do
    [ "$pid" = "$holder" ] && continue
    awk -v name="$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d' ' -f2)" '/^VmRSS/ {printf "  %-10s %4d MiB\n", name, $2 / 1024}' \
        "/proc/$pid/status"
done | sort | uniq -c
echo "  (of the two executors the smaller one is idle)"
