#!/usr/bin/env bash
# Goal of this test: a store is mounted as any other file system, and by users.
# - mount -t fuse.caefs, lines of an fstab, mount -a, with what mount(8) and systemd keep for
#   themselves; umount(8);
# - one who is not root mounts through fusermount3 what is his, and others do not see it;
#   what is killed goes away by itself, and caefs umount works for him.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root
requires setpriv
requires fusermount3

# Whatever happens here happens in a mount namespace of its own.
if [ -z "${CAEFS_TEST_INSIDE:-}" ]; then
    unshare -m true 2>/dev/null || skip "unshare -m is not permitted"
    CAEFS_TEST_INSIDE=1 unshare -m --propagation private bash "$0" "$@"
    exit
fi

store=$tmp/store mnt=$tmp/mnt
chmod 755 "$tmp"
mkdir "$mnt"
take_all_down() {
    local m
    for m in "$tmp/mnt" "$tmp/own/mnt"; do
        while grep -q " $m " /proc/self/mounts; do umount -l "$m" || break; done
    done
}
cleanup_fn take_all_down
# wait_for SECONDS COMMAND...
wait_for() {
    local i
    for ((i = 0; i < $1 * 20; i++)); do
        "${@:2}" && return 0
        sleep 0.05
    done
    return 1
}
not_mounted() { ! grep -q " $1 " /proc/self/mounts; }

# ---- as mount(8) does it ----
# It looks for helpers in /sbin alone: a copy with ours is put over it.  The real one is never
# mounted below $tmp, which is removed at the end.
sbin=$(realpath /sbin)
cp -a "$sbin" "$tmp/sbin"
# mount(8) gives it a PATH of its own, in which an installed caefs is.
printf '#!/bin/sh\nPATH=%s:$PATH exec sh %s/tools/mount.fuse.caefs "$@"\n' "$(dirname "$CAEFS")" \
    "$abs_top_srcdir" >"$tmp/helper"
chmod 755 "$tmp/helper"
ln -sf "$tmp/helper" "$tmp/sbin/mount.fuse.caefs"
mount --bind "$tmp/sbin" "$sbin"
make_store "$store"
mount -t fuse.caefs -o noatime,cache=32M "$store" "$mnt" || fail "mount -t fuse.caefs"
grep -q " $mnt fuse.caefs .*noatime" /proc/mounts || fail "options are not passed on"
[ "$(findmnt -no SOURCE "$mnt")" = "$store" ] || fail "the source is not the store"
echo one >"$mnt/file"
umount "$mnt" || fail "umount(8)"
cat >"$tmp/fstab" <<END
$store $mnt fuse.caefs noauto,nofail,_netdev,x-systemd.automount,x-systemd.requires=network.target,nosuid,commit=0.5,log=$tmp/log 0 0
$store $tmp/missing fuse.caefs nofail 0 0
END
# The process of the first mount may still be closing the store: that is waited for.
mount -T "$tmp/fstab" "$mnt" 2>"$tmp/err" || fail "a line of fstab: $(cat "$tmp/err")"
[ "$(cat "$mnt/file")" = one ] || fail "the file is lost"
if mount -o remount,noexec -T "$tmp/fstab" "$mnt" 2>"$tmp/err"; then
    grep -q " $mnt .*noexec" /proc/mounts || fail "remount does nothing and says nothing"
fi
[ "$(grep -c " $mnt " /proc/mounts)" = 1 ] || fail "remount mounts twice"
umount "$mnt"
wait_for 60 not_mounted "$mnt" || fail "umount"
sed -i 's/noauto,//; 2d' "$tmp/fstab"
mount -a -T "$tmp/fstab" 2>"$tmp/err" || fail "mount -a: $(cat "$tmp/err")"
[ "$(cat "$mnt/file")" = one ] || fail "mount -a: the file is lost"
"$CAEFS" umount "$mnt" || fail "caefs umount"
mount -f -t fuse.caefs "$store" "$mnt" || fail "a dry run"
not_mounted "$mnt" || fail "a dry run mounts"

# ---- by one who is not root ----
own=$tmp/own
mkdir "$own"
chown nobody "$own"
user() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"; }
user mkdir "$own/mnt"
user "$CAEFS" mkfs "$own/store"
user "$CAEFS" mount -o "log=$own/log" "$own/store" "$own/mnt" || fail "mount by a user"
user sh -c 'echo his >"$1/mnt/file" && mkdir "$1/mnt/d"' - "$own" || fail "his own mount"
[ "$(user stat -c %U "$own/mnt/file")" = nobody ] || fail "the owner"
grep -q " $own/mnt fuse.caefs .*nosuid,nodev.*user_id=$(id -u nobody)" /proc/mounts || fail "unsafe"
user "$CAEFS" df "$own/mnt" >/dev/null || fail "df of a user's mount"
user "$CAEFS" sync "$own/mnt" || fail "sync of a user's mount"
pid=$(user sed -n 's/^pid //p' "$own/mnt/.caefs/store")
kill -9 "$pid"
wait_for 60 not_mounted "$own/mnt" || fail "a user's killed mount stays"
user "$CAEFS" mount -o "log=$own/log" "$own/store" "$own/mnt" || fail "mount by a user, again"
[ "$(user cat "$own/mnt/file")" = his ] || fail "a user's file is lost"
user "$CAEFS" umount "$own/mnt" || fail "umount by a user"
not_mounted "$own/mnt" || fail "it is there after umount"
# What is another's he cannot have.
status=0
user "$CAEFS" mount "$store" "$own/mnt" 2>"$tmp/err" || status=$?
[ $status -ne 0 ] && [ -s "$tmp/err" ] || fail "a user mounts root's store"
not_mounted "$own/mnt" || fail "a user has mounted root's store"
