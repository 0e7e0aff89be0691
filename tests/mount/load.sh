#!/usr/bin/env bash
# Goal of this test: eight readers and two writers on one directory, sealed beneath them.
# - no call fails, and every value that is read is within the bound;
# - memory stays within the limit of the cache and what the workers need, and does not
#   grow; descriptors do not; nothing is left in staging once all is sealed;
# - the store is whole afterwards.
# Ten minutes in the long form.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt
seconds=${CAEFS_TEST_SECONDS:-8}
! long_test || seconds=${CAEFS_TEST_SECONDS:-600}
cache_mib=32
make_store "$store"
mount_store "$store" "$mnt" -o "cache=${cache_mib}M"
daemon=${mount_pids[$mnt]}
"$CAEFS" set bound=rel:1e-3 effort=fast "$mnt"

resident() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status"; } # KiB
descriptors() { find "/proc/$daemon/fd" -type l | wc -l; }
staged() { find "$store/staging" -type f | wc -l; }

before=$(descriptors)
"$PYTHON" "$(dirname "$0")/load.py" "$mnt" "$seconds" 8 2 >"$tmp/result" &
load=$!
: >"$tmp/samples"
while kill -0 $load 2>/dev/null; do
    sleep "$(((seconds + 29) / 30))"
    printf '%s %s %s\n' "$(resident)" "$(descriptors)" "$(staged)" >>"$tmp/samples"
done
wait $load || fail "readers or writers: $(cat "$tmp/result")"
say "$(cat "$tmp/result")"
say "KiB resident, descriptors, staging files: $(sed -n '1p;$p' "$tmp/samples" | paste -sd' ')"

"$CAEFS" sync "$mnt"
# What was replaced must be closed, or its space is not free; the kernel gives a handle back
# some time after the close.  An object is kept open for each of the 24 files at most.
removed() { find "/proc/$daemon/fd" -lname '*(deleted)' | wc -l; }
for _ in $(seq 100); do
    [ "$(removed)" != 0 ] || break
    sleep 0.1
done
[ "$(removed)" = 0 ] || fail "$(removed) removed files are still open"
[ "$(descriptors)" -le $((before + 30)) ] ||
    fail "$before descriptors before, $(descriptors) after"

# A sanitizer keeps what is freed, and a shadow of all that was ever used.
if ! grep -qE '__(asan|tsan)_init' "$CAEFS"; then
    "$PYTHON" - "$tmp/samples" $(((cache_mib + 160) << 10)) <<'EOF' || fail "memory: $(cat "$tmp/samples")"
import sys
rows = [list(map(int, line.split())) for line in open(sys.argv[1])]
resident = [row[0] for row in rows]
most = int(sys.argv[2])
assert max(resident) <= most, "%d KiB resident, more than %d" % (max(resident), most)
if len(rows) >= 20:
    third = len(rows) // 3
    early, late = resident[third // 2:third], resident[-third:]
    assert sum(late) / len(late) < 1.15 * sum(early) / len(early) + 4096, "it grows"
    staged = [row[2] for row in rows]
    assert max(staged[-third:]) < 2 * max(staged[:third]) + 20, "staging grows"
EOF
fi

unmount_store "$mnt"
"$CAEFS" fsck "$store" || fail "the store is not whole"
[ "$(staged)" -le 2 ] || fail "$(staged) staging files are left: $(ls "$store/staging")"
