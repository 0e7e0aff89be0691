#!/usr/bin/env bash
# Goal of this test: damage is an I/O error where it is, and nowhere else.
# - a flipped byte in an object: EIO for the reads that touch its chunk, the
#   rest of the file and all other files stay readable; scrub names it;
# - a truncated object, an object that is gone;
# - a model that is gone or is another one;
# - a .npy header that lies is data like any other.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
# Small chunks, so that there are many.
"$CAEFS" set chunk=131072 effort=fast "$mnt"
"$PYTHON" - "$mnt" <<'EOF'
import numpy as np, sys
SIZE = 250_000
r = np.random.default_rng(1)
for name in ("flipped", "truncated", "gone", "good"):
    np.save(sys.argv[1] + "/%s.npy" % name, r.normal(size=SIZE))
# headers that lie: about the size, with absurd shapes, without an end
def lie(name, header, payload=b"\0" * 1000):
    header = header.encode("latin1")
    with open(sys.argv[1] + "/" + name, "wb") as f:
        f.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + payload)
lie("lie1.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 9999999999), }\n")
lie("lie2.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (-5,), }\n")
lie("lie3.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000,), }\n")
lie("lie4.npy", "{'descr': '<f8', 'shape': " + "(" * 5000)
lie("lie5.npy", "{'descr': '<f64', 'fortran_order': 3, 'shape': (,,,), }\n")
lie("lie6.npy", "{" + "'descr': '<f8'," * 1000 + "}")
with open(sys.argv[1] + "/lie7.npy", "wb") as f:
    f.write(b"\x93NUMPY\2\0\xff\xff\xff\xff")
with open(sys.argv[1] + "/lie8.npy", "wb") as f:
    f.write(b"\x93NUMPY")
EOF
(cd "$mnt" && sha256sum -- *) >"$tmp/sums"
"$CAEFS" sync "$mnt" || fail "sync"
"$CAEFS" stat "$mnt" | grep -q ' 0 staged' || fail "a hostile header kept a file from sealing"
unmount_store "$mnt"

# object FILE: where the object of a file lies; its number is the only object
# of that many stored bytes
object() {
    local stored
    stored=$("$CAEFS" stat --json "$store:/$1" | "$PYTHON" -c '
import json, sys
print(json.load(sys.stdin)["paths"][0]["stored_bytes"])')
    find "$store/objects" -type f -size "${stored}c"
}
flipped=$(object flipped.npy)
truncated=$(object truncated.npy)
gone=$(object gone.npy)
for f in "$flipped" "$truncated" "$gone"; do [ -f "$f" ] || fail "which object is it? '$f'"; done
"$CAEFS" scrub "$store" >/dev/null || fail "scrub finds problems before there are any"
"$PYTHON" - "$flipped" "$truncated" "$gone" <<'EOF'
import os, sys
flipped, truncated, gone = sys.argv[1:]
for path in (flipped, truncated):
    os.chmod(path, 0o600)
with open(flipped, "r+b") as f:
    at = os.path.getsize(flipped) // 2
    f.seek(at)
    byte = f.read(1)[0]
    f.seek(at)
    f.write(bytes([byte ^ 0x10]))
os.truncate(truncated, os.path.getsize(truncated) * 2 // 3)
os.unlink(gone)
EOF
status=0
"$CAEFS" scrub "$store" >"$tmp/scrub" 2>&1 || status=$?
[ $status = 2 ] || fail "scrub of a damaged store ended with $status"
grep -q . "$tmp/scrub" || fail "scrub says nothing"

mount_store "$store" "$mnt"
"$PYTHON" - "$mnt" "$tmp/sums" <<'EOF'
import errno, hashlib, os, sys
import numpy as np
mnt = sys.argv[1]
SIZE = 250_000
r = np.random.default_rng(1)
names = ("flipped", "truncated", "gone", "good")
original = {n: r.normal(size=SIZE).tobytes() for n in names}
head = 128

def sweep(name):
    """Reads the payload in blocks: how many are right, how many EIO."""
    good = bad = 0
    try:
        fd = os.open(mnt + "/%s.npy" % name, os.O_RDONLY)
    except OSError as e:
        assert e.errno == errno.EIO, e
        return 0, 1
    for at in range(0, 8 * SIZE, 65536):
        n = min(65536, 8 * SIZE - at)
        try:
            data = os.pread(fd, n, head + at)
        except OSError as e:
            assert e.errno == errno.EIO, e
            bad += 1
            continue
        assert data == original[name][at:at + len(data)], (name, at, "wrong bytes")
        if len(data) == n:
            good += 1
        else:                   # the damage begins within
            bad += 1
    os.close(fd)
    return good, bad

good, bad = sweep("flipped")
assert bad > 0 and good > bad, ("flipped", good, bad)
good, bad = sweep("truncated")
assert bad > 0, ("truncated", good, bad)
good, bad = sweep("gone")
assert good == 0, ("gone", good, bad)
assert sweep("good")[1] == 0
for line in open(sys.argv[2]):
    digest, name = line.split()
    if name.startswith("lie") or name == "good.npy":
        with open(mnt + "/" + name, "rb") as f:
            assert hashlib.sha256(f.read()).hexdigest() == digest, name
EOF
# A damaged file can still be named, replaced and removed.
stat "$mnt/gone.npy" >/dev/null || fail "a damaged file cannot be looked at"
cp "$mnt/good.npy" "$mnt/flipped.npy" || fail "a damaged file cannot be replaced"
rm "$mnt/gone.npy" "$mnt/truncated.npy" || fail "a damaged file cannot be removed"
"$CAEFS" sync "$mnt"
unmount_store "$mnt"
"$CAEFS" scrub "$store" || fail "scrub after the damage was removed"
