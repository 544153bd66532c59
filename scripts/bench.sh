#!/usr/bin/env bash
# Measures a release build; docs/benchmarks.md says what is measured and how.
#
# ./scripts/bench.sh startup [RUNS]    a trivial query as a whole process on a running cluster, run by an executor started for
#                                      it, and what the processes keep in memory when idle. Prints the figures, then exits
#                                      with 1 if one of them is above its limit.
# ./scripts/bench.sh tpch --scale N [--master M] …    the 22 queries of TPC-H on Hearth, on plain DataFusion and on other
#                                      engines. Exits with 1 if a row is wrong; --help has the flags.
# ./scripts/bench.sh results [--gib N]    a large result through one client; see bench/results.sh.
set -euo pipefail

# A folder of the caller's begins where the caller is.
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
args=()
before=
for arg in "$@"; do
    case $before,$arg in
        --out,*) arg=$(absolute "$arg") ;;
        *,--out=*) arg=--out=$(absolute "${arg#--out=}") ;;
    esac
    args+=("$arg")
    before=$arg
done
set -- "${args[@]}"

cd "$(dirname "$0")/.."
[ "${1:-}" != results ] || exec ./scripts/bench/results.sh "${@:2}"
. scripts/lib.sh
need_rust
need_linker

median_limit_ms=250
daemon_limit_mib=40
executor_limit_mib=120

usage() {
    echo "usage: ./scripts/bench.sh startup [RUNS]" >&2
    echo "       ./scripts/bench.sh tpch --scale N [--master M]… [--cluster WxC]… [--peers spark,sail,duckdb] …" >&2
    echo "       ./scripts/bench.sh results [--gib N]" >&2
    exit 2
}

if [ "${1:-}" = tpch ]; then
    # In one command, as the two then share all that is built.
    cargo build --quiet --release --workspace --features hearth-integration/sql --bin hearth --bin bench
    exec "${CARGO_TARGET_DIR:-target}/release/bench" "$@"
fi

[ "${1:-}" = startup ] || usage
runs=${2:-21}
[[ $runs =~ ^[0-9]+$ ]] && [ "$runs" -ge 1 ] || usage

# As the benchmark of TPC-H builds it: each other selection of features builds everything again.
cargo build --quiet --release --workspace --features hearth-integration/sql --bin hearth
hearth=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)/hearth

trap stop_cluster EXIT
trap 'exit 130' INT TERM
start_cluster
daemons=("${pids[@]}")

# Prints "KIND KIB" for each daemon that this script started and each child of one.
resident() {
    local pid
    for pid in "${daemons[@]}" $(pgrep -P "$(IFS=,; echo "${daemons[*]}")" || true); do
        # A child may end while it is looked at.
        awk -v kind="$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d' ' -f2)" '/^VmRSS/ {print kind, $2}' \
            "/proc/$pid/status" 2>/dev/null || true
    done
}

above=0
# Says it when a figure is above its limit.
limit() {
    local what=$1 figure=$2 limit=$3 unit=$4
    [ "$figure" -le "$limit" ] && return
    echo "above the limit: $what: $figure $unit, limit $limit $unit" >&2
    above=1
}

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
median=$((sorted[runs / 2] / 1000))
printf 'a trivial query as a whole process, %d runs: median %d ms, fastest %d ms, slowest %d ms\n' "$runs" \
    "$median" $((sorted[0] / 1000)) $((sorted[runs - 1] / 1000))

# With one partition one executor works and the other, of the other worker, is idle.
"$hearth" sql --master "$master" --executor-cores 1 --conf spark.sql.shuffle.partitions=1 --format csv \
    -e "select count(*) from tpch.sf1.lineitem a, tpch.sf1.lineitem b where a.l_orderkey = b.l_orderkey" >/dev/null &
pids+=($!)
for ((i = 0; i < 100; i++)); do
    [ "$(resident | grep -c '^executor ')" -ge 2 ] && break
    sleep 0.1
done
# What a process needs for its start it has after a second.
sleep 1
memory=$(resident | awk '{printf "%s %d\n", $1, ($2 + 1023) / 1024}' | sort -k1,1 -k2,2n)
[ "$(grep -c '^executor ' <<<"$memory")" -ge 2 ] || { echo "there are no two executors to measure" >&2; exit 1; }
printf '\nresident memory\n'
printf '  %-10s %4d MiB\n' $memory
echo "  (of the two executors the smaller one is idle)"

while read -r kind mib; do
    case $kind in
        executor) ;;
        *) limit "memory of an idle $kind" "$mib" "$daemon_limit_mib" MiB ;;
    esac
done <<<"$memory"
limit "memory of an idle executor" "$(sed -n 's/^executor //p' <<<"$memory" | head -n 1)" "$executor_limit_mib" MiB
limit "the median" "$median" "$median_limit_ms" ms
# What a daemon logged does not explain a figure.
show_logs=no
exit "$above"
