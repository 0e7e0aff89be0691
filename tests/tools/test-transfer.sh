#!/usr/bin/env bash
# Goal of this test: what goes in by import comes out by export as it was.
# - bytes, types, modes, times to the nanosecond, owners, attributes, links of both kinds, holes;
# - properties that come as attributes hold for what is copied below them;
# - what is there already is left alone, what changed is copied again, and an import that is
#   interrupted at any moment goes on;
# - what cannot be copied is named and the rest is; a mounted store is refused in words.
. "$(dirname "$0")/../functions.sh"
requires_python

src=$tmp/src store=$tmp/store
mkdir -p "$src/d/e" "$src/empty"
"$PYTHON" - "$src" <<'PY'
import numpy as np, os, sys
src = sys.argv[1]
x = np.cumsum(np.random.default_rng(1).normal(size=300_000)).astype("f4")
np.save(src + "/d/x.npy", x)
np.save(src + "/d/e/lossy.npy", x)
open(src + "/d/random", "wb").write(os.urandom(300_000))
open(src + "/nothing", "wb").close()
os.link(src + "/d/random", src + "/d/e/hard")
os.symlink("../nowhere", src + "/link")
os.mkfifo(src + "/pipe")
with open(src + "/hole", "wb") as f:
    f.truncate(40_000_000)
    f.seek(20_000_000)
    f.write(b"x")
with open(src + "/a name\nof two lines\x80".encode("latin-1").decode("utf8", "surrogateescape"), "wb") as f:
    f.write(b"odd")
for i in range(300):
    open(src + "/empty/%d" % i, "w").write(str(i))
os.chmod(src + "/d/random", 0o4711)
os.chmod(src + "/d/e", 0o1750)
try:
    os.setxattr(src + "/d", "user.mine", b"\0value")
    os.setxattr(src + "/d/e", "user.caefs.bound", b"rel:1e-3")
except OSError:
    open(src + ".no-xattrs", "w").close()
if os.geteuid() == 0:
    os.chown(src + "/d/x.npy", 12, 34)
os.utime(src + "/d/x.npy", ns=(1, 987654321_123456789))
os.utime(src + "/link", ns=(2, 123456789_987654321), follow_symlinks=False)
os.utime(src + "/d", ns=(3, 555555555_555555555))
PY
# Everything that is to be kept; of the lossy file not the bytes.
picture() {
    (cd "$1" && find . -printf '%P|%y|%m|%s|%T@|%U|%G|%l|%n\0' | sort -z | tr '\0' '\n'
        find . -type f ! -name lossy.npy -print0 | sort -z | xargs -0 sha256sum
        "$PYTHON" - <<'PY'
import os
for d, _, names in sorted(os.walk(b".")):
    for n in [b""] + sorted(names):
        p = os.path.join(d, n) if n else d
        try:
            print(p, [(a, os.getxattr(p, a, follow_symlinks=False))
                      for a in sorted(os.listxattr(p, follow_symlinks=False))])
        except OSError:
            print(p, [])
PY
    )
}
# figure NAME COMMAND...: a number of what the command did.
figure() {
    local name=$1
    shift
    "$@" --json --progress never | "$PYTHON" -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$name"
}

"$CAEFS" mkfs "$store"
"$CAEFS" import "$src" "$store:/data" || fail "import"
"$CAEFS" fsck "$store" || fail "fsck"
"$CAEFS" export "$store:/data/src" "$tmp/out" || fail "export"
picture "$src" >"$tmp/before"
picture "$tmp/out" >"$tmp/after"
diff "$tmp/before" "$tmp/after" >&2 || fail "what comes out is not what went in"
[ "$(du -s "$tmp/out/hole" | cut -f1)" -lt 1000 ] || fail "a hole was filled"
if [ ! -e "$src.no-xattrs" ]; then
    "$CAEFS" stat --json "$store:/data/src/d/e/lossy.npy" | grep -q '"rel:1e-3"\|"rel:0.001"' ||
        fail "the property that came as an attribute does not hold"
    ! cmp -s "$src/d/e/lossy.npy" "$tmp/out/d/e/lossy.npy" || fail "nothing was lost under a bound"
fi

# Judged value by value; a value that is too far off is found, and so is a byte of a header.
"$CAEFS" verify --against "$src" "$store:/data/src" >"$tmp/verdicts" || fail "a bound is broken"
[ "$(grep -c ^holds "$tmp/verdicts")" -ge 300 ] || fail "not every file is judged"
cp -r "$src/d/e" "$tmp/wrong"
"$CAEFS" verify -q --against "$tmp/wrong" "$store:/data/src/d/e" || fail "a copy is judged otherwise"
for at in 400000 3; do
    "$PYTHON" -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(4)
    f.seek(int(sys.argv[2]))
    f.write(bytes(255 - x for x in b))' "$tmp/wrong/lossy.npy" $at
    fails_with 2 "$CAEFS" verify --json --against "$tmp/wrong/lossy.npy" \
        "$store:/data/src/d/e/lossy.npy" >"$tmp/verdict"
    grep -q '"holds": false' "$tmp/verdict" || fail "byte $at is not missed"
    cp "$src/d/e/lossy.npy" "$tmp/wrong/lossy.npy"
done

rm "$tmp/wrong/hard"
fails_with 3 "$CAEFS" verify --against "$tmp/wrong" "$store:/data/src/d/e" 2>"$tmp/err" >/dev/null
grep -q "data/src/d/e/hard" "$tmp/err" || fail "a missing original is not named"

# Again: nothing to do; then what changed.
[ "$(figure bytes "$CAEFS" import "$src" "$store:/data")" = 0 ] || fail "it is copied again"
mkdir "$tmp/into"
[ "$(figure bytes "$CAEFS" export "$store:/data/src" "$tmp/into")" -gt 0 ] || fail "export"
[ -e "$tmp/into/src/hole" ] || fail "export into a directory"
[ "$(figure bytes "$CAEFS" export "$store:/data/src" "$tmp/into")" = 0 ] || fail "it is copied out again"
echo changed >"$src/nothing"
[ "$(figure bytes "$CAEFS" import "$src" "$store:/data")" = 8 ] || fail "what changed is not copied"
"$CAEFS" export "$store:/data/src/nothing" "$tmp/one" || fail "export of one file"
[ "$(cat "$tmp/one")" = changed ] || fail "the changed file"

# What is in SRC; and interrupted at any moment.
"$CAEFS" mkfs "$tmp/second"
timeout -s INT 0.2 "$CAEFS" import "$src/" "$tmp/second:/" >/dev/null 2>&1 || true
"$CAEFS" fsck "$tmp/second" || fail "fsck after an interruption"
"$CAEFS" import "$src/" "$tmp/second:/" || fail "import goes on"
mkdir "$tmp/all"
timeout -s INT 0.1 "$CAEFS" export "$tmp/second:/" "$tmp/all" >/dev/null 2>&1 || true
"$CAEFS" export "$tmp/second:/" "$tmp/all" || fail "export goes on"
picture "$src" | grep -av '|d|' >"$tmp/before"
picture "$tmp/all" | grep -av '|d|' >"$tmp/after"
diff "$tmp/before" "$tmp/after" >&2 || fail "after interruptions it is not what went in"

# What cannot be.
fails_with 3 "$CAEFS" import "$src/nothing" "$tmp/missing" "$store:/more" 2>"$tmp/err"
grep -q "$tmp/missing" "$tmp/err" || fail "the missing one is not named"
[ "$("$CAEFS" export "$store:/more/nothing" "$tmp/two" >/dev/null && cat "$tmp/two")" = changed ] ||
    fail "the rest was not copied"
fails_with 1 "$CAEFS" import "$src" 2>/dev/null
fails_with 1 "$CAEFS" import "$src" "$tmp/nostore:/" 2>/dev/null
status=0
"$CAEFS" import "$src" "$store:/no/such/directory" 2>"$tmp/err" || status=$?
[ $status -ne 0 ] && grep -q "not there" "$tmp/err" || fail "a missing directory"
if [ -c /dev/fuse ] && (exec 3<>/dev/fuse) 2>/dev/null; then
    mount_store "$store" "$tmp/mnt"
    fails_with 4 "$CAEFS" import "$src" "$store:/" 2>"$tmp/err"
    grep -q "mounted" "$tmp/err" || fail "a mounted store is not named as such"
    unmount_store "$tmp/mnt"
fi
