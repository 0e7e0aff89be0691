#!/usr/bin/env bash
# Goal of this test: properties are set, inherited and taken away, by command
# and by extended attribute, on a mount and on a store, and they decide.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"

# get PROPERTY PATH: the value and where it comes from
get() { "$CAEFS" get "$1" "$2" | cut -f 3,4 | tr '\t' ' '; }
expect() {
    local found
    found=$(get "$1" "$2") || fail "get $1 $2"
    [ "$found" = "$3" ] || fail "$1 of $2 is '$found', expected '$3'"
}

mkdir -p "$mnt/a/b"
echo hello >"$mnt/a/b/f"
expect bound "$mnt/a/b" "lossless default"
"$CAEFS" set bound=rel:1e-3 scope=column "$mnt/a"
expect bound "$mnt/a" "rel:1e-3 local"
expect bound "$mnt/a/b/f" "rel:1e-3 inherited from $mnt/a"
expect scope "$mnt/a/b" "column inherited from $mnt/a"
expect bound "$mnt" "lossless default"
"$CAEFS" set bound=lossless "$mnt/a/b"
expect bound "$mnt/a/b/f" "lossless inherited from $mnt/a/b"
"$CAEFS" inherit bound "$mnt/a/b"
expect bound "$mnt/a/b/f" "rel:1e-3 inherited from $mnt/a"
"$CAEFS" get -r all "$mnt" >"$tmp/all"
grep -q "a/b/f.effort" "$tmp/all" || fail "get -r all is not recursive"
"$CAEFS" get --json bound "$mnt/a" | "$PYTHON" -c '
import json, sys
d = json.load(sys.stdin)
assert d["output_version"] >= 1, d
assert d["properties"][0]["source"] == "local", d' || fail "get --json"

# What cannot be set is told in words, by the mount as by the store.
mkdir "$tmp/words"
make_store "$tmp/words/store"
for place in "$mnt/a" "$tmp/words/store:/"; do
    while read -r assignment words; do
        status=0
        "$CAEFS" set "$assignment" "$place" 2>"$tmp/err" || status=$?
        [ $status -ne 0 ] || fail "$assignment is taken"
        grep -q "$words" "$tmp/err" || fail "$assignment: says '$(cat "$tmp/err")'"
    done <<'EOF'
bound=zz use lossless
scope=1 use array
effort=w use fast
codec=nn no such family
model=12 16 hexadecimal
model=0123456789abcdef no such model
dtype=f99 big-endian
dims=a slowest first
layout=q auto, raw or opaque
seal=7 idle:SECONDS
chunk=xx 4K to 64M
key=zz from 2 on
nope=1 no property
EOF
done

# as extended attributes
"$PYTHON" - "$mnt" <<'EOF'
import os, sys
m = sys.argv[1]
assert os.getxattr(m + "/a", "user.caefs.bound") == b"rel:1e-3"
assert os.getxattr(m + "/a/b/f", "user.caefs.effective.bound") == b"rel:1e-3"
os.setxattr(m + "/a", "user.caefs.bound", b"abs:0.5")
assert os.getxattr(m + "/a/b", "user.caefs.effective.bound") == b"abs:0.5"
os.setxattr(m + "/a/b/f", "user.mine", b"\0\1\2" * 1000)
assert os.getxattr(m + "/a/b/f", "user.mine") == b"\0\1\2" * 1000
assert "user.mine" in os.listxattr(m + "/a/b/f")
os.removexattr(m + "/a/b/f", "user.mine")
for name, value in (("user.caefs.bound", b"nonsense"), ("user.caefs.bound", b"rel:-1"),
                    ("user.caefs.no_such", b"1"), ("user.caefs.effective.bound", b"abs:1"),
                    ("user.caefs.stat.state", b"sealed")):
    try:
        os.setxattr(m + "/a", name, value)
    except OSError:
        continue
    raise AssertionError((name, value))
try:
    os.getxattr(m + "/a/b/f", "security.capability")
except OSError:
    pass
EOF
expect bound "$mnt/a" "abs:0.5 local"

# wrong ones: refused with a sentence that says what
for wrong in bound=rel bound=pwrel:0 scope=row nothing=1; do
    status=0
    "$CAEFS" set $wrong "$mnt/a" 2>"$tmp/err" || status=$?
    [ $status -ne 0 ] || fail "$wrong was taken"
    grep -q "^caefs: ." "$tmp/err" || fail "$wrong: no message"
done
expect bound "$mnt/a" "abs:0.5 local"

# they decide: the same data, lossless here and lossy there
"$PYTHON" - "$mnt" <<'EOF'
import numpy as np, os, sys
x = np.cumsum(np.random.default_rng(5).normal(size=200_000)).astype("f4")
for d in ("exact", "lossy"):
    os.mkdir(sys.argv[1] + "/" + d)
os.setxattr(sys.argv[1] + "/lossy", "user.caefs.bound", b"abs:0.01")
os.setxattr(sys.argv[1] + "/lossy", "user.caefs.seal", b"idle:3600")    # not before sync
for d in ("exact", "lossy"):
    np.save(sys.argv[1] + "/%s/x.npy" % d, x)
EOF
# what the page cache held before sealing is not what is served after it
stat -c '%b' "$mnt/lossy/x.npy" >"$tmp/blocks-staged"
"$CAEFS" sync "$mnt"
sha256sum <"$mnt/lossy/x.npy" >"$tmp/sum-sealed"
[ "$(stat -c '%b' "$mnt/lossy/x.npy")" -lt "$(cat "$tmp/blocks-staged")" ] ||
    fail "the blocks of a file that was sealed are those from before"
"$CAEFS" stat --json "$mnt/exact/x.npy" "$mnt/lossy/x.npy" "$mnt" >"$tmp/stat"
remount_store "$store" "$mnt"
sha256sum <"$mnt/lossy/x.npy" | cmp - "$tmp/sum-sealed" ||
    fail "a sealed file is served otherwise after a remount"
"$PYTHON" - "$mnt" "$tmp/stat" <<'EOF'
import json, numpy as np, os, sys
x = np.cumsum(np.random.default_rng(5).normal(size=200_000)).astype("f4")
e, l = (np.load(sys.argv[1] + "/%s/x.npy" % d) for d in ("exact", "lossy"))
assert (e.view("u4") == x.view("u4")).all()
assert (l != x).any() and np.abs(l.astype("f8") - x).max() <= 0.01
exact, lossy, tree = json.load(open(sys.argv[2]))["paths"]
assert exact["state"] == lossy["state"] == "sealed"
assert lossy["bound"] == "abs:0.01" and exact["bound"] == "lossless"
assert 0 < lossy["max_error_over_bound"] <= 1 and lossy["lossy_values"] > 0
assert lossy["stored_bytes"] * 2 < exact["stored_bytes"] <= exact["logical_bytes"]
assert tree["files"] == 3 and tree["states"]["staged"] == 0, tree
blocks = os.stat(sys.argv[1] + "/lossy/x.npy").st_blocks
assert blocks * 512 < lossy["logical_bytes"]
EOF
"$CAEFS" explain "$mnt/lossy/x.npy" >"$tmp/explain" || fail "explain"
grep -q 'abs:0.01' "$tmp/explain" || fail "explain does not say the bound"
grep -q 'f32' "$tmp/explain" || fail "explain does not say the type"
"$CAEFS" explain --json "$mnt/lossy/x.npy" | "$PYTHON" -c '
import json, sys
f = json.load(sys.stdin)["files"][0]
assert sum(r["length"] for r in f["regions"]) == f["logical_bytes"]
assert sum(c["length"] for c in f["chunks"]) == f["logical_bytes"]' || fail "explain --json"
"$CAEFS" df "$mnt" >"$tmp/df" || fail "df"
fails_with 4 "$CAEFS" stat "$mnt/no-such-file" 2>/dev/null
fails_with 3 "$CAEFS" stat "$mnt/lossy/x.npy" "$mnt/no-such-file" >/dev/null 2>&1

# a store that is mounted is not opened behind the mount's back
fails_with 4 "$CAEFS" set bound=abs:1 "$store:/a" 2>"$tmp/err"
grep -q "$mnt" "$tmp/err" || fail "it is not said where the store is mounted"

# without a mount
unmount_store "$mnt"
expect bound "$store:/a/b/f" "abs:0.5 inherited from /a"
"$CAEFS" set bound=pwrel:0.01 effort=fast "$store:/a/b"
expect bound "$store:/a/b/f" "pwrel:0.01 inherited from /a/b"
"$CAEFS" inherit bound "$store:/a"
"$CAEFS" stat "$store:/lossy" | grep -q '1 sealed' || fail "stat of a store"
"$CAEFS" explain "$store:/lossy/x.npy" | grep -q f32 || fail "explain in a store"
"$CAEFS" df --json "$store" | "$PYTHON" -c '
import json, sys
assert json.load(sys.stdin)["stores"][0]["files"] == 3' || fail "df of a store"
mount_store "$store" "$mnt"
expect bound "$mnt/a" "lossless default"
expect effort "$mnt/a/b/f" "fast inherited from $mnt/a/b"
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"
