# What the scripts share: set-up on a fresh machine that has a Rust toolchain. Sourced, not run.

# The linker that rustc calls is the one thing that a Rust toolchain does not bring along.
need_linker() {
    command -v cc >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq gcc libc6-dev
    else
        echo "a C linker is missing: install gcc (Debian: apt-get install gcc libc6-dev)" >&2
        exit 1
    fi
}

need_rust() {
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.94 or later" >&2; exit 1; }
}

# Starts a master and two workers of one core each in a temporary directory, on free loopback ports. Needs $hearth; sets
# $master, $webui, $dir and $pids. Goes with `trap stop_cluster EXIT`, which has to be set first.
start_cluster() {
    dir=$(mktemp -d)
    "$hearth" master --port 0 --webui-port 0 --state-dir "$dir/state" >"$dir/master.out" 2>"$dir/master.log" &
    pids+=($!)
    await_line "$dir/master.out" '^webui' $!
    master=$(sed -n 's/^master //p' "$dir/master.out")
    webui=$(sed -n 's/^webui //p' "$dir/master.out")
    for n in 1 2; do
        "$hearth" worker "$master" --cores 1 --memory 2g --work-dir "$dir/worker$n" \
            >"$dir/worker$n.out" 2>"$dir/worker$n.log" &
        pids+=($!)
        await_line "$dir/worker$n.out" '^registered' $!
    done
}

# Ends what was started, last first, so that workers can say goodbye to their master. Shows the logs when something failed,
# unless $show_logs says that they would explain nothing.
stop_cluster() {
    local code=$?
    trap - EXIT
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null || true
        wait "${pids[i]}" 2>/dev/null || true
    done
    if [ -n "$dir" ]; then
        [ "$code" = 0 ] || [ "$show_logs" = no ] || tail -n 20 "$dir"/*.log >&2 || true
        rm -rf "$dir"
    fi
    exit "$code"
}
dir=
pids=()
show_logs=yes

# Waits for the line in which a daemon says that it is ready.
await_line() {
    local file=$1 pattern=$2 pid=$3
    for ((i = 0; i < 300; i++)); do
        grep -q "$pattern" "$file" 2>/dev/null && return
        kill -0 "$pid" 2>/dev/null || { echo "a daemon ended early: $file" >&2; return 1; }
        sleep 0.1
    done
    echo "no \"$pattern\" in $file after 30 s" >&2
    return 1
}
