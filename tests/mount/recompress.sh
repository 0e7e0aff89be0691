#!/usr/bin/env bash
# Goal of this test: caefs recompress, on a mount and without.
# - what was stored without loss is encoded under the bound of today, and nothing but its
#   values and its size changes;
# - a looser bound counts from the values written first; an equal one loses nothing more, a
#   tighter one says that it comes too late; --add-loss states the sum;
# - a file that is open is waited for, and its reader sees no change;
# - after it the old model can be removed, and not before.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
mkdir "$mnt/d"
"$PYTHON" - "$tmp" <<'END'
import sys, numpy as np
r = np.random.default_rng(1)
a = np.cumsum(r.standard_normal((200, 300)), axis=1).astype("f4")
np.save(sys.argv[1] + "/a.npy", a)
END
cp "$tmp/a.npy" "$mnt/d/a.npy"
touch -d '2020-01-02 03:04:05' "$mnt/d/a.npy"
"$CAEFS" sync "$mnt"
of() { "$CAEFS" stat --json "$1" | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["paths"][0][sys.argv[1]])' "$2"; }
# within FILE REL: |file - original| <= REL * range
within() {
    "$PYTHON" - "$tmp/a.npy" "$1" "$2" <<'END' || fail "$1 is not within $2"
import sys, numpy as np
x, y = (np.load(f).astype("f8") for f in sys.argv[1:3])
assert np.abs(x - y).max() <= float(sys.argv[3]) * np.ptp(x), np.abs(x - y).max() / np.ptp(x)
END
}

lossless=$(of "$mnt/d/a.npy" stored_bytes)
"$CAEFS" set bound=rel:1e-3 "$mnt/d"
"$CAEFS" recompress --json "$mnt/d" >"$tmp/json"
"$PYTHON" - "$tmp/json" "$lossless" <<'END' || fail "the report: $(cat "$tmp/json")"
import json, sys
p = json.load(open(sys.argv[1]))["paths"][0]
assert p["files"] == p["replaced"] == 1 and p["kept_exactly"] == 0, p
assert p["bytes_before"] == int(sys.argv[2]) > 2 * p["bytes_after"], p
END
within "$mnt/d/a.npy" 1e-3
[ "$(of "$mnt/d/a.npy" bound)" = rel:0.001 ] || fail "the bound: $(of "$mnt/d/a.npy" bound)"
[ "$(stat -c %Y "$mnt/d/a.npy")" = "$(date -d '2020-01-02 03:04:05' +%s)" ] || fail "the time changed"

# The same bound once more loses nothing more, a tighter one cannot bring back anything.
cp "$mnt/d/a.npy" "$tmp/once.npy"
"$CAEFS" recompress "$mnt/d" >"$tmp/log"
cmp "$mnt/d/a.npy" "$tmp/once.npy" || fail "the same bound again moves values"
"$CAEFS" recompress --bound rel:1e-5 "$mnt/d" >"$tmp/log" 2>"$tmp/err"
grep -q 'cannot be restored' "$tmp/err" || fail "a tighter bound is silent: $(cat "$tmp/err")"
cmp "$mnt/d/a.npy" "$tmp/once.npy" || fail "a tighter bound moves values"
[ "$(of "$mnt/d/a.npy" bound)" = rel:0.001 ] || fail "what holds is rel:0.001: $(of "$mnt/d/a.npy" bound)"

# A looser one counts from the first values; a reader keeps what it opened.
exec 3<"$mnt/d/a.npy"
"$CAEFS" recompress --bound rel:1e-2 "$mnt/d" >"$tmp/log" 3<&- &
sleep 1
kill -0 $! || fail "an open file is not waited for"
cmp /proc/self/fd/3 "$tmp/once.npy" || fail "an open file changed"
exec 3<&-
wait $! || fail "recompress after the close"
! cmp -s "$mnt/d/a.npy" "$tmp/once.npy" || fail "a looser bound changes nothing"
within "$mnt/d/a.npy" 1e-2
[ "$(of "$mnt/d/a.npy" bound)" = rel:0.01 ] || fail "the bound: $(of "$mnt/d/a.npy" bound)"
unmount_store "$mnt"

"$CAEFS" recompress --add-loss --bound rel:1e-2 "$store:/d" >"$tmp/log"
bound=$(of "$store:/d/a.npy" bound)
"$PYTHON" -c 'import sys; assert 0.0199 < float(sys.argv[1][4:]) < 0.0205' "$bound" || fail "a sum of $bound"
mount_store "$store" "$mnt"
within "$mnt/d/a.npy" "${bound#rel:}"
"$CAEFS" scrub "$mnt" >/dev/null 2>&1 || true

# models
mkdir "$mnt/m"
"$CAEFS" set bound=pwrel:0.1 "$mnt/m"
"$PYTHON" - "$mnt/m" <<'END'
import sys, numpy as np
r = np.random.default_rng(1)
shape = np.abs(np.sin(np.arange(64) * 12.9898) * 43758.5453) % 1 + 0.5
level = r.uniform(1, 4, size=(3000, 1))
np.save(sys.argv[1] + "/x.npy", (level * shape ** level).ravel().astype("f4"))
END
"$CAEFS" sync "$mnt"
quick=(--progress never --layers 64,16,1 --epochs 30 --time-limit 120 --family cae)
"$CAEFS" train -q "${quick[@]}" "$mnt/m"
old=$("$CAEFS" get model "$mnt/m" | cut -f 3)
"$CAEFS" set codec=cae bound=lossless "$mnt/m"
cp "$mnt/m/x.npy" "$tmp/x.npy"
"$CAEFS" recompress --bound lossless "$mnt/m" >"$tmp/log"
"$CAEFS" set codec=cae bound=pwrel:0.1 "$mnt/m"
cp "$tmp/x.npy" "$mnt/m/y.npy"
"$CAEFS" sync "$mnt"
[ "$(of "$mnt/m/y.npy" model)" = "$old" ] || fail "the model is not used"
cp "$mnt/m/y.npy" "$tmp/y.npy"
"$CAEFS" train -q "${quick[@]}" --seed 2 "$mnt/m"
fails_with 4 "$CAEFS" model rm "$mnt" "$old" 2>"$tmp/err"
grep -q '/m/y.npy' "$tmp/err" || fail "who needs the model? $(cat "$tmp/err")"
"$CAEFS" set codec=auto model=none "$mnt/m"
"$CAEFS" recompress --bound lossless "$mnt/m" >"$tmp/log"
cmp "$mnt/m/y.npy" "$tmp/y.npy" || fail "the values moved"
"$CAEFS" model rm "$mnt" "$old" || fail "the old model stays needed"
unmount_store "$mnt"
"$CAEFS" scrub -q "$store" || fail "scrub finds problems"
