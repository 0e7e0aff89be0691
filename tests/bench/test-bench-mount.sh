#!/usr/bin/env bash
# Goal of this test: the benchmark of mounts runs, on one file and a few small ones, and every
# row that needs nothing but FUSE and NumPy has a figure; its figures mean nothing here.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

"$PYTHON" "$abs_top_srcdir/tests/bench/mount/measure" --build "$abs_top_builddir" \
    --work "$tmp/work" --files 1 --small 50 --rounds 1 --json "$tmp/figures.json" \
    --only sequential,random-cold,random-warm,copy,small >"$tmp/table" 2>"$tmp/progress" || {
    cat "$tmp/progress" >&2
    fail "the benchmark of mounts does not run"
}
for row in 'sequential, cold .* constant' 'sequential, cold .* ext4' 'second epoch .* constant' \
    'random 64 KiB, cold .* ext4' 'random 4 KiB, chunks warm .* constant' '^| cp .* passthrough' \
    'cp and sync' 'small files: create .* passthrough' 'small files: unlink .* passthrough'; do
    grep -q "$row" "$tmp/table" || fail "no row: $row"
done
"$PYTHON" -c 'import json, sys; json.load(open(sys.argv[1]))' "$tmp/figures.json" || fail "--json"
