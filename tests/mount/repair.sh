#!/usr/bin/env bash
# Goal of this test: caefs fsck --repair mends the structure of a damaged store, tells
# what it did, and deletes nothing that could be data.
# - rows that contradict each other, one kind after the other;
# - files of the store that are gone, cut, or nobody's;
# - a catalogue of which pages are overwritten.
# Each time: fsck finds something (2), --repair mends it (0), then fsck finds nothing, and all
# files that were not damaged are what they were.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
"$CAEFS" set effort=fast key=none "$mnt"
mkdir -p "$mnt/a/b/c" "$mnt/small"
"$PYTHON" - "$mnt" <<'EOF2'
import numpy as np, os, sys
r = np.random.default_rng(1)
mnt = sys.argv[1]
for name in ("top.npy", "a/one.npy", "a/b/two.npy", "a/b/c/three.npy"):
    np.save(mnt + "/" + name, r.normal(size=30_000))
for i in range(300):
    with open(mnt + "/small/%d" % i, "w") as f:
        f.write("number %d\n" % i)
os.link(mnt + "/top.npy", mnt + "/a/link.npy")
os.symlink("../top.npy", mnt + "/a/symlink")
os.setxattr(mnt + "/a", "user.colour", b"red")
EOF2
"$CAEFS" sync "$mnt"
"$CAEFS" set seal=manual "$mnt/a"
head -c 50000 /dev/urandom >"$mnt/a/staged"
(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$tmp/sums"
unmount_store "$mnt"
"$CAEFS" fsck "$store" >/dev/null || fail "fsck finds problems before there are any"
"$CAEFS" fsck --repair "$store" >"$tmp/out" || fail "nothing is wrong, and yet: $(cat "$tmp/out")"
grep -q 'no problem found' "$tmp/out" || fail "nothing to mend: $(cat "$tmp/out")"
[ ! -e "$store/quarantine" ] || fail "a quarantine without need"

# sql FILE STATEMENT...: as somebody would who should not.
sql() {
    "$PYTHON" - "$@" <<'EOF2'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
for statement in sys.argv[2:]:
    c.execute(statement)
c.commit()
EOF2
}

# damaged WHAT TOLD MAY_MISS: $tmp/d was damaged; the repair says TOLD (a pattern), and
# only files that match MAY_MISS (a pattern) are not what they were.
damaged() {
    local status=0
    "$CAEFS" fsck "$tmp/d" >"$tmp/found" 2>&1 || status=$?
    [ $status = 2 ] || fail "$1: fsck ended with $status: $(cat "$tmp/found")"
    "$CAEFS" fsck --repair "$tmp/d" >"$tmp/mended" 2>&1 ||
        fail "$1: the repair ended with $?: $(cat "$tmp/mended")"
    grep -qE "$2" "$tmp/mended" || fail "$1: not told: $(cat "$tmp/mended")"
    "$CAEFS" fsck "$tmp/d" >"$tmp/again" 2>&1 || fail "$1: is left: $(cat "$tmp/again")"
    "$CAEFS" scrub "$tmp/d" >"$tmp/again" 2>&1 || fail "$1: scrub: $(cat "$tmp/again")"
    mount_store "$tmp/d" "$mnt" >/dev/null 2>&1
    (cd "$mnt" && sha256sum --quiet -c "$tmp/sums" 2>/dev/null || true) >"$tmp/differ"
    grep -vE "$3" "$tmp/differ" >"$tmp/wrong" || true
    [ ! -s "$tmp/wrong" ] || fail "$1: $(cat "$tmp/wrong")"
    (cd "$mnt" && find . -print0 | xargs -0 stat >/dev/null) || fail "$1: a name leads nowhere"
    echo new >"$mnt/new" && [ "$(cat "$mnt/new")" = new ] || fail "$1: nothing can be written"
    unmount_store "$mnt" >/dev/null 2>&1
}
fresh() { rm -rf "$tmp/d" && cp -a "$store" "$tmp/d"; }
none='^$'
inode() { "$PYTHON" -c '
import sqlite3, sys
c = sqlite3.connect("file:%s?immutable=1" % sys.argv[1], uri=True)
print(c.execute("SELECT ino FROM dirent WHERE name = CAST(? AS BLOB)", [sys.argv[2]]).fetchone()[0])' \
    "$store/caefs.db" "$1"; }

fresh
sql "$tmp/d/caefs.db" "UPDATE inode SET nlink = 7 WHERE ino = $(inode three.npy)" \
    "UPDATE inode SET nlink = 9 WHERE ino = $(inode b)"
damaged "link counts" 'inode [0-9]+: 1 names, not 7' "$none"

fresh
sql "$tmp/d/caefs.db" "INSERT INTO dirent (parent, name, ino) VALUES (1, x'6768', 99999)"
damaged "a name of nobody" '/gh: inode 99999 is not there' "$none"

fresh
sql "$tmp/d/caefs.db" "DELETE FROM dirent WHERE name = CAST('two.npy' AS BLOB)"
damaged "a file without a name" 'is /lost\+found/#' 'two.npy'
mount_store "$tmp/d" "$mnt" >/dev/null 2>&1
wanted=$(sed -n 's#  ./a/b/two.npy##p' "$tmp/sums")
[ "$(sha256sum <"$mnt/lost+found/#$(inode two.npy)")" = "$wanted  -" ] || fail "it is another one"
unmount_store "$mnt" >/dev/null 2>&1

fresh
sql "$tmp/d/caefs.db" "DELETE FROM dirent WHERE name = CAST('b' AS BLOB)"
damaged "a directory without a name" "inode $(inode b) cannot be reached" '/b/'
mount_store "$tmp/d" "$mnt" >/dev/null 2>&1
[ -f "$mnt/lost+found/#$(inode b)/c/three.npy" ] || fail "what was in it is lost"
unmount_store "$mnt" >/dev/null 2>&1

fresh
sql "$tmp/d/caefs.db" "UPDATE dirent SET parent = $(inode c), name = CAST('bee' AS BLOB) WHERE name = CAST('b' AS BLOB)"
damaged "a ring of directories" 'lost\+found' '/b/'

fresh
sql "$tmp/d/caefs.db" "UPDATE dirent SET name = CAST('x/y' AS BLOB) WHERE ino = $(inode one.npy)"
damaged "a slash in a name" 'no name that a file can have' 'one.npy'

fresh
sql "$tmp/d/caefs.db" "DELETE FROM inode WHERE ino = $(inode one.npy)" \
    "DELETE FROM symlink" "INSERT INTO xattr VALUES (88888, x'61', x'62')"
damaged "rows that are gone" '/a/one.npy: inode' 'one.npy'
grep -q '/a/symlink' "$tmp/mended" || fail "the link's name is not told"
ls "$tmp/d/quarantine" | grep -q object- || fail "the object of a lost inode is not kept"

fresh
sql "$tmp/d/caefs.db" "DELETE FROM object WHERE id = (SELECT object FROM inode WHERE ino = $(inode one.npy))"
damaged "an object's row" '/a/one.npy: what it held' 'one.npy'

fresh
sql "$tmp/d/caefs.db" "DELETE FROM inode WHERE ino = 1"
damaged "no root" 'the root directory' "$none"

fresh
rm "$tmp/d"/staging/*
damaged "a staged file that is gone" '/a/staged: what it held' 'a/staged'

fresh
truncate -s 10000 "$tmp/d"/staging/*
damaged "a staged file that is cut" '10000: so many now' 'a/staged'

fresh
cp "$tmp/d"/staging/* "$tmp/d/staging/777.1"
echo data >"$tmp/d/objects/07/whose"
damaged "files of nobody" 'no file needs it' "$none"
[ "$(cat "$tmp/d/quarantine/object-whose")" = data ] || fail "an orphan is not kept"

fresh
object=$(find "$tmp/d/objects" -type f -size +100k | sort | head -n 1)
truncate -s 1000 "$object"
damaged "an object that is cut" 'object-[0-9]+: it is cut' 'npy'
[ "$(wc -l <"$tmp/wrong")" = 0 ] || fail "more is lost"

fresh
rm -rf "$tmp/d/objects/fe" "$tmp/d/lock"
status=0
"$CAEFS" fsck "$tmp/d" >/dev/null 2>&1 || status=$?
[ $status != 0 ] || fail "directories are missing and nobody says so"
"$CAEFS" fsck --repair "$tmp/d" >"$tmp/mended" || fail "missing directories: $(cat "$tmp/mended")"

# Pages of the catalogue overwritten: what is on the others is there afterwards.
"$PYTHON" - "$CAEFS" "$store" "$tmp/d" <<'EOF2'
import os, random, shutil, sqlite3, subprocess, sys
caefs, store, copy = sys.argv[1:]
database = store + "/caefs.db"
pages = os.path.getsize(database) // 4096
assert pages > 10, pages
def count(path, table):
    c = sqlite3.connect("file:%s/caefs.db?immutable=1" % path, uri=True)
    return c.execute("SELECT count(*) FROM " + table).fetchone()[0]
inodes = count(store, "inode")
rnd = random.Random(99)
left = []
for page in range(pages):
    if page % 9 and "CAEFS_TEST_LONG" not in os.environ:
        continue
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy)
    with open(copy + "/caefs.db", "r+b") as f:
        f.seek(page * 4096)
        f.write(rnd.randbytes(4096))
    r = subprocess.run([caefs, "fsck", copy], capture_output=True, text=True)
    assert r.returncode in (0, 2), (page, r.returncode, r.stdout, r.stderr)
    if r.returncode == 0:
        continue                            # a page that is free
    r = subprocess.run([caefs, "fsck", "--repair", copy], capture_output=True, text=True)
    assert r.returncode == 0, (page, r.returncode, r.stdout, r.stderr)
    assert "caefs.db" in os.listdir(copy + "/quarantine"), page
    r = subprocess.run([caefs, "scrub", copy], capture_output=True, text=True)
    assert r.returncode == 0, (page, r.stdout, r.stderr)
    left.append(count(copy, "inode"))
assert left and min(left) > inodes // 2 and sorted(left)[len(left) // 2] > inodes * 0.9, (inodes, left)
EOF2
