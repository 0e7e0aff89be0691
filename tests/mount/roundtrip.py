"""Compares two trees of .npy files: roundtrip.py BOUND ORIGINAL COPY.

Every value of the copy must be within BOUND of the original's, special values
and signs must have their bits, headers must be identical; files that are not
arrays, and arrays that are not of floats, must be identical."""
import os
import sys

import numpy as np


def limits(bound, x):
    """The largest |x' - x| for every value of x, as float64."""
    mode, _, amount = bound.partition(":")
    finite = np.isfinite(x)
    if mode == "lossless":
        return np.zeros(x.shape)
    if mode == "abs":
        return np.full(x.shape, float(amount))
    if mode == "pwrel":
        return np.abs(x) * float(amount)
    assert mode == "rel", bound
    reach = x[finite].max() - x[finite].min() if finite.any() else 0.0
    return np.full(x.shape, float(amount) * float(reach))


def compare_values(bound, a, b):
    """None, or what is wrong."""
    unsigned = "u%d" % a.dtype.itemsize
    same = a.view(unsigned) == b.view(unsigned)
    if bound == "lossless" or a.dtype.kind != "f":
        return None if same.all() else "%d values differ" % (~same).sum()
    x, y = a.astype("f8"), b.astype("f8")
    special = ~np.isfinite(x) | ((x == 0) & (bound.split(":")[0] == "pwrel"))
    if not same[special].all():
        return "a special value lost its bits"
    rest = ~special
    error = np.abs(y[rest] - x[rest])
    worst = error > limits(bound, x)[rest]
    if worst.any() or not np.isfinite(y[rest]).all():
        return "%d values out of bound" % worst.sum()
    if bound.startswith("pwrel") and (np.signbit(y[rest]) != np.signbit(x[rest])).any():
        return "a sign changed"
    return None


def header_size(path):
    with open(path, "rb") as f:
        version = np.lib.format.read_magic(f)
        np.lib.format._read_array_header(f, version)
        return f.tell()


def compare_file(bound, original, copy):
    with open(original, "rb") as f, open(copy, "rb") as g:
        p, q = f.read(), g.read()
    if len(p) != len(q):
        return "another size"
    if bound == "lossless" or not p.startswith(b"\x93NUMPY"):
        return None if p == q else "bytes differ"
    n = header_size(original)
    if p[:n] != q[:n]:
        return "the header differs"
    a = np.load(original)
    if a.dtype.kind not in "f" or not a.dtype.isnative:
        return None if p == q else "bytes differ"
    return compare_values(bound, a.ravel(), np.load(copy).ravel())


def main():
    bound, original, copy = sys.argv[1:]
    files = wrong = 0
    for directory, _, names in os.walk(original):
        for name in names:
            path = os.path.join(directory, name)
            other = os.path.join(copy, os.path.relpath(path, original))
            problem = compare_file(bound, path, other)
            files += 1
            if problem is not None:
                wrong += 1
                print("%s at %s: %s" % (path, bound, problem), file=sys.stderr)
    print("%s: %d files compared, %d wrong" % (bound, files, wrong))
    sys.exit(1 if wrong or not files else 0)


main()
