#!/usr/bin/env bash
# Goal of this test: one object gives the same bytes everywhere. An object that was
# coded with a trained network is decoded
# - by scalar code, with AVX2 and with AVX-512;
# - by decoders that gcc and clang built, from -O1 to -O3 -march=native.
. "$(dirname "$0")/../functions.sh"
requires_python

# Blocks of 512 that repeat with one varying number, and rough data after them, so
# that networks, residuals and patches all have something to do.
"$PYTHON" - "$tmp/data.npy" <<'EOF'
import sys, numpy as np
r = np.random.default_rng(3)
shape = np.abs(np.sin(np.arange(512) * 12.9898) * 43758.5453) % 1 + 0.5
level = r.uniform(1, 4, size=(200, 1))
x = np.concatenate([(level * shape ** level).ravel(), r.standard_normal(20000).cumsum()])
x[::997] = 0
x[7] = np.nan
np.save(sys.argv[1], x)
EOF
"$CAEFS" train -q --bound pwrel:0.05 --family cae --time-limit 60 --epochs 60 \
    --out "$tmp/m.caemodel" "$tmp/data.npy"

decode() { # PROGRAM...: its checksum, under $simd
    CAEFS_SIMD=${simd:-} "$@" >"$tmp/log" 2>&1 || fail "$*: $(cat "$tmp/log")"
    sha256sum <"$tmp/out.npy"
}
installed() { "$CAEFS" decode -q --model "$tmp/m.caemodel" "$tmp/o.caef" "$tmp/out.npy"; }
expect() { # WHAT CHECKSUM
    count=$((count + 1))
    [ "$2" = "$expected" ] || fail "$1 decodes to other bytes"
}

compile() { # NAME COMPILER FLAG...
    local out=$tmp/$1 sources
    shift
    sources=$(sed -n 's/^\t\(.*\.c\) .*/\1/p' "$abs_top_srcdir"/{codec,common}/Makemodule.am)
    # shellcheck disable=SC2046 # flags and names without spaces
    (cd "$abs_top_srcdir" && "$@" -std=gnu17 -D_GNU_SOURCE -ffp-contract=off -pthread -I. \
        -ffunction-sections -Wl,--gc-sections -w \
        -o "$out" tests/tools/decoder.c $sources \
        $(pkg-config --libs libzstd liblzma libxxhash) -lbz2 -lm)
}

for codec in cae auto; do
    "$CAEFS" encode -q --bound pwrel:0.05 --codec $codec --model "$tmp/m.caemodel" \
        "$tmp/data.npy" "$tmp/$codec.caef"
done
"$CAEFS" encode --json --bound pwrel:0.05 --codec cae --model "$tmp/m.caemodel" "$tmp/data.npy" \
    "$tmp/o.caef" | grep -q '"cae"' || fail "the network is not used: this test would say nothing"

declare -A reference
for codec in cae auto; do
    cp "$tmp/$codec.caef" "$tmp/o.caef"
    reference[$codec]=$(decode installed)
done
count=0
for codec in cae auto; do
    cp "$tmp/$codec.caef" "$tmp/o.caef"
    expected=${reference[$codec]}
    for simd in scalar avx2 avx512; do
        expect "$simd" "$(decode installed)"
    done
    unset simd
done
say "$count decodings with other instructions agree"

builds=0
build_and_check() { # NAME COMPILER FLAG...
    compile "$@" || fail "the decoder does not build with ${*:2}"
    builds=$((builds + 1))
    for codec in cae auto; do
        expected=${reference[$codec]}
        expect "${*:2}" "$(decode "$tmp/$1" "$tmp/m.caemodel" "$tmp/$codec.caef" "$tmp/out.npy")"
    done
}
for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null; then
        say "NO $compiler HERE: ITS DECODERS ARE NOT TESTED"
        continue
    fi
    build_and_check $compiler-1 $compiler -O1
    build_and_check $compiler-3 $compiler -O3 -march=native
done
say "$builds builds of the decoder agree"
