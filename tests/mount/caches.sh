#!/usr/bin/env bash
# Goal of this test: readers and writers together, and nothing that grows.
# - many processes read sealed files at random, through read(2) and mmap, while
#   others write, rename and remove; every byte that is read is right;
# - with a small cache, the memory of the daemon stays bounded and its
#   descriptors come back.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt" -o cache=8M
"$CAEFS" set effort=fast "$mnt"
"$PYTHON" - "$mnt" <<'EOF'
import numpy as np, sys
for i in range(8):
    r = np.random.default_rng(i)
    np.save(sys.argv[1] + "/%d.npy" % i, np.cumsum(r.normal(size=500_000)).astype("f4"))
EOF
"$CAEFS" sync "$mnt"
remount_store "$store" "$mnt" -o cache=8M
pid=${mount_pids[$mnt]}
descriptors() { ls "/proc/$pid/fd" | wc -l; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }

cat >"$tmp/read.py" <<'EOF'
import mmap, os, random, sys
import numpy as np
mnt, seed = sys.argv[1], int(sys.argv[2])
rnd = random.Random(seed)
want = [np.cumsum(np.random.default_rng(i).normal(size=500_000)).astype("f4") for i in range(8)]
for _ in range(60):
    i = rnd.randrange(8)
    path = mnt + "/%d.npy" % i
    if rnd.random() < 0.5:
        a = np.load(path, mmap_mode="r")
        for _ in range(10):
            at = rnd.randrange(499_000)
            assert (a[at:at + 1000] == want[i][at:at + 1000]).all(), (i, at)
        del a
    else:
        at = rnd.randrange(400_000)
        got = np.fromfile(path, "f4", 50_000, offset=128 + 4 * at)
        assert (got == want[i][at:at + 50_000]).all(), (i, at)
EOF
cat >"$tmp/churn.py" <<'EOF'
import os, random, sys
mnt, seed = sys.argv[1], int(sys.argv[2])
rnd = random.Random(seed)
d = mnt + "/w%d" % seed
os.makedirs(d, exist_ok=True)
have = {}
for n in range(120):
    name = "%s/%d" % (d, rnd.randrange(10))
    what = rnd.random()
    if what < 0.5 or name not in have:
        data = rnd.randbytes(rnd.randrange(200_000))
        with open(name + ".new", "wb") as f:
            f.write(data)
        os.replace(name + ".new", name)
        have[name] = data
    elif what < 0.7:
        os.unlink(name)
        del have[name]
    else:
        with open(name, "rb") as f:
            assert f.read() == have[name], name
EOF
round() {
    local pids=() i
    for i in 1 2 3; do
        "$PYTHON" "$tmp/read.py" "$mnt" "$1$i" & pids+=($!)
        "$PYTHON" "$tmp/churn.py" "$mnt" "$i" & pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || fail "a reader or writer failed in round $1"; done
    "$CAEFS" sync "$mnt"
}
round 1
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
descriptors=$(descriptors) resident=$(resident)
rounds=3
! long_test || rounds=20
for ((r = 2; r < 2 + rounds; r++)); do
    round $r
    echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
done
say "descriptors $descriptors, then $(descriptors); resident $resident KiB, then $(resident) KiB"
[ "$(descriptors)" -le $((descriptors + 40)) ] || fail "descriptors leak"
# Sanitizers keep freed memory for a while.
case $(ldd "$CAEFS") in
*libasan* | *libtsan*) ;;
*) [ "$(resident)" -le $((resident + 128 * 1024)) ] || fail "memory grows" ;;
esac
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"
