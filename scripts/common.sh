# common.sh - what quickstart and check share: packages, steps, the build.
#
# Sourced with $top set to the checkout.  Nothing here reads stdin, needs a
# terminal, a locale or a home directory.

exec </dev/null
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # a minimal root's PATH may lack them
umask 022

BUILD_PACKAGES=(
    autoconf automake gcc libc6-dev make pkg-config
    libfuse3-dev libbz2-dev libzstd-dev liblzma-dev
    libxxhash-dev libsqlite3-dev libjansson-dev
)
RUN_PACKAGES=(fuse3 python3 python3-numpy)

# Exit statuses, as those of caefs itself.
EXIT_USAGE=1
EXIT_DATA=2
EXIT_SYSTEM=4

say() { printf '%s\n' "$*"; }

# die STATUS MESSAGE...
die() {
    local status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# usage FILE: the comment at the head of a script is its help.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$1"; }

jobs() { nproc 2>/dev/null || echo 2; }

# ---- steps ----

# _watch PID TITLE LOG: on a terminal, says what is going on.
_watch() {
    local begun=$SECONDS last
    while kill -0 "$1" 2>/dev/null; do
        last=$(tail -c 200 "$3" 2>/dev/null | tr '\r' '\n' | tail -n 1)
        printf '\r\033[K%s ... %d s  %.60s' "$2" $((SECONDS - begun)) "$last"
        sleep 0.5
    done
    printf '\r\033[K'
}

# step TITLE LOG COMMAND...: runs it with its output in LOG; on failure shows
# the end of LOG and returns the command's status.
step() {
    local title=$1 log=$2 begun=$SECONDS status=0 pid
    shift 2
    mkdir -p "$(dirname "$log")"
    if [ -t 1 ]; then
        "$@" >"$log" 2>&1 &
        pid=$!
        _watch $pid "$title" "$log"
        wait $pid || status=$?
    else
        printf '%s ... ' "$title"
        "$@" >"$log" 2>&1 || status=$?
    fi
    if [ $status -ne 0 ]; then
        [ -t 1 ] && printf '%s ... ' "$title"
        printf 'FAILED after %d s\n' $((SECONDS - begun))
        printf -- '---- the end of %s\n' "$log"
        tail -n 40 "$log"
        printf -- '----\n'
        return $status
    fi
    [ -t 1 ] && printf '%s ... ' "$title"
    printf 'done, %d s\n' $((SECONDS - begun))
}

# ---- packages ----

# missing_packages PACKAGE...: prints those that are not installed.
missing_packages() {
    local p
    command -v dpkg-query >/dev/null 2>&1 || return 0
    for p; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = \
            installed ] || printf '%s\n' "$p"
    done
}

_apt_install() {
    apt-get update &&
        apt-get install -y --no-install-recommends "$@"
}

# need_packages PACKAGE...: installs what is missing, or says how to.
need_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "Packages are missing. As root:"
        say "    apt-get install ${missing[*]}"
        exit $EXIT_SYSTEM
    fi
    step "installing ${#missing[@]} packages" "$top/build/apt.log" \
        _apt_install "${missing[@]}" ||
        die $EXIT_SYSTEM "apt-get could not install: ${missing[*]}"
}

# want_packages PACKAGE...: as need_packages, but goes on without them.
want_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "Some tests will be skipped without: ${missing[*]}"
        return 0
    fi
    step "installing ${missing[*]}" "$top/build/apt-optional.log" \
        _apt_install "${missing[@]}" ||
        say "Some tests will be skipped without: ${missing[*]}"
}

# Containers may have FUSE without the device node having been looked for.
need_fuse() {
    [ -c /dev/fuse ] || modprobe fuse >/dev/null 2>&1 || true
    [ -c /dev/fuse ] ||
        die $EXIT_SYSTEM "there is no /dev/fuse: as root, modprobe fuse; in a" \
            "container, start it with --device /dev/fuse --cap-add SYS_ADMIN"
    (exec 3<>/dev/fuse) 2>/dev/null ||
        die $EXIT_SYSTEM "/dev/fuse cannot be opened: as root, chmod 666" \
            "/dev/fuse; or run me as root"
}

# ---- the build ----

_configure() {
    local build=$1
    shift
    cd "$build" && "$top/configure" "$@"
}

# build DIR TARGET [CONFIGURE-OPTION...]: configures where that is due, and
# makes the target.
build() {
    local build=$1 target=$2
    shift 2
    [ ! -e "$top/config.status" ] ||
        die $EXIT_SYSTEM "the checkout itself is configured, which a build" \
            "beside it cannot stand: make -C $top distclean"
    mkdir -p "$build"
    if [ ! -x "$top/configure" ]; then
        step "making configure" "$build/autogen.log" "$top/autogen.sh" ||
            return
    fi
    # A checkout that was moved or a changed choice of options starts anew.
    local want="$top $*"
    if [ ! -f "$build/Makefile" ] ||
        [ "$(cat "$build/configured-for" 2>/dev/null)" != "$want" ]; then
        step "configuring" "$build/configure.log" _configure "$build" "$@" ||
            return
        printf '%s\n' "$want" >"$build/configured-for"
    fi
    step "building" "$build/make.log" make -C "$build" -j"$(jobs)" "$target"
}
