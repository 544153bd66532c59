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
