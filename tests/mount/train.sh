#!/usr/bin/env bash
# Goal of this test: training on a mount. A model is trained for a directory
# and installed; new files use it, and are read back within their bound over a
# remount; the model stays while a file needs it, and can be exported and
# imported elsewhere.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python
"$CAEFS" help train >/dev/null 2>&1 || skip "this caefs has no train"

store=$tmp/store mnt=$tmp/mnt
make_store "$store"
mount_store "$store" "$mnt"
mkdir "$mnt/d"
"$CAEFS" set bound=pwrel:0.1 seal=manual "$mnt/d"

# Blocks of 512 that repeat with one varying number: what an autoencoder with
# one latent learns.
cat >"$tmp/data.py" <<'EOF'
import numpy as np
def data(seed, blocks=300):
    r = np.random.default_rng(seed)
    shape = np.abs(np.sin(np.arange(512) * 12.9898) * 43758.5453) % 1 + 0.5
    level = r.uniform(1, 4, size=(blocks, 1))
    return (level * shape ** level).ravel()
EOF
run() { PYTHONPATH=$tmp "$PYTHON" - "$mnt" "$tmp" "$@"; }
run <<'EOF'
from data import *
import sys
for i in range(3):
    np.save(sys.argv[1] + "/d/%d.npy" % i, data(i))
EOF
"$CAEFS" train --family cae --time-limit 20 --seed 1 --progress never \
    --out "$tmp/m.caemodel" "$mnt/d" >"$tmp/train.log" || fail "train: $(cat "$tmp/train.log")"
cat "$tmp/train.log" >&2

# A model installs itself when it pays; else it is given by hand, so that what
# follows is tested in any case.
if [ "$("$CAEFS" get model "$mnt/d" | cut -f 4)" != local ]; then
    [ -f "$tmp/m.caemodel" ] || fail "training of this data gives no model"
    hash=$("$CAEFS" model import "$mnt" "$tmp/m.caemodel" | tail -n 1)
    "$CAEFS" set "model=$hash" "$mnt/d"
fi
hash=$("$CAEFS" get model "$mnt/d" | cut -f 3)
"$CAEFS" model list "$mnt" | grep -q "$hash" || fail "the model is not listed"
"$CAEFS" model show "$mnt" "$hash" | grep -q cae || fail "model show"
"$CAEFS" set codec=cae "$mnt/d"
run <<'EOF'
from data import *
import sys
np.save(sys.argv[1] + "/d/new.npy", data(100))
EOF
"$CAEFS" sync "$mnt" || fail "sync"
"$CAEFS" stat --json "$mnt/d/new.npy" | "$PYTHON" -c '
import json, sys
d = json.load(sys.stdin)["paths"][0]
assert d["model"] == sys.argv[1], d
assert "cae" in d["codec"], d
assert d["max_error_over_bound"] <= 1, d' "$hash" || fail "the new file does not use the model"

status=0
"$CAEFS" model rm "$mnt" "$hash" 2>/dev/null || status=$?
[ $status -ne 0 ] || fail "a model that is needed was removed"
"$CAEFS" model export "$mnt" "$hash" "$tmp/exported" || fail "export"
remount_store "$store" "$mnt"
run <<'EOF'
from data import *
import sys
x, y = data(100), np.load(sys.argv[1] + "/d/new.npy")
assert (np.abs(y - x) <= 0.1 * np.abs(x)).all() and (x != y).any()
EOF

# elsewhere
make_store "$tmp/other"
mount_store "$tmp/other" "$tmp/mnt2"
[ "$("$CAEFS" model import "$tmp/mnt2" "$tmp/exported" | tail -n 1)" = "$hash" ] || fail "import"
head -c 1000 "$tmp/exported" >"$tmp/bad"
fails_with 2 "$CAEFS" model import "$tmp/mnt2" "$tmp/bad" 2>/dev/null
if cp "$tmp/bad" "$tmp/mnt2/.caefs/models/$hash-" 2>/dev/null ||
    dd if="$tmp/bad" of="$tmp/mnt2/.caefs/models/0123456789abcdef" conv=fsync 2>/dev/null; then
    fail "the mount takes any bytes for a model"
fi
"$CAEFS" model rm "$tmp/mnt2" "$hash" || fail "a model that nothing needs is not removed"
unmount_store "$tmp/mnt2"
[ "$("$CAEFS" model import "$tmp/other" "$tmp/exported" | tail -n 1)" = "$hash" ] || fail "import, no mount"
"$CAEFS" model list --json "$tmp/other" | grep -q "$hash" || fail "list, no mount"
unmount_store "$mnt"

# a model that is gone makes its files EIO and costs nothing else
cp -r "$store" "$tmp/maimed"
"$PYTHON" - "$tmp/maimed/caefs.db" <<'EOF'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute("PRAGMA foreign_keys = OFF")
c.execute("DELETE FROM model")
c.commit()
EOF
mount_store "$tmp/maimed" "$tmp/mnt3"
if cat "$tmp/mnt3/d/new.npy" >/dev/null 2>"$tmp/err"; then
    fail "a file without its model was read"
fi
grep -q 'Input/output error' "$tmp/err" || fail "not EIO: $(cat "$tmp/err")"
echo alive >"$tmp/mnt3/other" && grep -q alive "$tmp/mnt3/other"
unmount_store "$tmp/mnt3"
status=0
"$CAEFS" scrub "$tmp/maimed" >/dev/null 2>&1 || status=$?
[ $status = 2 ] || fail "scrub does not miss the model ($status)"
"$CAEFS" scrub "$store" || fail "scrub finds problems"
