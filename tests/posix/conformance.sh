#!/usr/bin/env bash
# Goal of this test: system calls come to the same on a mount as on ext4.
# - every outcome that the scripts beside this file state: permissions, owners, modes, times,
#   names and paths of every length, links, renames with all flags, open flags, truncation,
#   holes, allocation, locks, extended attributes, ACLs;
# - ACLs are there again after a remount;
# - the store is sound afterwards.
# The same scripts on another file system: tests/posix/posix DIRECTORY SCRIPT...
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root

make_store "$tmp/store"
mount_store "$tmp/store" "$tmp/mnt"
for script in "$abs_top_srcdir"/tests/posix/*.script; do
    "$abs_top_builddir/tests/posix/posix" "$tmp/mnt" "$script" ||
        fail "$(basename "$script") has other outcomes on the mount"
done

if command -v setfacl >/dev/null; then
    mkdir "$tmp/mnt/d"
    setfacl -m u:12:rwx,d:g:34:r-x "$tmp/mnt/d" || fail "setfacl"
    touch "$tmp/mnt/d/f"
    getfacl -nR --absolute-names "$tmp/mnt/d" >"$tmp/before"
    remount_store "$tmp/store" "$tmp/mnt"
    getfacl -nR --absolute-names "$tmp/mnt/d" >"$tmp/after"
    diff "$tmp/before" "$tmp/after" || fail "ACLs differ after a remount"
    grep -q '^group:34:r-x' "$tmp/after" || fail "no ACL was inherited"
else
    say "no setfacl here: ACLs were tested by system calls alone"
fi
unmount_store "$tmp/mnt"
"$CAEFS" fsck "$tmp/store" || fail "fsck finds problems"
