#!/usr/bin/env bash
# Goal of this test: a full disk costs nothing that was there.
# - writing fails with ENOSPC, not later and silently;
# - all that was written and synced before is intact, also after a remount;
# - files can be removed on the full disk, and then there is room again.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python
requires_root

mkdir "$tmp/disk"
mount -t tmpfs -o size=96m none "$tmp/disk" 2>/dev/null ||
    skip "NOT TESTED: a tmpfs may not be mounted here"
take_disk_down() {
    local i
    for ((i = 0; i < 100; i++)); do
        umount "$tmp/disk" 2>/dev/null && return
        sleep 0.1
    done
    umount -l "$tmp/disk"
}
store=$tmp/disk/store mnt=$tmp/mnt
finish() {
    if [ -n "${mount_pids[$tmp/mnt]:-}" ]; then _take_down "$tmp/mnt" || true; fi
    take_disk_down
}
cleanup_fn finish

make_store "$store"
mount_store "$store" "$mnt"
"$PYTHON" - "$mnt" <<'EOF'
import errno, hashlib, os, sys
mnt = sys.argv[1]
kept = {}
refused = 0
# Bytes that do not compress, so that sealing needs its room too.
for i in range(60):
    data = os.urandom(4_000_000)
    try:
        fd = os.open(mnt + "/%d" % i, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        refused += 1
        continue
    try:
        done = 0
        while done < len(data):
            done += os.write(fd, data[done:])
        os.fsync(fd)
        kept[i] = hashlib.sha256(data).hexdigest()
    except OSError as e:
        assert e.errno == errno.ENOSPC, e
        refused += 1
    finally:
        try:
            os.close(fd)
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
    if refused >= 3:
        break
assert refused >= 3, "the disk never became full"
assert len(kept) >= 3, kept
with open(mnt + "/../kept", "w") as f:
    for i, digest in kept.items():
        f.write("%s  %d\n" % (digest, i))
EOF
(cd "$mnt" && sha256sum -c --quiet "$tmp/kept") || fail "a synced file was lost on the full disk"
remount_store "$store" "$mnt"
(cd "$mnt" && sha256sum -c --quiet "$tmp/kept") || fail "a synced file was lost after a remount"

# room again
first=$(head -n 1 "$tmp/kept" | cut -c 67-)
for f in "$mnt"/*; do [ "$f" = "$mnt/$first" ] || rm "$f" || fail "nothing can be removed"; done
sync -f "$mnt"
head -c 2000000 /dev/urandom >"$tmp/small"
for ((i = 0; i < 100; i++)); do
    cp "$tmp/small" "$mnt/small" 2>/dev/null && break
    sleep 0.1
done
cmp "$tmp/small" "$mnt/small" || fail "there is no room after removing files"
"$CAEFS" sync "$mnt" || fail "sync with room"
unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "fsck finds problems"
