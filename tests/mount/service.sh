#!/usr/bin/env bash
# Goal of this test: a mount under a service manager, and what is left when it is killed.
# - a socket in NOTIFY_SOCKET hears READY when the mount answers, WATCHDOG while it does, and
#   STOPPING at the end;
# - the unit's command line is one that the program takes;
# - a process that is killed leaves no mount behind, and what was fsynced is there again;
# - a dead mount that nobody took away is healed by the next mount;
# - SIGTERM while everything is staged: with drain it is sealed, without it is kept.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mkdir "$mnt"
take_all_down() {
    local mnt=$tmp/mnt
    while grep -q " $mnt " /proc/self/mounts; do
        fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" || break
    done
}
cleanup_fn take_all_down
daemon() { sed -n 's/^pid //p' "$mnt/.caefs/store"; }

# wait_for SECONDS COMMAND...
wait_for() {
    local i
    for ((i = 0; i < $1 * 20; i++)); do
        "${@:2}" && return 0
        sleep 0.05
    done
    return 1
}
not_mounted() { ! grep -q " $mnt " /proc/self/mounts; }

# ---- notifications ----
"$PYTHON" - "$tmp/notify" >"$tmp/heard" <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    for line in s.recv(65536).decode().splitlines():
        print(line, flush=True)
        if line == "END":
            sys.exit(0)
PY
listener=$!
wait_for 20 test -S "$tmp/notify" || fail "no socket"
# As the unit has it: no options, as an empty word.
NOTIFY_SOCKET=$tmp/notify WATCHDOG_USEC=200000 mount_store "$store" "$mnt" -o ""
wait_for 20 grep -qx "READY=1" "$tmp/heard" || fail "no READY"
grep -qx "STATUS=$store is mounted at $mnt" "$tmp/heard" || fail "no status"
three_pats() { [ "$(grep -cx "WATCHDOG=1" "$tmp/heard")" -ge 3 ]; }
wait_for 20 three_pats || fail "the watchdog is not told"
! grep -qx "STOPPING=1" "$tmp/heard" || fail "STOPPING too early"
unmount_store "$mnt"
wait_for 20 grep -qx "STOPPING=1" "$tmp/heard" || fail "no STOPPING"
"$PYTHON" -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"END", sys.argv[1])' "$tmp/notify"
wait "$listener"
# A watchdog that is another process's is none of ours.
WATCHDOG_USEC=200000 WATCHDOG_PID=1 NOTIFY_SOCKET=/nowhere mount_store "$store" "$mnt"
unmount_store "$mnt"

# ---- a killed process ----
"$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt"
pid=$(daemon)
"$PYTHON" - "$mnt/kept" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"fsynced")
os.fsync(fd)
PY
exec 7<"$mnt/kept"
kill -9 "$pid"
wait_for 60 not_mounted || fail "a killed process leaves its mount"
[ -z "$(ls "$mnt")" ] || fail "the mount point is not what was there before"
exec 7<&-
# When the mount is another one by now, nobody touches it.
"$CAEFS" mount -o "log=$tmp/log" "$store" "$mnt" || fail "mount after a kill"
[ "$(cat "$mnt/kept")" = fsynced ] || fail "what was fsynced is lost"
sleep 0.3
is_mounted "$mnt" || fail "the guard of an earlier mount takes a later one down"
"$CAEFS" umount "$mnt"

# ---- a dead mount is healed ----
"$CAEFS" mount -o "no_auto_unmount,log=$tmp/log" "$store" "$mnt"
kill -9 "$(daemon)"
dead() { ! ls "$mnt" >/dev/null 2>&1; }
wait_for 20 dead || fail "the mount lives without its process"
(cd "$tmp" && "$CAEFS" mount -o "log=$tmp/log" "$store" mnt/) 2>"$tmp/err" || fail "not healed"
grep -q "dead mount" "$tmp/err" || fail "healing is not told"
[ "$(cat "$mnt/kept")" = fsynced ] || fail "what was fsynced is lost"
[ "$(grep -c " $mnt " /proc/self/mounts)" = 1 ] || fail "mounted twice"
"$CAEFS" umount "$mnt"

# ---- what is staged at the end ----
state() { "$CAEFS" stat --json "$store:/$1" | "$PYTHON" -c 'import json, sys
print(json.load(sys.stdin)["paths"][0]["state"])'; }
for option in drain rw; do
    mount_store "$store" "$mnt" -o "$option,seal=idle:3600"
    head -c 100000 /dev/zero >"$mnt/$option"
    kill -TERM "${mount_pids[$mnt]}"
    _gone "${mount_pids[$mnt]}" 100 || fail "SIGTERM does not end the mount"
    unmount_store "$mnt"
done
[ "$(state drain)" = sealed ] || fail "drain leaves a file staged"
[ "$(state rw)" = staged ] || fail "a file was sealed against its will"
