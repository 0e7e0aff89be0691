#!/usr/bin/env bash
# Goal of this test: caefs encode and caefs decode on real files.
# - lossless is bit for bit, bounds are held for every value (judged by numpy);
# - the object does not depend on the number of threads;
# - raw files with a declared type and shape, files that are no arrays;
# - --json says what the manual promises;
# - a file of a series is predicted from its key, and not decoded without it;
# - damaged and truncated objects, wrong options, a full disk: the right exit
#   status, a message, and no output file.
. "$(dirname "$0")/../functions.sh"
requires_python

encode() { "$CAEFS" encode -q "$@"; }
decode() { "$CAEFS" decode -q "$@"; }

cat >"$tmp/make.py" <<'PY'
import sys, numpy as np
d = sys.argv[1]
r = np.random.default_rng(5)
x, y = np.meshgrid(np.linspace(0, 6, 300), np.linspace(0, 4, 200))
field = (np.sin(x * y) * 40 + r.normal(0, .05, x.shape)).astype("f4")
field[50:60, 70:80] = np.nan
field[0, :3] = [np.inf, -np.inf, -0.0]
table = r.normal(0, 1, (3000, 7)) * 10.0 ** np.arange(-3, 4)
table[:, 3] = 2.5
np.save(d + "/field.npy", field)
np.save(d + "/table.npy", table)
np.save(d + "/fortran.npy", np.asfortranarray(table))
np.save(d + "/big.npy", table.astype(">f8"))
np.save(d + "/half.npy", field.astype("f2"))
np.save(d + "/complex.npy", (table[:, 0] + 1j * table[:, 1]).astype("c8"))
np.save(d + "/integers.npy", r.integers(0, 9, (500, 3)))
np.save(d + "/flags.npy", r.random(999) < .3)
np.save(d + "/nothing.npy", np.zeros((0, 3)))
np.save(d + "/one.npy", np.float64(3.5))
np.save(d + "/names.npy", np.array(["a", "bc"]))
field.tofile(d + "/field.dat")
open(d + "/empty", "w").close()
open(d + "/text", "w").write("no numbers here\n" * 100)
PY
"$PYTHON" "$tmp/make.py" "$tmp"

cat >"$tmp/judge.py" <<'PY'
import sys, numpy as np
a, b, mode, e, scope = np.load(sys.argv[1]), np.load(sys.argv[2]), sys.argv[3], float(sys.argv[4]), sys.argv[5]
assert a.dtype == b.dtype and a.shape == b.shape and a.flags.f_contiguous == b.flags.f_contiguous
if a.dtype.kind == "c":
    a, b = (np.stack([v.real, v.imag], -1) for v in (a, b))
fin = np.isfinite(a)
assert a[~fin].tobytes() == b[~fin].tobytes()
x, y = np.where(fin, a, 0).astype("f8"), np.where(fin, b, 0).astype("f8")
assert (np.signbit(x) == np.signbit(y))[x == 0].all()
axis = None if scope == "array" else tuple(range(a.ndim - 1))
inside = np.where(fin, a.astype("f8"), np.nan)
span = np.nanmax(inside, axis=axis) - np.nanmin(inside, axis=axis)
allowed = {"abs": e, "rel": e * span, "pwrel": e * abs(x)}[mode]
assert (abs(x - y) <= allowed).all(), (abs(x - y) - allowed).max()
PY

for name in field table fortran big half complex integers flags nothing one names; do
    encode --effort fast "$tmp/$name.npy" "$tmp/o.caef"
    decode "$tmp/o.caef" "$tmp/o.npy"
    cmp "$tmp/$name.npy" "$tmp/o.npy" || fail "$name is not lossless"
done
for name in empty text field.dat; do
    encode --bound rel:0.1 "$tmp/$name" "$tmp/o.caef"
    decode "$tmp/o.caef" "$tmp/o"
    cmp "$tmp/$name" "$tmp/o" || fail "$name was changed under a bound"
done

for name in field table fortran big half complex; do
    for bound in abs:1e-2 rel:1e-3 pwrel:1e-2; do
        for scope in array column; do
            encode --bound $bound --scope $scope --chunk 64K --effort fast \
                "$tmp/$name.npy" "$tmp/o.caef"
            decode "$tmp/o.caef" "$tmp/o.npy"
            "$PYTHON" "$tmp/judge.py" "$tmp/$name.npy" "$tmp/o.npy" \
                ${bound%:*} ${bound#*:} $scope || fail "$name at $bound by $scope"
        done
    done
done

say "threads"
for threads in 1 2 5; do
    encode --bound rel:1e-3 --chunk 16K --threads $threads "$tmp/field.npy" "$tmp/$threads.caef"
    decode --threads $threads "$tmp/$threads.caef" "$tmp/$threads.npy"
    cmp "$tmp/1.caef" "$tmp/$threads.caef" || fail "the object depends on the threads"
    cmp "$tmp/1.npy" "$tmp/$threads.npy" || fail "decoding depends on the threads"
done

say "raw values"
encode --bound abs:0.1 --dtype f32 --dims 200,300 "$tmp/field.dat" "$tmp/raw.caef"
encode --bound abs:0.1 "$tmp/field.npy" "$tmp/npy.caef"
decode "$tmp/raw.caef" "$tmp/raw.dat"
decode "$tmp/npy.caef" "$tmp/npy.npy"
tail -c +129 "$tmp/npy.npy" | cmp - "$tmp/raw.dat" || fail "raw and .npy differ"
"$CAEFS" encode --dtype f32 --dims 7,7 "$tmp/field.dat" "$tmp/o.caef" 2>"$tmp/err" >/dev/null
grep -q dims "$tmp/err" || fail "dims that do not fit go unnoticed"

say "json"
"$CAEFS" encode --json --bound rel:1e-3 "$tmp/field.npy" "$tmp/o.caef" >"$tmp/encode.json"
"$CAEFS" decode --json "$tmp/o.caef" "$tmp/o.npy" >"$tmp/decode.json"
"$PYTHON" - "$tmp" <<'PY'
import json, os, sys
d = sys.argv[1]
e, c = (json.load(open(d + "/" + n)) for n in ("encode.json", "decode.json"))
size = os.path.getsize
assert e["output_version"] == c["output_version"] == 1
assert e["input_bytes"] == c["output_bytes"] == size(d + "/field.npy")
assert e["output_bytes"] == size(d + "/o.caef") == c["input_bytes"]
assert abs(e["ratio"] - e["input_bytes"] / e["output_bytes"]) < 1e-9
assert e["bound"] == c["bound"] == "rel:0.001"
assert 0 < e["max_error"] < 0.2 and 0 < e["max_error_over_bound"] <= 1
assert e["encode_seconds"] > 0 and c["decode_seconds"] > 0
assert sum(f["bytes"] for f in e["codec"].values()) < e["output_bytes"]
assert sum(f["values"] for f in e["codec"].values()) == 60000
PY

say "keys"
"$PYTHON" -c '
import sys, numpy as np
a = np.load(sys.argv[1])
np.save(sys.argv[2], a + np.float32(0.1) * np.nan_to_num(a, posinf=0, neginf=0)[::-1])' \
    "$tmp/field.npy" "$tmp/later.npy"
encode --bound rel:1e-3 "$tmp/field.npy" "$tmp/key.caef"
encode --bound rel:1e-3 "$tmp/later.npy" "$tmp/alone.caef"
encode --bound rel:1e-3 --key "$tmp/key.caef" "$tmp/later.npy" "$tmp/later.caef"
[ $(($(stat -c %s "$tmp/later.caef") * 10)) -lt $(($(stat -c %s "$tmp/alone.caef") * 9)) ] ||
    fail "the key is of no use"
decode --key "$tmp/key.caef" "$tmp/later.caef" "$tmp/o.npy"
"$PYTHON" "$tmp/judge.py" "$tmp/later.npy" "$tmp/o.npy" rel 1e-3 array || fail "the bound with a key"
rm "$tmp/o.npy"
fails_with 2 "$CAEFS" decode "$tmp/later.caef" "$tmp/o.npy" 2>"$tmp/err"
grep -q -- --key "$tmp/err" || fail "the message does not say what is missing"
fails_with 2 "$CAEFS" decode --key "$tmp/alone.caef" "$tmp/later.caef" "$tmp/o.npy" 2>"$tmp/err"
fails_with 2 "$CAEFS" encode --key "$tmp/later.caef" "$tmp/field.npy" "$tmp/x.caef" 2>"$tmp/err"
fails_with 2 "$CAEFS" encode --key "$tmp/field.npy" "$tmp/field.npy" "$tmp/x.caef" 2>"$tmp/err"

say "failures"
size=$(stat -c %s "$tmp/o.caef")
for length in 0 5 $((size / 2)) $((size - 1)); do
    head -c $length "$tmp/o.caef" >"$tmp/cut.caef"
    fails_with 2 "$CAEFS" decode "$tmp/cut.caef" "$tmp/o.npy" 2>"$tmp/err"
    grep -q cut.caef "$tmp/err" || fail "the message does not name the file"
done
for place in 10 $((size / 2)) $((size - 20)); do
    "$PYTHON" -c '
import sys
b = bytearray(open(sys.argv[1], "rb").read()); b[int(sys.argv[3])] ^= 64
open(sys.argv[2], "wb").write(b)' "$tmp/o.caef" "$tmp/bad.caef" $place
    fails_with 2 "$CAEFS" decode "$tmp/bad.caef" "$tmp/o.npy" 2>"$tmp/err"
done
printf '\xca\xef\x63%200s' x >"$tmp/newer.caef"
fails_with 2 "$CAEFS" decode "$tmp/newer.caef" "$tmp/o.npy" 2>"$tmp/err"
grep -q 'format 99' "$tmp/err" || fail "a newer version is not named"
fails_with 4 "$CAEFS" encode "$tmp/not-there" "$tmp/x.caef" 2>"$tmp/err"
fails_with 4 "$CAEFS" encode "$tmp/field.npy" "$tmp/no-such-directory/x.caef" 2>"$tmp/err"
fails_with 2 "$CAEFS" encode --model "$tmp/text" "$tmp/field.npy" "$tmp/x.caef" 2>"$tmp/err"
grep -q text "$tmp/err" || fail "the message does not name the model"
fails_with 4 "$CAEFS" encode -q "$tmp/field.npy" /dev/full 2>"$tmp/err"
for wrong in "--bound much" "--bound abs:-1" "--scope row" "--dtype f33" "--dims 3,x" \
    "--effort some" "--codec zip" "--threads 0" "--chunk 1G" "--no-such" ""; do
    # shellcheck disable=SC2086 # the words are the arguments
    fails_with 1 "$CAEFS" encode $wrong "$tmp/field.npy" 2>"$tmp/err"
done
fails_with 1 "$CAEFS" decode "$tmp/o.caef" 2>"$tmp/err"
[ ! -e "$tmp/o.npy" ] && [ ! -e "$tmp/x.caef" ] || fail "a failure left its output"
ls "$tmp" | grep -E '(caef|npy)\.[A-Za-z0-9]{6}$' && fail "a temporary file was left"
exit 0
