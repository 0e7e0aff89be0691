# functions.sh - what the shell tests share.  A test begins with
#
#     #!/usr/bin/env bash
#     # Goal of this test: ...
#     . "$(dirname "$0")/../functions.sh"
#     requires_fuse
#
# and has then: set -euo pipefail; $CAEFS (the program), $PYTHON (a Python
# with numpy, or empty), $tmp (a directory of its own, removed at the end),
# and the functions below.  Whatever is still mounted at the end is unmounted,
# and a daemon that fails or does not go away fails the test.
#
# Exit status: 0 passed, 77 skipped, anything else failed.

set -euo pipefail
[ -z "${CAEFS_TEST_TRACE:-}" ] || set -x

# From `make check` these are set; by hand, name the build directory.
: "${abs_top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
: "${abs_top_builddir:=$abs_top_srcdir/build}"
: "${CAEFS:=$abs_top_builddir/caefs}"
if [ -z "${PYTHON:-}" ]; then
    PYTHON=
    for candidate in python3 /usr/bin/python3 /usr/local/bin/python3; do
        if "$candidate" -c 'import numpy' >/dev/null 2>&1; then
            PYTHON=$candidate
            break
        fi
    done
fi
export abs_top_srcdir abs_top_builddir CAEFS PYTHON
export PYTHONDONTWRITEBYTECODE=1

test_name=$(basename "$0" .sh)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/caefs-$test_name.XXXXXX")

# Mount points of this test and the process that serves each.
declare -A mount_pids=()
cleanup_commands=()

say() { printf '%s: %s\n' "$test_name" "$*" >&2; }

fail() {
    say "FAILED: $*"
    exit 1
}

skip() {
    say "skipped: $*"
    exit 77
}

# cleanup_fn COMMAND ARG...: runs it at the end, last registered first.
cleanup_fn() { cleanup_commands+=("$(printf '%q ' "$@")"); }

# Never recurses into something that is mounted: --one-file-system knows no bind mounts, which
# may show any directory of this machine.
_remove_tmp() {
    local mnt
    while read -r mnt; do umount -l "$mnt" 2>/dev/null; done \
        < <(awk -v below="$tmp/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | tac)
    if grep -qF " $tmp/" /proc/self/mounts; then
        say "FAILED: something is still mounted below $tmp, which is left as it is"
        return 1
    fi
    rm -rf --one-file-system "$tmp" 2>/dev/null
    return 0
}

_on_exit() {
    local status=$? i mnt
    trap - EXIT
    set +e
    for ((i = ${#cleanup_commands[@]} - 1; i >= 0; i--)); do
        eval "${cleanup_commands[i]}"
    done
    for mnt in "${!mount_pids[@]}"; do
        if ! _take_down "$mnt" && [ $status -eq 0 ]; then
            status=1
        fi
    done
    _remove_tmp || status=1
    exit $status
}
trap _on_exit EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# ---- what the machine must have ----

requires() { command -v "$1" >/dev/null 2>&1 || skip "this machine has no $1"; }

requires_python() { [ -n "$PYTHON" ] || skip "no Python with numpy"; }

requires_python_module() {
    requires_python
    "$PYTHON" -c "import $1" >/dev/null 2>&1 || skip "Python has no $1"
}

requires_fuse() {
    [ -c /dev/fuse ] || skip "there is no /dev/fuse"
    (exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
}

requires_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# The long form of a test, for ./check --long.
long_test() { [ -n "${CAEFS_TEST_LONG:-}" ]; }

# ---- stores and mounts ----

# make_store STORE
make_store() { "$CAEFS" mkfs "$1" || fail "mkfs $1"; }

is_mounted() { mountpoint -q "$1" 2>/dev/null; }

# mount_store STORE MNT [OPTION...]: the daemon is a child of this shell, so
# that its messages go to the log, its exit status counts, and crash tests
# can kill ${mount_pids[MNT]}.
mount_store() {
    local store=$1 mnt=$2 pid i
    shift 2
    mkdir -p "$mnt"
    "$CAEFS" mount -f "$@" "$store" "$mnt" </dev/null &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        if is_mounted "$mnt"; then
            mount_pids[$mnt]=$pid
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" || say "mount ended with status $?"
    fail "cannot mount $store"
}

# _gone PID SECONDS: waits for a child to end (it is then a zombie until
# somebody waits for it).
_gone() {
    local i
    for ((i = 0; i < $2 * 20; i++)); do
        grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null ||
            return 0
        sleep 0.05
    done
    return 1
}

# _take_down MNT: unmounts; lazily and with force when that does not work.
# False when it took force or when the daemon reported a failure.
_take_down() {
    local mnt=$1 pid=${mount_pids[$1]} i ok=0 status=0
    unset "mount_pids[$mnt]"
    for ((i = 0; i < 100; i++)); do
        is_mounted "$mnt" || break
        "$CAEFS" umount "$mnt" 2>/dev/null && break
        fusermount3 -u "$mnt" 2>/dev/null && break
        sleep 0.1
    done
    if is_mounted "$mnt"; then
        say "FAILED: $mnt stays busy; unmounting it lazily"
        fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" || true
        ok=1
    fi
    # Sealing what was written last takes its time, more so under a sanitizer.
    if ! _gone "$pid" 300; then
        say "FAILED: the daemon of $mnt (process $pid) does not end"
        kill -9 "$pid" 2>/dev/null || true
        ok=1
    fi
    wait "$pid" 2>/dev/null || status=$?
    if [ $status -ne 0 ] && [ $ok -eq 0 ]; then
        say "FAILED: the daemon of $mnt ended with status $status"
        ok=1
    fi
    return $ok
}

# unmount_store MNT
unmount_store() { _take_down "$1" || fail "unmounting $1"; }

# kill_mount MNT: kill -9, as a crash would, and take the dead mount away.
kill_mount() {
    local mnt=$1 pid=${mount_pids[$1]}
    unset "mount_pids[$mnt]"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null || true
}

# remount_store STORE MNT [OPTION...]
remount_store() {
    unmount_store "$2"
    mount_store "$@"
}

# ---- data ----

# shared_data: prints a directory with .npy files of many kinds: the
# collection beside the checkout where there is one, else what our own solver
# computes.
shared_data() {
    if [ -d "$abs_top_srcdir/../shared/data" ]; then
        (cd "$abs_top_srcdir/../shared/data" && pwd)
        return
    fi
    demo_data
}

# demo_data: prints a directory with a small flow and a table of probes.
demo_data() {
    if [ ! -d "$tmp/demo-data" ]; then
        "$abs_top_builddir/demo/flow" --small --progress never \
            "$tmp/demo-data" >&2 || fail "demo/flow"
    fi
    printf '%s\n' "$tmp/demo-data"
}

# fails_with STATUS COMMAND...: the command must end with this exit status.
fails_with() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$expected" ] ||
        fail "$* ended with status $status, expected $expected"
}
