#!/usr/bin/env bash
# Goal of this test: what takes a program of its own to see.
# - a file that is truncated while it is mapped: SIGBUS behind the end, zeros in its last
#   page; shared and private mappings; an unlinked file that is mapped;
# - eight processes append to one file: no line is lost, torn or out of its writer's order;
# - a large directory: each name once, seekdir(3), names that come and go meanwhile.
# What they leave is there after a remount, and sealed.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root

programs=$abs_top_builddir/tests/posix
names=2000 rounds=1
if long_test; then names=20000 rounds=50; fi

make_store "$tmp/store"
mount_store "$tmp/store" "$tmp/mnt"
mkdir "$tmp/mnt/mapped" "$tmp/mnt/listing"
for ((round = 0; round < rounds; round++)); do
    "$programs/mapped" "$tmp/mnt/mapped" || fail "mapped"
done
"$programs/listing" "$tmp/mnt/listing" $names || fail "listing"

(cd "$tmp/mnt/mapped" && sha256sum ./*) >"$tmp/sums"
"$CAEFS" sync "$tmp/mnt" || fail "sync"
remount_store "$tmp/store" "$tmp/mnt"
(cd "$tmp/mnt/mapped" && sha256sum -c --quiet "$tmp/sums") || fail "bytes differ after sealing"
unmount_store "$tmp/mnt"
"$CAEFS" fsck "$tmp/store" || fail "fsck finds problems"
