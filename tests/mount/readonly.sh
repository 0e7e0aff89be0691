#!/usr/bin/env bash
# Goal of this test: what -o ro promises.
# - many read-only mounts at once, of a store that cannot be written at all; not a byte or a
#   time of it changes;
# - they and a writer exclude each other, in words;
# - what a killed writer left is read as it was committed, without being repaired;
# - beside a living writer of the same machine a read-only mount follows: every file it
#   serves is one that the writer had committed, whole; of another machine it is refused.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root
requires_python

store=$tmp/store mnt=$tmp/mnt view=$tmp/view a=$tmp/a b=$tmp/b
make_store "$store"
mkdir "$mnt" "$view" "$a" "$b"
take_all_down() {
    local m
    for m in "$tmp/mnt" "$tmp/a" "$tmp/b" "$tmp/view"; do
        while grep -q " $m " /proc/self/mounts; do
            umount -l "$m" || break
        done
    done
}
cleanup_fn take_all_down

# says STATUS PATTERN COMMAND...
says() {
    local status=$1 pattern=$2
    shift 2
    fails_with "$status" "$@" 2>"$tmp/err"
    grep -qE "$pattern" "$tmp/err" || fail "$*: says '$(cat "$tmp/err")'"
}
# Everything that a write would change, but access times.
picture() { (cd "$store" && find . -printf '%p %y %s %T@ %C@ %m %n\n' | sort && cat caefs.db* | cksum); }
freeze() { mount --bind "$store" "$view" && mount -o remount,bind,ro "$view"; }

if ! freeze 2>/dev/null; then
    take_all_down
    skip "a read-only bind mount is not permitted"
fi
umount "$view"

mount_store "$store" "$mnt" -o seal=idle:3600
"$PYTHON" -c 'import numpy, sys
numpy.arange(300000, dtype="f4").tofile(sys.argv[1])' "$mnt/sealed.f32"
"$CAEFS" sync "$mnt"
head -c 200000 /dev/urandom >"$mnt/staged"
cp "$mnt/staged" "$mnt/sealed.f32" "$tmp"
unmount_store "$mnt"

# ---- a store that cannot be written ----
picture >"$tmp/before"
freeze
"$CAEFS" mount -o ro "$view" "$a" || fail "mount -o ro"
"$CAEFS" mount -o ro "$view" "$b" || fail "the second mount -o ro"
for m in "$a" "$b"; do
    cmp "$m/staged" "$tmp/staged" || fail "staged differs"
    cmp "$m/sealed.f32" "$tmp/sealed.f32" || fail "sealed differs"
    (cd "$m" && ! touch new && ! rm staged && ! chmod 600 staged && ! setfattr -n user.x -v 1 staged) \
        2>/dev/null || fail "a read-only mount is written"
    "$CAEFS" df "$m" >/dev/null || fail "df of a read-only mount"
    grep -q '^files 2$' "$m/.caefs/stats" || fail "stats of a read-only mount"
done
"$CAEFS" stat "$view:/staged" >/dev/null || fail "stat beside read-only mounts"
says 4 "read-only.*unmount" "$CAEFS" mount "$store" "$mnt"
"$CAEFS" umount "$a" "$b"
"$CAEFS" stat "$view:/staged" >/dev/null || fail "stat of a store that cannot be written"
umount "$view"
picture | cmp - "$tmp/before" || fail "a read-only mount changed the store"

# ---- what a killed writer leaves ----
mount_store "$store" "$mnt" -o "commit=3600,seal=idle:3600"
"$PYTHON" - "$mnt/fsynced" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"whole" * 1000)
os.fsync(fd)
os.mkdir(sys.argv[1] + "-not")
PY
kill_mount "$mnt"
[ -s "$store/caefs.db-wal" ] || fail "the kill left no log: nothing is tested"
picture >"$tmp/before"
freeze
"$CAEFS" mount -o ro "$view" "$a" || fail "mount -o ro after a kill"
"$CAEFS" mount -o ro "$view" "$b" || fail "the second mount -o ro after a kill"
for m in "$a" "$b"; do
    [ "$(cat "$m/fsynced")" = "$(printf 'whole%.0s' {1..1000})" ] || fail "fsynced bytes are lost"
    cmp "$m/sealed.f32" "$tmp/sealed.f32" || fail "sealed differs after a kill"
done
"$CAEFS" umount "$a" "$b"
umount "$view"
picture | cmp - "$tmp/before" || fail "a read-only mount repaired the store"

# ---- beside a writer ----
mount_store "$store" "$mnt" -o commit=0.1
"$CAEFS" mount -o ro "$store" "$a" || fail "mount -o ro beside a writer"
"$PYTHON" - "$mnt" "$a" "${CAEFS_TEST_LONG:+60}" <<'PY' || fail "a reader beside a writer saw what never was"
import os, sys, threading, time
writer, reader = sys.argv[1:3]
seconds = float(sys.argv[3] or 3)
stop = threading.Event()
problems, reads, versions = [], 0, set()

# Version N is 100000 + N % 7 * 4096 times the byte N; it replaces the last as whole.
def write():
    n = 0
    while not stop.is_set():
        n += 1
        with open(writer + "/new", "wb") as f:
            f.write(bytes([n % 251]) * (100000 + n % 7 * 4096))
        os.rename(writer + "/new", writer + "/file")
        if n % 5 == 0:
            os.system('"$CAEFS" sync "%s" >/dev/null' % writer)
        time.sleep(0.02)

def read():
    global reads
    while not stop.is_set():
        try:
            with open(reader + "/file", "rb") as f:
                data = f.read()
        except FileNotFoundError:
            continue                    # replaced between the name and the open
        except OSError as e:
            if e.errno in (5, 116):     # removed below: an error, and no bytes
                continue
            raise
        reads += 1
        if len(set(data)) != 1 or (len(data) - 100000) % 4096 or len(data) < 100000:
            problems.append((len(data), len(set(data))))
        elif True:
            versions.add(data[0])

threads = [threading.Thread(target=write)] + [threading.Thread(target=read) for _ in range(2)]
for t in threads: t.start()
time.sleep(seconds)
stop.set()
for t in threads: t.join()
print("reads %d, versions seen %d, wrong %r" % (reads, len(versions), problems[:5]))
assert reads > 10 and len(versions) > 1 and not problems
last = open(writer + "/file", "rb").read()
os.mkdir(writer + "/directory")
os.unlink(writer + "/staged")
for _ in range(100):
    if os.path.isdir(reader + "/directory") and not os.path.exists(reader + "/staged"): break
    time.sleep(0.1)
assert os.path.isdir(reader + "/directory"), "a new name is not seen"
assert not os.path.exists(reader + "/staged"), "a removed name is seen"
assert open(reader + "/file", "rb").read() == last, "the last version is not seen"
PY
"$CAEFS" umount "$a" || fail "umount of the reader"
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"

# ---- a writer of another machine ----
"$PYTHON" - "$store/lock" "$tmp/held" <<'PY' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
os.ftruncate(fd, 0)
os.write(fd, b"4711 00000000-0000-0000-0000-000000000000\n")
open(sys.argv[2], "w").close()
time.sleep(600)
PY
holder=$!
cleanup_fn kill "$holder"
for ((i = 0; i < 100; i++)); do [ -e "$tmp/held" ] && break; sleep 0.05; done
says 4 "another machine" "$CAEFS" mount -o ro "$store" "$a"
says 4 "process 4711" "$CAEFS" mount "$store" "$mnt"
