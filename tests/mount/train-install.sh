#!/usr/bin/env bash
# Goal of this test: caefs train installs what pays, by itself, for a directory on a
# mount and for the same one in a store that is not mounted; files written afterwards
# become smaller by it; a directory where nothing pays is left alone; the store knows how
# a model was trained, and does not remove one that a directory or a file needs.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
mkdir "$mnt/d" "$mnt/plain"
"$CAEFS" set bound=pwrel:0.1 "$mnt"
"$PYTHON" - "$mnt" "$tmp" <<'EOF'
import sys, numpy as np
r = np.random.default_rng(1)
def blocks(n):
    shape = np.abs(np.sin(np.arange(64) * 12.9898) * 43758.5453) % 1 + 0.5
    level = r.uniform(1, 4, size=(n, 1))
    return (level * shape ** level).ravel().astype("f4")
for i in range(4):
    np.save(sys.argv[1] + "/d/%d.npy" % i, blocks(2000))
np.save(sys.argv[1] + "/plain/ramp.npy", np.linspace(1, 2, 100000))
np.save(sys.argv[2] + "/new.npy", blocks(2000))
EOF
"$CAEFS" sync "$mnt"
quick=(--progress never --layers 64,16,1 --epochs 40 --time-limit 120)

cp "$tmp/new.npy" "$mnt/d/before.npy"
"$CAEFS" sync "$mnt"
"$CAEFS" train "${quick[@]}" "$mnt/d" >"$tmp/log"
grep -q 'installed' "$tmp/log" || fail "nothing is installed: $(cat "$tmp/log")"
first=$("$CAEFS" get model "$mnt/d" | cut -f 3)
"$CAEFS" model list "$mnt" | grep -q "$first" || fail "the model is not in the store"
cp "$tmp/new.npy" "$mnt/d/after.npy"
"$CAEFS" sync "$mnt"
stored() {
    "$CAEFS" stat --json "$mnt/d/$1" |
        "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["paths"][0]["stored_bytes"])'
}
[ "$(stored after.npy)" -lt "$(stored before.npy)" ] || fail "the model changes nothing"

# The record came along over the mount, and the model is not removed.
"$CAEFS" model show --json "$mnt" "$first" >"$tmp/show"
"$PYTHON" - "$tmp/show" <<'END' || fail "model show: $(cat "$tmp/show")"
import json, sys
m = json.load(open(sys.argv[1]))["model"]
assert m["directories"] == ["/d"] and m["files"] == ["/d/after.npy"], m
assert m["record"]["pays"] and m["record"]["model"] == m["hash"], m
END
fails_with 4 "$CAEFS" model rm "$mnt" "$first" 2>"$tmp/err"
grep -q '/d' "$tmp/err" && grep -q 'after.npy' "$tmp/err" || fail "who needs it? $(cat "$tmp/err")"

"$CAEFS" train "${quick[@]}" "$mnt/plain" >"$tmp/log"
grep -q 'no model pays' "$tmp/log" || fail "a ramp needs a model: $(cat "$tmp/log")"
[ "$("$CAEFS" get model "$mnt/plain" | cut -f 4)" = default ] || fail "a model without use is installed"
cp "$mnt/d/after.npy" "$tmp/served.npy"
unmount_store "$mnt"

"$CAEFS" train "${quick[@]}" --seed 2 "$store:/d" >"$tmp/log"
second=$("$CAEFS" get model "$store:/d" | cut -f 3)
[ "$second" != "$first" ] || fail "training without a mount installs nothing: $(cat "$tmp/log")"
fails_with 4 "$CAEFS" model rm "$store" "$second" 2>"$tmp/err"
grep -q 'property model of /d' "$tmp/err" || fail "a directory's model: $(cat "$tmp/err")"
fails_with 4 "$CAEFS" model rm "$store" "$first" 2>"$tmp/err"
grep -q '/d/after.npy' "$tmp/err" || fail "a file's model: $(cat "$tmp/err")"
# A training that is killed leaves the store as it was.
"$CAEFS" model list --json "$store" >"$tmp/models"
(cd "$store" && find . -type f | sort) >"$tmp/files"
"$CAEFS" train -q --progress never --layers 64,16,1 --epochs 1000000 --time-limit 100 \
    --family cae --seed 3 "$store:/d" &
sleep 1
kill -KILL $!
! wait $! 2>/dev/null || fail "it ended before it was killed"
"$CAEFS" model list --json "$store" | cmp - "$tmp/models" || fail "a killed training leaves a model"
"$CAEFS" fsck -q "$store" || fail "a killed training leaves the store in disorder"
(cd "$store" && find . -type f | sort) | diff - "$tmp/files" || fail "a killed training leaves files"

mount_store "$store" "$mnt"
cmp "$mnt/d/after.npy" "$tmp/served.npy" || fail "the first model's file has other bytes now"
unmount_store "$mnt"
