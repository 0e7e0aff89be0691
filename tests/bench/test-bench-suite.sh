#!/usr/bin/env bash
# Goal of this test: make bench works, and its comparison tells noise from news.
# - every program runs (on tiny sizes) and gives whole lines, whatever the figures;
# - compare finds what became slower and what became faster, whichever way the unit
#   goes, and calls neither what lies within the noise; its exit status says so.
# No figure of this machine is judged.
. "$(dirname "$0")/../functions.sh"
requires_python

compare() { "$PYTHON" "$abs_top_srcdir/tests/bench/compare" "$@"; }

say "programs"
for name in object family residual; do
    MALLOC_PERTURB_= BENCH_COMMIT=abc "$abs_top_builddir/tests/bench/bench_$name" --tiny --rounds 3 \
        >"$tmp/$name.csv" || fail "bench_$name"
done
cat "$tmp"/*.csv >"$tmp/all.csv"
awk -F, '!/^name,/ && (NF != 12 || $4 != 3 || !($6 <= $5 && $5 <= $7) || $6 <= 0 || $12 != "abc")' \
    "$tmp/all.csv" >"$tmp/wrong"
[ ! -s "$tmp/wrong" ] || fail "lines that are not whole: $(head -n 3 "$tmp/wrong")"
for wanted in object/rough/fast/1,encode object/smooth/max/2,decode read/balanced/512K, \
    family/lorenzo/fast,predict family/pyramid/max,decode grid/log/f32,inverse residual/3; do
    grep -q "^$wanted" "$tmp/all.csv" || fail "$wanted was not measured"
done
compare "$tmp/all.csv" "$tmp/all.csv" >"$tmp/same" || fail "a run is slower than itself"
grep -qE 'faster|[1-9][0-9]* of [0-9]+ slower' "$tmp/same" && fail "a run differs from itself"
"$abs_top_builddir/tests/bench/bench_family" --tiny --rounds 1 --only grid/bits >"$tmp/only.csv"
[ "$(wc -l <"$tmp/only.csv")" = 4 ] || fail "--only"
fails_with 1 "$abs_top_builddir/tests/bench/bench_family" --rounds 0 2>"$tmp/err"

say "comparisons"
head='name,what,unit,rounds,median,min,max,lower_quartile,upper_quartile,samples,machine,commit'
# row NAME UNIT SAMPLES
row() { printf '%s,encode,%s,7,%s,0,0,0,0,%s,m,c\n' "$1" "$2" "$(echo "$3" | cut -d' ' -f4)" "$3"; }
{
    echo "$head"
    row speed MB/s "97 98 99 100 101 102 103"
    row noisy MB/s "60 75 90 100 110 125 140"
    row time ns/value "9.7 9.8 9.9 10 10.1 10.2 10.3"
    row gone ns/value "1 1 1 1 1 1 1"
} >"$tmp/old.csv"
{
    echo "$head"
    row speed MB/s "117 118 119 120 121 122 123"
    row noisy MB/s "55 70 80 90 105 120 130"
    row time ns/value "7.7 7.8 7.9 8 8.1 8.2 8.3"
    row fresh ns/value "1 1 1 1 1 1 1"
} >"$tmp/new.csv"
compare "$tmp/old.csv" "$tmp/new.csv" >"$tmp/out" || fail "what became faster is called slower"
for line in 'speed .* 1.20x .* faster' 'noisy .* no difference' 'time .* 1.25x .* faster' \
    'gone .*only in the old' 'fresh .*only in the new' '^0 of 4 slower'; do
    grep -qE "$line" "$tmp/out" || fail "compare does not say: $line"
done
fails_with 1 compare "$tmp/new.csv" "$tmp/old.csv" >"$tmp/out"
for line in 'speed .* 0.83x .* slower' 'noisy .* no difference' 'time .* 0.80x .* slower' \
    '^2 of 4 slower'; do
    grep -qE "$line" "$tmp/out" || fail "compare does not say: $line"
done
compare --least 40 "$tmp/new.csv" "$tmp/old.csv" >"$tmp/out" || fail "--least is not heeded"
{
    echo "$head"
    row object/rough/fast/1 MB/s "300 300 300 300 300 300 300"
    row object/rough/zfp/1 MB/s "200 200 200 200 200 200 200"
} >"$tmp/peer.csv"
compare --peer zfp "$tmp/peer.csv" | grep -q '1.50x of zfp' || fail "the peer"
fails_with 2 compare "$tmp/old.csv" "$tmp/not-there" 2>"$tmp/err"
echo "$head" >"$tmp/none.csv"
fails_with 2 compare "$tmp/old.csv" "$tmp/none.csv" 2>"$tmp/err"
exit 0
