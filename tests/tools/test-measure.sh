#!/usr/bin/env bash
# Goal of this test: the measure of quickstart sees what it must see.
# - the solver makes the same files each time;
# - a perfect copy passes, errors within the bound pass;
# - one value outside its bound, a NaN with another payload, a zero with
#   another sign, a changed header and a changed integer are all found.
. "$(dirname "$0")/../functions.sh"
requires_python

data=$(demo_data)
cp -r "$data" "$tmp/copy"
"$abs_top_builddir/demo/flow" --small --progress never "$tmp/again"
diff -r "$data" "$tmp/again" || fail "the solver is not deterministic"

measure() {
    "$PYTHON" "$abs_top_srcdir/demo/measure.py" --bound "$1" "$data" \
        "$tmp/copy"
}

# change EXPRESSION: on the array a of a field and t of the table.
change() {
    rm -rf "$tmp/copy"
    cp -r "$data" "$tmp/copy"
    (cd "$tmp/copy" && "$PYTHON" -c "
import numpy as np
a = np.load('flow/density_0001.npy')
t = np.load('probes/readings_0001.npy')
m = np.load('flow/cylinder.npy')
r = np.nanmax(a) - np.nanmin(a)
i = np.argwhere(np.isnan(a))[0]
$1
np.save('flow/density_0001.npy', a)
np.save('probes/readings_0001.npy', t)
np.save('flow/cylinder.npy', m)
")
}

measure lossless || fail "a perfect copy"
change 'a[3, 4] += np.float32(0.0009) * r'
measure rel:1e-3 || fail "an error within the bound"

for broken in 'a[3, 4] += np.float32(0.0011) * r' \
    'a.view("u4")[i[0], i[1]] ^= 1' \
    'a[i[0], i[1]] = 1' \
    'a[3, 4] = np.inf' \
    't[0, 0] = np.nan' \
    'm[0, 0] ^= 1' \
    'a = a.T.copy()' \
    'a = a.astype("f8")'; do
    change "$broken"
    fails_with 2 measure rel:1e-3
done
change 't[5, 3] *= 1 + 1.1e-3'
fails_with 2 measure pwrel:1e-3
