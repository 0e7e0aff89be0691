#!/usr/bin/env bash
# Goal of this test: what is wrong with the bytes of a store does not stay unknown.
# - a store is scrubbed while it is mounted, and after;
# - a bit flipped in any object, in the catalogue or in a model is found, and costs
#   one chunk at most;
# - a scrub that is stopped keeps its place, and the next one goes on there;
# - --rate and --json.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
# Without keys: those who share one share its damage.
"$CAEFS" set chunk=65536 effort=fast key=none "$mnt"
mkdir "$mnt/lossy" "$mnt/many"
"$CAEFS" set bound=rel:1e-3 "$mnt/lossy"
"$PYTHON" - "$mnt" <<'EOF2'
import numpy as np, sys
r = np.random.default_rng(1)
for i in range(3):
    walk = np.cumsum(r.normal(size=60_000))
    np.save(sys.argv[1] + "/walk%d.npy" % i, walk)
    np.save(sys.argv[1] + "/lossy/walk%d.npy" % i, walk.astype("f4"))
for i in range(40):
    np.save(sys.argv[1] + "/many/%d.npy" % i, r.normal(size=8000 + i))
with open(sys.argv[1] + "/text", "w") as f:
    f.write("".join("line %d\n" % i for i in range(30_000)))
EOF2
"$CAEFS" sync "$mnt"

# While it is mounted, files come and go.
(
    for ((i = 0; i < 40; i++)); do
        cp "$mnt/walk0.npy" "$mnt/busy" && rm -f "$mnt/busy"
        "$CAEFS" sync "$mnt"
    done
) &
busy=$!
for ((i = 0; i < 5; i++)); do
    "$CAEFS" scrub --restart "$store" >"$tmp/out" || fail "while mounted: $(cat "$tmp/out")"
done
wait $busy
"$CAEFS" scrub --json "$store" >"$tmp/json" || fail "scrub --json"
"$PYTHON" - "$tmp/json" <<'EOF2'
import json, sys
r = json.load(open(sys.argv[1]))
assert r["problems"] == 0 and r["complete"] and not r["resumed"], r
assert r["files"] >= 47 and r["stored_bytes"] > 2_000_000 and r["findings"] == [], r
EOF2
unmount_store "$mnt"

# Stopped and continued.
"$CAEFS" scrub --rate 1 "$store" >"$tmp/out" 2>&1 &
scrub=$!
sleep 0.7
kill -INT $scrub
status=0
wait $scrub || status=$?
[ $status = 3 ] || fail "a scrub that was stopped ended with $status: $(cat "$tmp/out")"
grep -q 'stopped' "$tmp/out" || fail "it does not say that it was stopped"
cp "$store/scrub" "$tmp/place" || fail "no place was kept"
"$CAEFS" scrub --json "$store" | grep -q '"resumed": true' || fail "it began anew"
[ ! -e "$store/scrub" ] || fail "the place outlives a complete scrub"
cp "$tmp/place" "$store/scrub"
"$CAEFS" scrub --json --restart "$store" | grep -q '"resumed": false' || fail "--restart"
fails_with 1 "$CAEFS" scrub --rate 0 "$store" 2>/dev/null
fails_with 1 "$CAEFS" scrub --rate much "$store" 2>/dev/null

# Bits flipped, one at a time, each at a place of its own.
flips=60
! long_test || flips=2000
"$PYTHON" - "$CAEFS" "$store" $flips <<'EOF2'
import os, random, subprocess, sys
caefs, store, flips = sys.argv[1], sys.argv[2], int(sys.argv[3])
files = []
for directory, _, names in os.walk(store + "/objects"):
    files += [directory + "/" + name for name in names]
assert len(files) > 40
rnd = random.Random(4711)
for i in range(flips):
    path = rnd.choice(files)
    at, bit = rnd.randrange(os.path.getsize(path)), rnd.randrange(8)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))
        f.flush()
        r = subprocess.run([caefs, "scrub", store], capture_output=True, text=True)
        assert r.returncode == 2, (path, os.path.getsize(path), at, bit, r.returncode, r.stdout)
        findings = r.stdout.splitlines()[:-1]
        assert len(findings) == 1 and "object " in findings[0], findings
        f.seek(at)
        f.write(bytes([byte]))
EOF2
"$CAEFS" scrub "$store" >/dev/null || fail "all was put right, and yet"

# The catalogue is put right as it is read: no file notices.  Two damaged bytes are
# more than can be put right; that is found as well.
"$PYTHON" - "$CAEFS" "$store" $((flips / 2)) <<'EOF2'
import os, random, shutil, subprocess, sys
caefs, store, flips = sys.argv[1], sys.argv[2], int(sys.argv[3])
database = store + "/caefs.db"
good = open(database, "rb").read()
rnd = random.Random(815)
def run(*arguments):
    return subprocess.run([caefs, *arguments], capture_output=True, text=True)
stat = run("stat", "--json", store + ":/").stdout
for i in range(flips):
    bad = bytearray(good)
    at = rnd.randrange(len(bad))
    bad[at] ^= 1 << rnd.randrange(8)
    if i % 5 == 4:
        other = at - at % 4096 + rnd.randrange(4096)
        bad[other] ^= 255
    with open(database, "wb") as f:
        f.write(bad)
    if i % 2:
        r = run("stat", "--json", store + ":/")
        assert i % 5 == 4 or (r.returncode == 0 and r.stdout == stat), (at, r.stdout, r.stderr)
    r = run("scrub", store)
    assert r.returncode == 2 or (i % 2 and r.returncode == 0), (at, r.returncode, r.stdout, r.stderr)
    if i % 5 != 4:
        r = run("scrub", store)
        assert r.returncode == 0, (at, "is not mended", r.stdout, r.stderr)
with open(database, "wb") as f:
    f.write(good)
EOF2
"$CAEFS" scrub "$store" >/dev/null || fail "the catalogue was put right, and yet"
