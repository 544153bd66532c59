#!/usr/bin/env bash
# Builds Hearth, starts a master and two workers on free loopback ports in a temporary directory, runs queries on the
# built-in tpch catalog, shows what happened, and stops everything. Needs a Rust toolchain; no data.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
need_rust
need_linker

profile=${HEARTH_PROFILE:-dev}
schema=${HEARTH_SCHEMA:-sf0_01}
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "Building (profile $profile; the first time takes some minutes)"
cargo build --profile "$profile" --bin hearth
target=${CARGO_TARGET_DIR:-target}
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")
hearth=$(cd "$target/$folder" && pwd)/hearth

trap stop_cluster EXIT
trap 'exit 130' INT TERM
say "Starting a master and two workers of one core each"
start_cluster
"$hearth" status --master "$master"

query() {
    say "$1"
    printf '%s\n' "$2"
    "$hearth" sql --master "$master" --verbose -e "$2"
}
query "A count" "select count(*) as nations from tpch.$schema.nation"
query "Pricing summary (TPC-H 1): one shuffle" "
select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_price,
       avg(l_discount) as avg_disc, count(*) as count_order
from tpch.$schema.lineitem where l_shipdate <= date '1998-09-02'
group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus"
query "Shipping priority (TPC-H 3): joins and a top ten" "
select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority
from tpch.$schema.customer, tpch.$schema.orders, tpch.$schema.lineitem
where c_mktsegment = 'BUILDING' and c_custkey = o_custkey and l_orderkey = o_orderkey
  and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10"

say "What the master has seen (its HTTP port answers at $webui/json/ and $webui/metrics too)"
"$hearth" status --master "$master"
say "Stopping everything"
