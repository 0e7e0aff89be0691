#!/usr/bin/env bash
# Goal of this test: mounting and unmounting, and what they say when they cannot.
# - in the background mount returns when the mount answers, umount when the
#   store is closed; the order of copy, umount, mount loses nothing;
# - a store that is mounted is not mounted twice for writing, and who has it is
#   said; a read-only mount shows the same and cannot be written;
# - no mount point, no store, a store of a newer version, a wrong option;
# - no /dev/fuse;
# - SIGTERM unmounts cleanly;
# - mount.fuse.caefs takes what mount(8) gives it.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mkdir "$mnt" "$tmp/other"

# Nothing may stay behind, whatever happens.
take_all_down() {
    local m
    for m in "$tmp/mnt" "$tmp/other"; do
        while grep -q " $m " /proc/self/mounts; do
            fusermount3 -uz "$m" 2>/dev/null || umount -l "$m" || break
        done
    done
}
cleanup_fn take_all_down
daemon() { sed -n 's/^pid //p' "$mnt/.caefs/store"; }

# says STATUS PATTERN COMMAND...
says() {
    local status=$1 pattern=$2
    shift 2
    fails_with "$status" "$@" 2>"$tmp/err"
    grep -qE "$pattern" "$tmp/err" || fail "$*: says '$(cat "$tmp/err")'"
}

# background
for i in 1 2 3; do
    "$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt" || fail "mount"
    is_mounted "$mnt" || fail "mount returned too early"
    pid=$(daemon)
    head -c 3000000 /dev/urandom >"$tmp/random$i"
    cp "$tmp/random$i" "$mnt/"
    "$CAEFS" umount "$mnt" || fail "umount"
    ! is_mounted "$mnt" || fail "umount returned too early"
    [ ! -e "/proc/$pid" ] || grep -q '^State:.*Z' "/proc/$pid/status" ||
        fail "the process is there after umount"
    "$CAEFS" fsck "$store" || fail "fsck finds problems"
done
"$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt"
for i in 1 2 3; do cmp "$tmp/random$i" "$mnt/random$i" || fail "random$i differs"; done

# twice
says 4 "already mounted.*$mnt" "$CAEFS" mount "$store" "$tmp/other"
says 4 "in use" bash -c "cd '$mnt' && '$CAEFS' umount '$mnt'"
"$CAEFS" umount "$mnt"
says 4 "no caefs is mounted" "$CAEFS" umount "$mnt"

# read-only, twice at once
"$CAEFS" mount -o ro "$store" "$mnt" || fail "mount -o ro"
"$CAEFS" mount -o ro "$store" "$tmp/other" || fail "the second mount -o ro"
cmp "$tmp/random1" "$mnt/random1" || fail "read-only differs"
cmp "$tmp/random1" "$tmp/other/random1" || fail "the second read-only differs"
if touch "$mnt/new" 2>/dev/null; then fail "a read-only mount was written"; fi
"$CAEFS" umount "$mnt" "$tmp/other" || fail "umount of two"

# what cannot be
says 4 "no mount point" "$CAEFS" mount "$store" "$tmp/missing"
says 4 "not a directory" "$CAEFS" mount "$store" "$tmp/random1"
says 4 "no store" "$CAEFS" mount "$tmp/missing" "$mnt"
says 2 "not a store" "$CAEFS" mount "$tmp/other" "$mnt"
says 1 "cache=much" "$CAEFS" mount -o cache=much "$store" "$mnt"
status=0
"$CAEFS" mount -o no_such_option_at_all "$store" "$mnt" 2>"$tmp/err" || status=$?
[ $status -ne 0 ] && [ -s "$tmp/err" ] || fail "an unknown option is not refused"
cp -r "$store" "$tmp/newer"
"$PYTHON" - "$tmp/newer/caefs.db" <<'EOF'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
v = c.execute("PRAGMA user_version").fetchone()[0]
c.execute("PRAGMA user_version = %d" % (v + 100))
c.commit()
EOF
says 2 "newer" "$CAEFS" mount "$tmp/newer" "$mnt"
head -c 100000 /dev/urandom >"$tmp/newer/caefs.db"
rm -f "$tmp/newer"/caefs.db-*
status=0
"$CAEFS" mount "$tmp/newer" "$mnt" 2>"$tmp/err" || status=$?
[ $status -ne 0 ] && [ -s "$tmp/err" ] || fail "a damaged catalogue is not refused"
! is_mounted "$mnt" || fail "a mount that failed is there"

# no /dev/fuse
if unshare -m true 2>/dev/null; then
    says 4 "/dev/fuse.*modprobe fuse" unshare -m bash -c '
        mount --make-rprivate / && mkdir -p "$1/dev" && mount -t tmpfs none /dev &&
        exec "$2" mount "$3" "$4"' - "$tmp" "$CAEFS" "$store" "$mnt"
else
    say "NOT TESTED: a missing /dev/fuse (unshare -m is not permitted)"
fi

# signals
for signal in TERM INT HUP; do
    "$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt"
    pid=$(daemon)
    echo "written before $signal" >"$mnt/before-$signal"
    kill -$signal "$pid"
    _gone "$pid" 60 || fail "SIG$signal does not end the mount"
    ! is_mounted "$mnt" || fail "SIG$signal leaves the mount"
done
# with a file open and its pages dirty
"$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt"
pid=$(daemon)
exec 7>"$mnt/open"
echo "dirty" >&7
kill -TERM "$pid"
_gone "$pid" 60 || fail "SIGTERM does not end a mount in use"
exec 7>&- || true
take_all_down
"$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt"
for signal in TERM INT HUP; do
    grep -q "before $signal" "$mnt/before-$signal" || fail "SIG$signal lost a file"
done
"$CAEFS" umount "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"

# a daemon that was killed: the dead mount is taken down by umount
"$CAEFS" mount -o no_auto_unmount "$store" "$mnt"
kill -9 "$(daemon)"
for ((i = 0; i < 100; i++)); do
    ls "$mnt" >/dev/null 2>&1 || break
    sleep 0.05
done
"$CAEFS" umount "$mnt" || fail "umount of a dead mount"
"$CAEFS" mount "$store" "$mnt" || fail "mount after a kill"
"$CAEFS" umount "$mnt"

# as mount(8) calls it
helper=$abs_top_srcdir/tools/mount.fuse.caefs
PATH="$(dirname "$CAEFS"):$PATH" sh "$helper" "$store" "$mnt" \
    -o rw,noatime,nofail,_netdev,x-systemd.automount,cache=64M || fail "mount.fuse.caefs"
grep -q " $mnt fuse.caefs .*noatime" /proc/mounts || fail "options are not passed on"
"$CAEFS" umount "$mnt"
