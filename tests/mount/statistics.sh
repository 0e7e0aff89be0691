#!/usr/bin/env bash
# Goal of this test: what a mount says of itself is true.
# - .caefs is not listed; stats, stats.json and totals.json are there, and nobody writes them;
# - operations, bytes, errors and seals that the test makes are counted;
# - the file for Prometheus is well formed, is written again, and once more at the end;
# - df gives the sums of what was copied, on the mount and without it.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

store=$tmp/store mnt=$tmp/mnt metrics=$tmp/metrics.prom
make_store "$store"
mount_store "$store" "$mnt" -o "metrics=$metrics,metrics_interval=0.2"

ls -a "$mnt" | grep -q caefs && fail ".caefs is listed"
# figure NAME: one of stats.json, as a Python expression on it.
figure() {
    "$PYTHON" -c 'import json, sys
j = json.load(open(sys.argv[1]))
print(eval(sys.argv[2], {"j": j}))' "$mnt/.caefs/stats.json" "$1"
}

before=$(figure 'j["operations"].get("create", {"count": 0})["count"]')
for i in 1 2 3; do
    "$PYTHON" -c 'import numpy, sys
numpy.arange(100000, dtype="f4").tofile(sys.argv[1])' "$mnt/a$i.f32"
done
"$CAEFS" sync "$mnt"
[ "$(figure 'j["operations"]["create"]["count"]')" = $((before + 3)) ] || fail "creates"
[ "$(figure 'j["written_bytes"] >= 1200000')" = True ] || fail "bytes written"
[ "$(figure '(j["seals_done"], j["seals_failed"], j["seals_waiting"])')" = "(3, 0, 0)" ] ||
    fail "seals: $(cat "$mnt/.caefs/stats")"
[ "$(figure '(j["files"], j["logical_bytes"], j["staged_files"])')" = "(3, 1200000, 0)" ] ||
    fail "sums: $(cat "$mnt/.caefs/stats")"
[ "$(figure 'j["sealed_bytes"]')" = 1200000 ] || fail "sealed bytes"
[ "$(figure '0 < j["stored_bytes"] < 600000')" = True ] || fail "stored bytes"

# A second read of what is in the cache of decoded chunks is a hit.
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
exec 5<"$mnt/a1.f32"
[ "$(figure 'j["open_files"]')" = 1 ] || fail "open files"
cat <&5 >/dev/null
exec 5<&-
[ "$(figure 'j["cache_misses"] > 0')" = True ] || fail "misses of the cache"

# Errors, by name; the kernel remembers names that are not there, so something else.
"$PYTHON" - "$mnt" <<'PY'
import errno, os, sys
try:
    os.getxattr(sys.argv[1], "user.nothing")
except OSError as e:
    assert e.errno == errno.ENODATA
PY
[ "$(figure 'j["errors"]["ENODATA"] >= 1')" = True ] || fail "errors"
[ "$(figure 'j["operations"]["getxattr"]["count"] >= 1')" = True ] || fail "getxattr"
grep -q '^create  *[0-9]' "$mnt/.caefs/stats" || fail "stats is no table"
grep -q '^seals_done 3$' "$mnt/.caefs/stats" || fail "stats has no figures"
if echo 1 2>/dev/null >"$mnt/.caefs/stats"; then fail "stats can be written"; fi

# check_metrics: every line is one that Prometheus takes, and histograms add up.
check_metrics() {
    "$PYTHON" - "$metrics" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
assert text.endswith("\n")
types, values = {}, {}
for line in text.splitlines():
    m = re.fullmatch(r"# (HELP|TYPE) (caefs_\w+) (.+)", line)
    if m:
        if m[1] == "TYPE":
            assert m[2] not in types, line
            types[m[2]] = m[3]
        continue
    m = re.fullmatch(r'(caefs_\w+)(\{\w+="(?:[^"\\]|\\.)*"(?:,\w+="(?:[^"\\]|\\.)*")*\})? ([0-9.e+-]+)', line)
    assert m, line
    name = re.sub("_(bucket|sum|count)$", "", m[1])
    assert m[1] in types or types[name] == "histogram", line
    assert (m[1], m[2]) not in values, line
    values[m[1], m[2]] = float(m[3])
for (name, label), v in values.items():
    if name.endswith("_bucket") and '+Inf' in label:
        operation = re.search('operation="(\\w+)"', label)[1]
        assert values["caefs_operation_seconds_count", '{operation="%s"}' % operation] == v
assert values["caefs_operation_seconds_count", '{operation="create"}'] == 3
assert values["caefs_seals_done_total", None] == 3
PY
}
for ((i = 0; i < 100; i++)); do
    grep -q '^caefs_seals_done_total 3$' "$metrics" 2>/dev/null && break
    sleep 0.1
done
check_metrics || fail "the metrics are wrong"

# df
check_df() {
    "$CAEFS" df --json "$1" | "$PYTHON" -c 'import json, sys
s = json.load(sys.stdin)["stores"][0]
assert (s["files"], s["logical_bytes"], s["objects"]) == (3, 1200000, 3), s
assert 0 < s["stored_bytes"] < 600000 and s["free_bytes"] > 0, s' || fail "df $1"
}
check_df "$mnt"
ln "$mnt/a1.f32" "$mnt/again.f32"
check_df "$mnt"
rm "$metrics"
unmount_store "$mnt"
[ -s "$metrics" ] || fail "the metrics are not written at the end"
check_metrics || fail "the last metrics are wrong"
[ -z "$(find "$tmp" -name 'metrics.prom.*')" ] || fail "a temporary file stays"
check_df "$store"
