#!/usr/bin/env bash
# Goal of this test: a series of arrays whose names count up.
# - numpy saves frames, they are sealed in the background, and most are predicted
#   from an earlier one, which stat and explain tell;
# - the file that others are predicted from is deleted: the others stay readable,
#   at random and after a remount, every value within its bound;
# - scrub finds nothing; when all are gone, so is everything they took.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
mkdir "$mnt/run"
"$CAEFS" set bound=abs:0.01 "$mnt/run"

cat >"$tmp/series.py" <<'PY'
import os, sys, numpy as np

def frame(t):
    noise = np.random.default_rng(1).normal(0, 5, (120, 400))
    y, x = np.mgrid[0:120, 0:400]
    return (noise + np.sin(x * 0.02 + y * 0.03 + t * 0.3)).astype("f4")

action, directory = sys.argv[1:3]
for t in range(12):
    path = "%s/pres_%04d.npy" % (directory, t)
    if action == "save":
        np.save(path, frame(t))
    elif os.path.exists(path):
        a = np.load(path, mmap_mode="r")
        r = np.random.default_rng(t)
        for _ in range(20):
            i, j = r.integers(0, 120), r.integers(0, 400)
            assert abs(a[i, j] - frame(t)[i, j]) <= 0.0100001, (t, i, j)
        assert np.abs(np.load(path) - frame(t)).max() <= 0.0100001, t
PY
"$PYTHON" "$tmp/series.py" save "$mnt/run"
"$CAEFS" sync "$mnt" || fail "sync"

# Several are sealed at once, so which refers to which is not known beforehand.
"$CAEFS" stat --json "$mnt"/run/*.npy >"$tmp/stat.json"
"$PYTHON" - "$tmp/stat.json" >"$tmp/pair" <<'PY'
import json, sys
paths = json.load(open(sys.argv[1]))["paths"]
later = [p for p in paths if p["key"] is not None]
assert len(later) >= 6, [p["key"] for p in paths]
print(later[0]["key"].split("/")[-1], later[0]["path"].split("/")[-1])
PY
read -r key later <"$tmp/pair"
"$CAEFS" explain "$mnt/run/$later" >"$tmp/explained"
grep -q "predicted from .*$key" "$tmp/explained" || fail "explain does not name the key"

rm "$mnt/run/$key"
"$PYTHON" "$tmp/series.py" check "$mnt/run" || fail "after the key was deleted"
remount_store "$store" "$mnt"
"$PYTHON" "$tmp/series.py" check "$mnt/run" || fail "after a remount"
"$CAEFS" explain "$mnt/run/$later" >"$tmp/explained"
grep -q 'a file that is gone' "$tmp/explained" || fail "explain does not say that the key is gone"
unmount_store "$mnt"
"$CAEFS" scrub "$store" >/dev/null || fail "scrub finds problems"
mount_store "$store" "$mnt"
rm "$mnt"/run/*
unmount_store "$mnt"
[ "$(find "$store/objects" -type f | wc -l)" -eq 0 ] || fail "objects are left"
"$CAEFS" fsck "$store" >/dev/null || fail "fsck finds problems"
