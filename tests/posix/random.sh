#!/usr/bin/env bash
# Goal of this test: what nobody thought of.
# - random operations on the bytes of one file agree with a copy in memory, while it is
#   staged, sealed, and sealed in the background between two opens;
# - random operations of several processes on one tree fail only where they meet, and
#   the tree is the same after a remount: names, attributes, links, bytes;
# - the store is sound afterwards.
# A failure names its seed: tests/posix/random_io FILE SEED OPERATIONS [COMMAND...]
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root

programs=$abs_top_builddir/tests/posix
seeds=2 operations=500 walkers=3 steps=1500 rounds=2
if long_test; then
    seeds=400 operations=4000 walkers=6 steps=20000 rounds=20
fi

make_store "$tmp/store"
mount_store "$tmp/store" "$tmp/mnt"

# Names that the encoder takes for floats, and one that it does not.
for ((seed = 1; seed <= seeds; seed++)); do
    for name in staged.bin sealed.f32; do
        command=()
        [ $name = staged.bin ] || command=("$CAEFS" sync "$tmp/mnt/$name")
        "$programs/random_io" "$tmp/mnt/$name" $seed $operations "${command[@]}" ||
            fail "$name, seed $seed"
    done
done

# everything: prints what there is to know of the tree.
everything() {
    find . -printf '%p %y %m %U %G %n %s %T@ %C@ %l\n' | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum
    if command -v getfattr >/dev/null; then
        find . -print0 | sort -z | xargs -0r getfattr -hd -m - -e hex
    fi
}

mkdir "$tmp/mnt/tree"
for ((round = 1; round <= rounds; round++)); do
    "$programs/random_names" "$tmp/mnt/tree" $round $steps $walkers || fail "names, seed $round"
    (cd "$tmp/mnt/tree" && everything) >"$tmp/before"
    [ "$(wc -l <"$tmp/before")" -gt 50 ] || fail "hardly anything was made"
    remount_store "$tmp/store" "$tmp/mnt"
    (cd "$tmp/mnt/tree" && everything) >"$tmp/after"
    diff "$tmp/before" "$tmp/after" >&2 || fail "the tree differs after a remount, seed $round"
done
unmount_store "$tmp/mnt"
"$CAEFS" fsck "$tmp/store" || fail "fsck finds problems"
