#!/usr/bin/env bash
# Goal of this test: caefs bench says what is true of a user's files.
# - its ratio is that of caefs encode, its errors are within the bound;
# - a sample of a large file, a directory, raw values, both clocks;
# - --json has what the manual promises; the table has a line for each;
# - what cannot be used is named, with the right exit status.
# Times are not judged.
. "$(dirname "$0")/../functions.sh"
requires_python

mkdir "$tmp/data" "$tmp/data/below"
"$PYTHON" - "$tmp/data" <<'PY'
import sys, numpy as np
d = sys.argv[1]
x, y = np.meshgrid(np.linspace(0, 6, 300), np.linspace(0, 4, 200))
field = (np.sin(x * y) * 40).astype("f4")
np.save(d + "/field.npy", field)
np.save(d + "/below/table.npy", np.asfortranarray(np.cos(x * y)[:, :7] * 10.0 ** np.arange(7)))
np.save(d + "/integers.npy", np.arange(1000))
field[3, 4] = np.nan
field.astype(">f4").tofile(d + "/field.raw")
PY
bench() { "$CAEFS" bench --rounds 1 --progress never "$@"; }

say "json"
bench --json --bound rel:1e-3 --bound lossless --effort fast --effort balanced \
    "$tmp/data/field.npy" >"$tmp/bench.json"
for effort in fast balanced; do
    "$CAEFS" encode --json --bound rel:1e-3 --effort $effort "$tmp/data/field.npy" \
        "$tmp/o.caef" >"$tmp/$effort.json"
done
"$PYTHON" - "$tmp" <<'PY'
import json, sys
d = sys.argv[1]
b = json.load(open(d + "/bench.json"))
assert b["output_version"] == 1 and b["threads"] == 1 and b["clock"] == "thread cpu"
f, = b["files"]
assert f["dtype"] == "f32" and f["shape"] == [200, 300]
assert f["file_bytes"] == f["sample_bytes"] == 240128
lossy = {r["setting"]: r for r in f["results"] if r["codec"] == "caefs" and r["bound"] == "rel:0.001"}
assert set(lossy) == {"fast", "balanced"}
for effort, r in lossy.items():
    e = json.load(open(d + "/" + effort + ".json"))
    assert r["output_bytes"] == e["output_bytes"] and abs(r["ratio"] - e["ratio"]) < 1e-9
    assert 0 < r["max_error_over_bound"] <= 1 and 0 < r["max_error"] < 0.09 and r["bound_holds"]
    t = r["encode_seconds"]
    assert 0 < t["best"] <= t["median"] <= t["worst"] and t["rounds"] == 1
    assert abs(r["decode_mb_per_second"] - 240128e-6 / r["decode_seconds"]["best"]) < 1e-3
exact = [r for r in f["results"] if r["bound"] == "lossless"]
assert {(r["codec"], r["setting"]) for r in exact} >= {("caefs", "fast"), ("zstd", "3"), ("zstd", "19")}
assert all(r["max_error"] == 0 and r["bound_holds"] for r in exact)
for r in f["results"]:
    if r["codec"] == "zfp":
        assert r["bound_holds"] and r["encode_over_zfp"] == 1
PY

say "tables"
bench --no-peers --effort fast "$tmp/data" >"$tmp/table"
[ "$(grep -c 'caefs fast' "$tmp/table")" = 8 ] || fail "not a line for each of 2 files and 4 bounds"
grep -q 'below/table.npy: .* f64' "$tmp/table" || fail "the directory's second file"
grep -q integers "$tmp/table" && fail "a file without values was measured"
grep -q BROKEN "$tmp/table" && fail "a bound is broken"
bench --threads 2 --effort fast --bound abs:0.1 --dtype f32:be --dims 200,300 \
    "$tmp/data/field.raw" >"$tmp/table"
grep -q 'f32:be 200x300' "$tmp/table" || fail "raw values are not seen as said"
grep -q 'Wall-clock' "$tmp/table" || fail "the clock of threads"

say "samples"
for name in field below/table; do
    bench --json --no-peers --limit 8K --effort fast --scope column "$tmp/data/$name.npy" >"$tmp/sample.json"
    "$PYTHON" -c '
import json, sys
f, = json.load(open(sys.argv[1]))["files"]
assert f["sample_bytes"] <= 8192 + 128 < f["file_bytes"] and len(f["shape"]) == 2
assert all(r["bound_holds"] for r in f["results"]) and len(f["results"]) == 4' "$tmp/sample.json" ||
        fail "a sample of $name"
done

say "failures"
fails_with 4 bench "$tmp/not-there" 2>"$tmp/err"
grep -q not-there "$tmp/err" || fail "the message does not name the file"
fails_with 3 bench --no-peers --effort fast "$tmp/not-there" "$tmp/data/field.npy" >/dev/null 2>"$tmp/err"
mkdir "$tmp/nothing"
fails_with 2 bench "$tmp/nothing" 2>"$tmp/err"
for wrong in "--rounds 0" "--rounds x" "--limit 1" "--bound much" "--effort some" "--threads 0"; do
    # shellcheck disable=SC2086 # the words are the arguments
    fails_with 1 bench $wrong "$tmp/data/field.npy" 2>"$tmp/err"
done
fails_with 1 bench 2>"$tmp/err"
