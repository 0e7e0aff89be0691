#!/usr/bin/env bash
# Goal of this test: the whole path. Datasets are copied onto a mount with
# cp -r, sealed, mounted anew and read with numpy:
# - no value is outside its bound; special values, signs and headers are
#   intact; what is not an array of floats is identical;
# - du is smaller than du --apparent-size.
# A few datasets of each kind; all of them with CAEFS_TEST_LONG=1.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
data=$(shared_data)
make_store "$store"
mount_store "$store" "$mnt"

# subset: prints the directories to copy, each with what names its files
subset() {
    local d
    for d in "$data"/*/; do
        d=$(basename "$d")
        if long_test; then
            echo "$d"
        else
            case $d in
            climate_era | gene_expression | cosmo | baler_cfd | flow | probes)
                echo "$d" ;;
            esac
        fi
    done
}

# round BOUND SOURCE NAME
round() {
    local bound=$1 source=$2 dir=$mnt/$3
    mkdir "$dir"
    "$CAEFS" set "bound=$bound" "$dir"
    cp -r "$source" "$dir/"
}

for d in $(subset); do
    for bound in lossless rel:1e-3; do
        round $bound "$data/$d" "$d-${bound/:/-}"
    done
done
cae=no
if [ -d "$data/cae16" ]; then
    cae=yes
    sources=(yf17_temp sedov_temp)
    long_test && sources=($(ls "$data/cae16"))
    mkdir "$mnt/cae16-pwrel-1e-2"
    "$CAEFS" set bound=pwrel:1e-2 "$mnt/cae16-pwrel-1e-2"
    for d in "${sources[@]}"; do
        cp -r "$data/cae16/$d" "$mnt/cae16-pwrel-1e-2/"
    done
fi
"$CAEFS" sync "$mnt" || fail "sync"
remount_store "$store" "$mnt"

compare() { "$PYTHON" "$abs_top_srcdir/tests/mount/roundtrip.py" "$@" >&2; }
for d in $(subset); do
    for bound in lossless rel:1e-3; do
        compare $bound "$data/$d" "$mnt/$d-${bound/:/-}/$d" || fail "$d at $bound"
    done
done
if [ $cae = yes ]; then
    for d in "${sources[@]}"; do
        compare pwrel:1e-2 "$data/cae16/$d" "$mnt/cae16-pwrel-1e-2/$d" ||
            fail "$d at pwrel:1e-2"
    done
fi

for dir in "$mnt"/*/; do
    stored=$(du -s --block-size=1 "$dir" | cut -f 1)
    apparent=$(du -s --block-size=1 --apparent-size "$dir" | cut -f 1)
    say "$(basename "$dir"): $apparent bytes in $stored"
    [ "$stored" -lt "$apparent" ] || fail "$dir takes $stored for $apparent bytes"
done
"$CAEFS" stat "$mnt" | grep -q ' 0 staged' || fail "files are left staged"
unmount_store "$mnt"
"$CAEFS" scrub "$store" || fail "scrub finds problems"
