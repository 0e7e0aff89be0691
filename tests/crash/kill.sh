#!/usr/bin/env bash
# Goal of this test: kill -9 of the mount at any moment loses nothing that was
# durable. A workload copies, rewrites, renames, deletes and syncs; its process
# writes down what it begins and what it has made durable, on a file system
# that is not killed. After each kill and a mount anew:
# - every file is its old or its new whole self;
# - what fsync had returned for is there;
# - fsck finds nothing.
# 8 kills at moments made from a seed; 100 with CAEFS_TEST_LONG=1.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
rounds=8
! long_test || rounds=100
make_store "$store"
mount_store "$store" "$mnt" -o commit=0.2
mkdir "$mnt/lossless" "$mnt/lossy"
"$CAEFS" set effort=fast "$mnt"
"$CAEFS" set bound=abs:0.5 "$mnt/lossy"
"$CAEFS" sync "$mnt"

# A version of a file is made from its name and a number alone, so that what is
# found tells which version it is.
cat >"$tmp/versions.py" <<'EOF'
import io, zlib
import numpy as np
NAMES = ["lossless/%d.npy" % i for i in range(6)] + ["lossy/%d.npy" % i for i in range(6)]
def values(name, version):
    r = np.random.default_rng([zlib.crc32(name.encode()), version])
    x = np.cumsum(r.normal(size=int(r.integers(10, 60_000))))
    x[0] = version * 1000
    x[-1] = version * 1000
    return x
def image(name, version):
    f = io.BytesIO()
    np.save(f, values(name, version))
    return f.getvalue()
EOF
cat >"$tmp/work.py" <<'EOF'
"""Works until it is killed or the mount is.  Each line of the journal is
KIND NAME VERSION: "begin" before a file can have VERSION (-1: be absent),
"durable" after fsync has returned for it."""
import os, random, sys
from versions import *
mnt, journal, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
rnd = random.Random(seed)
log = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(kind, name, version):
    os.write(log, ("%s %s %d\n" % (kind, name, version)).encode())
version = seed * 100_000
def sync_directory(path):
    fd = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def rewrite(path, data, sync):
    with open(path, "wb") as f:
        f.write(data)
        if sync:
            f.flush()
            os.fsync(f.fileno())
def replace(path, data, sync):
    rewrite(path + ".tmp", data, sync)
    os.replace(path + ".tmp", path)
try:
    while True:
        name = rnd.choice(NAMES)
        path = mnt + "/" + name
        sync = rnd.random() < 0.4
        what = rnd.random()
        if what < 0.15:
            note("begin", name, -1)
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            if sync:
                sync_directory(path)
                note("durable", name, -1)
            continue
        version += 1
        note("begin", name, version)
        (replace if what < 0.6 else rewrite)(path, image(name, version), sync)
        if sync:
            sync_directory(path)
            note("durable", name, version)
        if rnd.random() < 0.1:
            fd = os.open(mnt, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
except OSError:
    sys.exit(0)         # the mount is gone
EOF
cat >"$tmp/look.py" <<'EOF'
"""Every file must be one of the versions that it may be."""
import os, sys
from versions import *
mnt, journal = sys.argv[1:3]
allowed = {n: {-1} for n in NAMES}
for line in open(journal):
    kind, name, version = line.split()
    version = int(version)
    if kind == "begin":
        allowed[name].add(version)
    else:
        # what came before a durable version is over
        allowed[name] = {version}
def matches(name, data, version):
    if version == -1:
        return False
    want = image(name, version)
    if data == want:
        return True
    if name.startswith("lossless") or len(data) != len(want) or data[:128] != want[:128]:
        return False
    x = np.frombuffer(want[128:])
    y = np.frombuffer(data[128:])
    return bool((np.abs(x - y) <= 0.5).all())
lines, found = [], {}
for name in NAMES:
    path = mnt + "/" + name
    if not os.path.exists(path):
        version = -1
        assert -1 in allowed[name] , (name, "is gone", sorted(allowed[name]))
    else:
        data = open(path, "rb").read()
        for version in sorted(allowed[name], reverse=True):
            if matches(name, data, version):
                break
        else:
            # made and never flushed before the kill: it is there and empty
            assert not data and -1 in allowed[name], \
                (name, len(data), "is no version of it", sorted(allowed[name]))
            version = -2
    found[name] = version
# From here on what was found is what is allowed.
with open(journal, "w") as f:
    for name, version in found.items():
        if version == -2:
            os.unlink(mnt + "/" + name)
            version = -1
        f.write("durable %s %d\n" % (name, version))
for d in ("lossless", "lossy"):
    for name in os.listdir(mnt + "/" + d):
        if name.endswith(".tmp"):
            os.unlink(mnt + "/" + d + "/" + name)
fd = os.open(mnt, os.O_RDONLY)
os.fsync(fd)
os.close(fd)
EOF

journal=$tmp/journal
: >"$journal"
RANDOM=4711
for ((round = 1; round <= rounds; round++)); do
    PYTHONPATH=$tmp "$PYTHON" "$tmp/work.py" "$mnt" "$journal" $round 2>"$tmp/work.err" &
    worker=$!
    ms=$((200 + RANDOM % 2500))
    # Every third round with training beside it, when there is something to train on.
    if ((round % 3 == 0)); then
        timeout 20 "$CAEFS" train --progress never --time-limit 3 "$mnt/lossy" \
            >/dev/null 2>&1 &
        trainer=$!
    else
        trainer=
    fi
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
    kill_mount "$mnt"
    wait $worker || fail "the worker: $(cat "$tmp/work.err")"
    [ -z "$trainer" ] || wait $trainer || true
    mount_store "$store" "$mnt" -o commit=0.2
    PYTHONPATH=$tmp "$PYTHON" "$tmp/look.py" "$mnt" "$journal" ||
        fail "round $round, killed after $ms ms"
    unmount_store "$mnt"
    "$CAEFS" fsck "$store" >"$tmp/fsck" 2>&1 ||
        fail "round $round: fsck finds problems: $(cat "$tmp/fsck")"
    mount_store "$store" "$mnt" -o commit=0.2
done
"$CAEFS" sync "$mnt"
PYTHONPATH=$tmp "$PYTHON" "$tmp/look.py" "$mnt" "$journal" || fail "after the last sync"
unmount_store "$mnt"
"$CAEFS" scrub "$store" || fail "scrub finds problems"
