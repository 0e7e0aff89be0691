#!/usr/bin/env bash
# Goal of this test: programs that write datasets, each with its own pattern
# of system calls, find their bytes again after sealing and a remount.
# - np.save, np.savez, np.memmap (w+ and r+), tofile, h5py, torch.save;
# - cp, rsync (also --inplace), tar x, dd conv=fsync, install, mv;
# - a mapped file, a file read while others write.
# A writer that is not installed is replaced by one that makes the same calls.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
"$CAEFS" set effort=fast "$mnt"
mkdir "$tmp/plain"

# The same program writes on the mount and on the file system below.
cat >"$tmp/write.py" <<'EOF'
import io, os, struct, sys
import numpy as np
os.chdir(sys.argv[1])
r = np.random.default_rng(3)
a = np.cumsum(r.normal(size=(256, 512)), axis=1).astype("f4")

np.save("c.npy", a)
np.save("f.npy", np.asfortranarray(a))
np.save("strided.npy", a[:, ::2])
np.save("be.npy", a.astype(">f8"))
np.save("half.npy", a.astype("f2"))
np.save("ints.npy", np.arange(10000))
np.save("empty.npy", a[:0])
np.save("scalar.npy", np.float64(3))
np.save("struct.npy", np.zeros(1000, [("x", "f4"), ("n", "i2"), ("y", "f8")]))
a.tofile("raw.f32")
m = np.memmap("new.dat", "f4", "w+", shape=a.shape)
m[:] = a
m.flush()
del m
m = np.lib.format.open_memmap("new.npy", "w+", "f8", a.shape)
m[100:120] = a[100:120]
m[7, 7] = np.nan
del m
np.save("change.npy", a)
m = np.load("change.npy", mmap_mode="r+")
m[3, 4] = 1e30
m[200:202] *= 2
del m

def like_hdf5(name, payload):
    """Data first; the superblock at offset 0 last, twice."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    os.pwrite(fd, b"\x89HDF\r\n\x1a\n" + bytes(88), 0)
    os.pwrite(fd, payload, 2048)
    os.pwrite(fd, b"\x89HDF\r\n\x1a\n" + b"m" * 1392, 0)
    os.pread(fd, 96, 0)
    os.pwrite(fd, b"\x89HDF\r\n\x1a\n" + b"s" * 88, 0)
    os.close(fd)
like_hdf5("like.h5", a.tobytes())

def like_torch(name, payload):
    """writev of records at 64-byte alignment, the directory at the end."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.writev(fd, [b"PK\3\4" + bytes(60), payload[:200_000], payload[200_000:]])
    os.write(fd, bytes(64) + b"PK\1\2" + bytes(389))
    os.close(fd)
like_torch("like.pt", a.tobytes())

def like_netcdf3(name, payload):
    """Read before write at every page of 8192 bytes, the first page last."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    for at in range(0, len(payload), 8192):
        os.lseek(fd, at, os.SEEK_SET)
        os.read(fd, 8192)
        os.lseek(fd, at, os.SEEK_SET)
        os.write(fd, payload[at:at + 8192])
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"CDF\1" + payload[4:8192])
    os.close(fd)
like_netcdf3("like.nc", a.tobytes())

def like_zarr(name, payload):
    """A temporary name, renamed."""
    os.mkdir(name)
    for i in range(4):
        part = payload[i * 100_000:(i + 1) * 100_000]
        with open(name + "/%d.partial" % i, "wb") as f:
            f.write(part)
        os.replace(name + "/%d.partial" % i, name + "/%d" % i)
like_zarr("like.zarr", a.tobytes())

# read while another descriptor writes
w = open("both.npy", "wb", buffering=0)
np.save(w, a)
assert (np.load("both.npy") == a).all()
w.write(b"more")
w.close()
EOF
"$PYTHON" "$tmp/write.py" "$tmp/plain"
"$PYTHON" "$tmp/write.py" "$mnt"

# formats whose own libraries are there; they stamp times, so what they read
# back is compared
for module in h5py torch; do
    "$PYTHON" -c "import $module" >/dev/null 2>&1 ||
        say "no $module here: only the same system calls were made"
done
cat >"$tmp/libraries.py" <<'EOF'
import os, sys
import numpy as np
os.chdir(sys.argv[1])
write = sys.argv[2] == "write"
a = np.cumsum(np.random.default_rng(4).normal(size=(300, 200)), axis=1).astype("f4")
if write:
    np.savez("z.npz", a=a, b=a[:10])
    np.savez_compressed("zc.npz", a=a)
else:
    z = np.load("z.npz")
    assert (z["a"] == a).all() and (z["b"] == a[:10]).all()
    assert (np.load("zc.npz")["a"] == a).all()
try:
    import h5py
except ImportError:
    h5py = None
if h5py and write:
    with h5py.File("x.h5", "w") as f:
        f["plain"] = a
        f.create_dataset("chunked", data=a, chunks=(64, 64))
        f.create_dataset("sums", data=a, chunks=(64, 64), fletcher32=True)
        f.create_dataset("gz", data=a, compression="gzip")
        grow = f.create_dataset("grow", (0, 200), maxshape=(None, 200), chunks=(16, 200), dtype="f4")
        for i in range(0, 300, 100):
            grow.resize(i + 100, 0)
            grow[i:i + 100] = a[i:i + 100]
            f.flush()
    with h5py.File("x.h5", "r+") as f:
        f["plain"][5] = 1.5
elif h5py:
    with h5py.File("x.h5", "r") as f:
        b = a.copy()
        b[5] = 1.5
        assert (f["plain"][:] == b).all()
        for k in ("chunked", "sums", "gz", "grow"):
            assert (f[k][:] == a).all(), k
try:
    import torch
except ImportError:
    torch = None
if torch and write:
    torch.save({"a": torch.from_numpy(a)}, "x.pt")
elif torch:
    assert (torch.load("x.pt")["a"].numpy() == a).all()
EOF
"$PYTHON" "$tmp/libraries.py" "$mnt" write

# commands
src=$tmp/plain
mkdir "$mnt/cp" "$mnt/cp2"
cp -r "$src/." "$mnt/cp/"
cp -r "$mnt/cp/." "$mnt/cp2/"       # within the mount: copy_file_range
tar -C "$src" -cf - . | (mkdir "$mnt/tar" && tar -C "$mnt/tar" -xf -)
mkdir "$mnt/dd"
for f in c.npy raw.f32; do
    dd if="$src/$f" of="$mnt/dd/$f" bs=64k conv=fsync status=none
    install -m 600 "$src/$f" "$mnt/dd/installed-$f"
    cp "$src/$f" "$mnt/dd/moving" && mv "$mnt/dd/moving" "$mnt/dd/moved-$f"
done
if command -v rsync >/dev/null; then
    rsync -a "$src/" "$mnt/rsync/"
    rsync -a --inplace --no-whole-file "$src/" "$mnt/rsync-inplace/"
    touch "$mnt/rsync-inplace/c.npy"
    rsync -a --inplace --no-whole-file "$src/" "$mnt/rsync-inplace/"
    rsync -acn --itemize-changes "$src/" "$mnt/rsync/" >"$tmp/changes"
    [ ! -s "$tmp/changes" ] || fail "rsync would copy again: $(head -3 "$tmp/changes")"
else
    say "no rsync here"
fi

same() {
    local d
    for d in cp cp2 tar rsync rsync-inplace; do
        [ ! -d "$mnt/$d" ] || diff -r "$src" "$mnt/$d" || fail "$1: $d differs"
    done
    (cd "$src" && find . -type f) | while read -r f; do
        cmp "$src/$f" "$mnt/$f" || exit 1
    done || fail "$1: a file written by numpy differs"
    for f in c.npy raw.f32; do
        cmp "$src/$f" "$mnt/dd/$f" || fail "$1: dd"
        cmp "$src/$f" "$mnt/dd/installed-$f" || fail "$1: install"
        cmp "$src/$f" "$mnt/dd/moved-$f" || fail "$1: mv"
    done
    "$PYTHON" "$tmp/libraries.py" "$mnt" read || fail "$1: a library's file"
}
same "as written"
"$CAEFS" sync "$mnt" || fail "sync"
same "sealed"
remount_store "$store" "$mnt"
same "mounted anew"

# updated after sealing, as these programs do it
"$PYTHON" - "$mnt" "$src" <<'EOF'
import os, sys
import numpy as np
for d in sys.argv[1:]:
    m = np.load(d + "/c.npy", mmap_mode="r+")
    m[17, 3:9] = 42
    m.flush()
    del m
    with open(d + "/raw.f32", "ab") as f:
        f.write(b"appended")
    with open(d + "/f.npy", "r+b") as f:
        f.seek(1000)
        f.write(b"in the middle")
EOF
for f in c.npy raw.f32 f.npy; do cmp "$src/$f" "$mnt/$f" || fail "updated $f differs"; done
"$CAEFS" sync "$mnt"
remount_store "$store" "$mnt"
for f in c.npy raw.f32 f.npy; do cmp "$src/$f" "$mnt/$f" || fail "sealed update of $f differs"; done
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"
