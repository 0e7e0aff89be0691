#!/usr/bin/env bash
# Goal of this test: memory does not grow with the tree that somebody walks through.
# - of more names than -o names=N, those of files that nobody uses are taken back from
#   the kernel; open files keep theirs, and everything is found again;
# - a directory of many files can be listed, walked and removed meanwhile.
# With CAEFS_TEST_LONG a hundred thousand files, else a few thousand.
. "$(dirname "$0")/../functions.sh"
requires_fuse

store=$tmp/store mnt=$tmp/mnt
count=3000
! long_test || count=100000
keep=$((count / 10))
make_store "$store"
mount_store "$store" "$mnt" -o names=$keep,seal=idle:3600

names_in_memory() { sed -n 's/^names_in_memory //p' "$mnt/.caefs/stats"; }

# Until no more names are in memory than wanted, for at most 20 seconds.
wait_for_names() {
    local i
    for ((i = 0; i < 200; i++)); do
        [ "$(names_in_memory)" -gt "$keep" ] || return 0
        sleep 0.1
    done
    fail "$1: $(names_in_memory) names are in memory, not $keep"
}

say "making $count files"
mkdir "$mnt/d"
echo used >"$mnt/d/open"
exec 9<"$mnt/d/open"
(cd "$mnt/d" && seq -f 'file%06.0f' "$count" | xargs touch)
wait_for_names "after making them"
[ "$(readlink /proc/$$/fd/9)" = "$mnt/d/open" ] || fail "an open file lost its name"

say "listing"
[ "$(find "$mnt/d" -type f -printf 'x\n' | wc -l)" = $((count + 1)) ] || fail "find"
[ "$(ls -l "$mnt/d" | grep -c file)" = "$count" ] || fail "ls -l"
wait_for_names "after ls -l"
[ "$(cat <&9)" = used ] || fail "reading what was open all the time"
exec 9<&-

say "removing"
rm -r "$mnt/d"
[ -z "$(ls "$mnt")" ] || fail "something is left"
unmount_store "$mnt"
"$CAEFS" fsck -q "$store" || fail "fsck"
