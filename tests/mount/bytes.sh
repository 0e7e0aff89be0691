#!/usr/bin/env bash
# Goal of this test: the bytes of a file behave on a mount as on any file
# system, while it is being written, and after it was sealed and mounted anew.
# - truncation both ways, O_TRUNC, holes and seeking them, fallocate;
# - many processes append to one file and nothing is lost;
# - a file that is unlinked while open lives until it is closed;
# - mmap, private and shared, reads and writes, and agrees with read(2);
# - copy_file_range;
# - a file that is not empty never has zero blocks (tar would drop its data).
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

make_store "$tmp/store"
mount_store "$tmp/store" "$tmp/mnt"
"$CAEFS" set effort=fast "$tmp/mnt"
cd "$tmp/mnt"

"$PYTHON" - <<'EOF'
import mmap, os, random

rnd = random.Random(1)
def bytes_(n):
    return rnd.getrandbits(8 * n).to_bytes(n, "little")

# truncation
a = bytes_(300_000)
with open("t", "wb") as f:
    f.write(a)
os.truncate("t", 123_457)
assert open("t", "rb").read() == a[:123_457]
os.truncate("t", 200_000)
assert open("t", "rb").read() == a[:123_457] + bytes(200_000 - 123_457)
with open("t", "r+b") as f:
    f.truncate(10)
    f.seek(20)
    f.write(b"end")
assert open("t", "rb").read() == a[:10] + bytes(10) + b"end"
open("t", "wb").close()
assert os.stat("t").st_size == 0

# writes in any order, odd sizes; every read agrees with a copy in memory
model = bytearray(1 << 20)
with open("r", "w+b", buffering=0) as f:
    f.truncate(1 << 20)
    for i in range(400):
        at = rnd.randrange(1 << 20)
        d = bytes_(rnd.randrange(1, 20_000))[: (1 << 20) - at]
        f.seek(at)
        f.write(d)
        model[at:at + len(d)] = d
        at, n = rnd.randrange(1 << 20), rnd.randrange(1, 30_000)
        f.seek(at)
        assert f.read(n) == model[at:at + n]
assert open("r", "rb").read() == model
open("r.copy", "wb").write(model)

# holes
fd = os.open("h", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"x" * 4096, 8 << 20)
os.pwrite(fd, b"y" * 4096, 0)
assert os.fstat(fd).st_size == (8 << 20) + 4096
at = os.lseek(fd, 4096, os.SEEK_DATA)
assert 4096 <= at <= 8 << 20, at
assert os.lseek(fd, 8 << 20, os.SEEK_DATA) == 8 << 20
hole = os.lseek(fd, 0, os.SEEK_HOLE)
assert 4096 <= hole <= (8 << 20) + 4096, hole
assert os.lseek(fd, 8 << 20, os.SEEK_HOLE) == (8 << 20) + 4096
os.close(fd)
h = open("h", "rb").read()
assert h == b"y" * 4096 + bytes((8 << 20) - 4096) + b"x" * 4096

# fallocate
fd = os.open("p", os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 100_000)
assert os.fstat(fd).st_size == 100_000 and os.pread(fd, 100_000, 0) == bytes(100_000)
os.close(fd)

# unlinked while open
f = open("u", "w+b")
f.write(b"alive")
f.flush()
os.unlink("u")
f.seek(0)
assert f.read() == b"alive" and os.fstat(f.fileno()).st_nlink == 0
f.write(b" and well")
f.seek(0)
assert f.read() == b"alive and well"
f.close()
assert not os.path.exists("u")

# mmap: what one way writes the other way reads
with open("m", "w+b") as f:
    f.truncate(1 << 20)
    m = mmap.mmap(f.fileno(), 1 << 20)
    m[5000:5005] = b"hello"
    assert os.pread(f.fileno(), 5, 5000) == b"hello"
    os.pwrite(f.fileno(), b"world", 600_000)
    assert m[600_000:600_005] == b"world"
    private = mmap.mmap(f.fileno(), 1 << 20, mmap.MAP_PRIVATE)
    private[0:4] = b"mine"
    assert m[0:4] == bytes(4)
    # mapped and closed: the mapping keeps the file
    private.close()
m[700_000:700_004] = b"late"
m.flush()
m.close()
data = open("m", "rb").read()
assert data[5000:5005] == b"hello" and data[600_000:600_005] == b"world"
assert data[700_000:700_004] == b"late" and data[0:4] == bytes(4)

# copy_file_range
with open("r", "rb") as src, open("cfr", "w+b") as dst:
    done = 0
    while done < 1 << 20:
        n = os.copy_file_range(src.fileno(), dst.fileno(), (1 << 20) - done)
        assert n > 0
        done += n
assert open("cfr", "rb").read() == model

# blocks
open("one", "wb").write(b"1")
assert os.stat("one").st_blocks > 0

# a reader sees what a writer in another descriptor has just written
w, r = open("rw", "wb", buffering=0), None
w.write(b"first")
r = open("rw", "rb", buffering=0)
assert r.read() == b"first"
w.write(b" second")
assert r.read() == b" second"
EOF

# many writers append lines; none is lost and none is torn
append() {
    "$PYTHON" -c '
import os, sys
fd = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for i in range(200):
    os.write(fd, ("%s %d %s\n" % (sys.argv[1], i, "z" * 100)).encode())
' "$1"
}
pids=()
for w in a b c d; do
    append $w &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "an appending process failed"; done
[ "$(wc -l <log)" = 800 ] || fail "$(wc -l <log) lines of 800"
[ "$(sort -u log | wc -l)" = 800 ] || fail "lines were lost"
grep -vqE '^[abcd] [0-9]+ z{100}$' log && fail "a line is torn"

sha256sum r r.copy h m cfr log one t >"$tmp/sums"
cd "$tmp"
"$CAEFS" sync "$tmp/mnt" || fail "sync"
(cd "$tmp/mnt" && sha256sum -c --quiet "$tmp/sums") || fail "sealing changed bytes"
remount_store "$tmp/store" "$tmp/mnt"
(cd "$tmp/mnt" && sha256sum -c --quiet "$tmp/sums") || fail "a remount changed bytes"
[ "$(stat -c %b "$tmp/mnt/one")" -gt 0 ] || fail "a sealed file of one byte has no blocks"
tar -C "$tmp/mnt" -cS -f "$tmp/sparse.tar" h r one
mkdir "$tmp/out"
tar -C "$tmp/out" -xf "$tmp/sparse.tar"
for f in h r one; do cmp "$tmp/out/$f" "$tmp/mnt/$f" || fail "tar -S lost data of $f"; done

# holes of a sealed file, and of one that is rewritten
"$PYTHON" - "$tmp/mnt/h" <<'EOF'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
at = 0
data = bytearray(size)
while at < size:
    try:
        at = os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        break
    end = os.lseek(fd, at, os.SEEK_HOLE)
    data[at:end] = os.pread(fd, end - at, at)
    at = end
assert data == os.pread(fd, size, 0), "what is not a hole was left out"
os.pwrite(fd, b"z" * 10, 4 << 20)
assert os.lseek(fd, 4 << 20, os.SEEK_DATA) == 4 << 20
EOF
unmount_store "$tmp/mnt"
"$CAEFS" fsck "$tmp/store" || fail "fsck finds problems"
