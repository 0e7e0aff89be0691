#!/usr/bin/env bash
# Goal of this test: loss does not spread. One value of a lossy file is changed
# a thousand times through np.memmap('r+'), whose page cache rewrites a whole
# page around it, with remounts and seals between:
# - every other value keeps the bits that it was served with at first;
# - a changed value is within its bound of what was written.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
"$CAEFS" set bound=rel:1e-3 effort=fast "$mnt"
mkdir "$mnt/pw"
"$CAEFS" set bound=pwrel:1e-2 "$mnt/pw"

# The field, and what is written: both are made from a seed, so each step of
# this test can be a process of its own.
cat >"$tmp/common.py" <<'EOF'
import numpy as np, sys
def field(n=120_000):
    r = np.random.default_rng(11)
    x = np.cumsum(r.normal(size=n)) + 3
    x[5000:5200] = 0
    x[7000] = np.nan
    x[7001] = -np.inf
    return x.astype("f4")
CHANGES = 1000
places = np.random.default_rng(12).integers(0, 120_000, CHANGES)
values = np.random.default_rng(13).normal(scale=100, size=CHANGES).astype("f4")
FILES = ("rel.npy", "pw/pwrel.npy")
EOF

run() { PYTHONPATH=$tmp "$PYTHON" - "$mnt" "$tmp" "$@"; }

run <<'EOF'
from common import *
for f in FILES:
    np.save(sys.argv[1] + "/" + f, field())
EOF
"$CAEFS" sync "$mnt"
remount_store "$store" "$mnt"
run <<'EOF'
from common import *
for i, f in enumerate(FILES):
    np.save(sys.argv[2] + "/served%d.npy" % i, np.load(sys.argv[1] + "/" + f))
EOF

# change FIRST LAST
change() {
    run "$1" "$2" <<'EOF'
from common import *
for f in FILES:
    for i in range(int(sys.argv[3]), int(sys.argv[4])):
        m = np.load(sys.argv[1] + "/" + f, mmap_mode="r+")
        m[places[i]] = values[i]
        m.flush()
        del m
EOF
}

# check N: after the first N changes
check() {
    run "$1" <<'EOF'
from common import *
n = int(sys.argv[3])
for i, f in enumerate(FILES):
    served = np.load(sys.argv[2] + "/served%d.npy" % i)
    now = np.load(sys.argv[1] + "/" + f)
    untouched = np.ones(served.size, bool)
    untouched[places[:n]] = False
    moved = untouched & (now.view("u4") != served.view("u4"))
    assert not moved.any(), ("%s: %d values moved after %d changes" % (f, moved.sum(), n))
    wanted = dict(zip(places[:n].tolist(), values[:n].astype("f8").tolist()))
    full = field().astype("f8")
    reach = 1e-3 * (np.nanmax(full[np.isfinite(full)]) - np.nanmin(full[np.isfinite(full)]) + 1000)
    for at, v in wanted.items():
        error = abs(float(now[at]) - v)
        assert error <= (reach if i == 0 else 1e-2 * abs(v)), (f, at, v, now[at])
EOF
}

step=50
for ((n = 0; n < 1000; n += step)); do
    change $n $((n + step))
    case $((n / step % 3)) in
    0) "$CAEFS" sync "$mnt" ;;
    1) "$CAEFS" sync "$mnt" && remount_store "$store" "$mnt" ;;
    2) remount_store "$store" "$mnt" ;;
    esac
    check $((n + step)) || fail "after $((n + step)) changes"
done
"$CAEFS" sync "$mnt"
remount_store "$store" "$mnt"
check 1000 || fail "at the end"
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"
"$CAEFS" scrub "$store" || fail "scrub finds problems"
