#!/usr/bin/env python3
"""Compares a dataset with its copy on a caefs mount, by numpy alone.

    measure.py [--bound B] [--scope array|column|channel] ORIGINAL MOUNTED

Bound and scope of each top directory are those that are set there, unless
they are given.  Prints a line per top directory: files, original and stored bytes (st_blocks,
as du counts them), ratio, the largest error as a share of the bound, and how
fast the files came through the mount.  Exit status 2 when a value is outside
its bound, a special value changed, or a file that must be identical is not.
"""

import argparse
import os
import sys
import time

import numpy as np

READ_SIZE = 1 << 20


class Mismatch(Exception):
    """A file that does not keep its promise."""


def parse_bound(text):
    """'rel:1e-3' -> ('rel', 0.001); 'lossless' -> ('lossless', 0.0)."""
    kind, _, value = text.partition(":")
    if kind not in ("lossless", "abs", "rel", "pwrel") or (
        (kind == "lossless") != (value == "")
    ):
        sys.exit(f"measure.py: {text}: use lossless, abs:E, rel:E or pwrel:E")
    return kind, float(value or 0)


def finite_range(values):
    """max - min of the finite values, in double precision."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0
    return float(values.max()) - float(values.min())


def scopes(array, scope):
    """Index expressions of the parts of an array that have a range each."""
    by_last_axis = (scope == "column" and array.ndim == 2) or (
        scope == "channel" and array.ndim > 1)
    if by_last_axis:
        return [(Ellipsis, i) for i in range(array.shape[-1])]
    return [Ellipsis]


def same_bits(a, b):
    return a.tobytes() == b.tobytes()


def check_special(x, y):
    """NaNs keep their payload, infinities and the sign of zero are kept."""
    special = ~np.isfinite(x)
    if not same_bits(x[special], y[special]):
        raise Mismatch("a NaN or an infinity changed")
    if not np.isfinite(y[~special]).all():
        raise Mismatch("a finite value became NaN or infinite")
    zero = (x == 0) & (y == 0)
    if not (np.signbit(x[zero]) == np.signbit(y[zero])).all():
        raise Mismatch("a zero changed its sign")


def error_over_bound(x, y, bound):
    """The largest |y - x| as a share of what the bound allows."""
    kind, e = bound
    if same_bits(x, y):
        return 0.0
    if kind == "lossless":
        raise Mismatch("the bits differ and the bound is lossless")
    check_special(x, y)
    finite = np.isfinite(x)
    x = x[finite].astype(np.longdouble)
    y = y[finite].astype(np.longdouble)
    if x.size == 0:
        return 0.0
    error = np.abs(y - x)
    if kind == "pwrel":
        if not (np.sign(x) == np.sign(y)).all():
            raise Mismatch("a zero or a sign changed under pwrel")
        allowed = e * np.abs(x)
    else:
        allowed = np.full_like(
            x, e * finite_range(x) if kind == "rel" else e)
    off = error > 0
    if not off.any():
        return 0.0
    if not (allowed[off] > 0).all():
        raise Mismatch("a value changed that has no room to change")
    return float((error[off] / allowed[off]).max())


def compare_arrays(x, y, bound, scope):
    if x.dtype != y.dtype or x.shape != y.shape:
        raise Mismatch("dtype or shape differ")
    if x.dtype.names:
        return max(compare_arrays(x[n], y[n], bound, scope)
                   for n in x.dtype.names)
    if x.dtype.kind != "f":
        if not same_bits(x, y):
            raise Mismatch("the bytes differ and these are not floats")
        return 0.0
    return max((error_over_bound(x[i], y[i], bound)
                for i in scopes(x, scope)), default=0.0)


def header_length(path):
    with open(path, "rb") as f:
        version = np.lib.format.read_magic(f)
        if version == (1, 0):
            np.lib.format.read_array_header_1_0(f)
        else:
            np.lib.format.read_array_header_2_0(f)
        return f.tell()


def compare_files(original, mounted, bound, scope):
    """The largest error over the bound; Mismatch when it is broken."""
    if os.path.getsize(original) != os.path.getsize(mounted):
        raise Mismatch("the size differs")
    if not original.endswith(".npy"):
        with open(original, "rb") as a, open(mounted, "rb") as b:
            if a.read() != b.read():
                raise Mismatch("the bytes differ and this is no .npy file")
        return 0.0
    n = header_length(original)
    with open(original, "rb") as a, open(mounted, "rb") as b:
        if a.read(n) != b.read(n):
            raise Mismatch("the header differs")
    worst = compare_arrays(np.load(original), np.load(mounted), bound, scope)
    if worst > 1:
        raise Mismatch(f"the error is {worst:.6f} of the bound")
    return worst


def read_all(paths):
    """Seconds to read the files through the mount, once, in order."""
    begun = time.monotonic()
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            while f.read(READ_SIZE):
                pass
    return time.monotonic() - begun


def files_below(top):
    if os.path.isfile(top):
        return [""]
    found = []
    for folder, _, names in os.walk(top):
        found += [os.path.relpath(os.path.join(folder, n), top)
                  for n in names]
    return sorted(found)


def format_bytes(n):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024


class Row:
    """What is known of one directory."""

    def __init__(self, name, bound=""):
        self.name = name
        self.bound = bound
        self.files = self.original = self.stored = 0
        self.worst = self.seconds = 0.0
        self.broken = []

    def add(self, other):
        self.files += other.files
        self.original += other.original
        self.stored += other.stored
        self.seconds += other.seconds
        self.worst = max(self.worst, other.worst)

    def cells(self):
        ratio = f"{self.original / self.stored:.2f}x" if self.stored else "-"
        speed = self.original / 1e6 / self.seconds if self.seconds else 0
        worst = "BROKEN" if self.broken else f"{self.worst:.4f}"
        return (self.name, str(self.files), format_bytes(self.original),
                format_bytes(self.stored), ratio, self.bound, worst,
                f"{speed:.0f} MB/s")


HEADINGS = ("directory", "files", "original", "stored", "ratio", "bound",
            "max error/bound", "read")


def property_of(path, name, default):
    """What is in force at a path of the mount."""
    try:
        return os.getxattr(path, f"user.caefs.effective.{name}").decode()
    except OSError:
        return default


def measure(name, args):
    original = os.path.join(args.original, name)
    mounted = os.path.join(args.mounted, name)
    bound_text = args.bound or property_of(mounted, "bound", "lossless")
    bound = parse_bound(bound_text)
    scope = args.scope or property_of(mounted, "scope", "array")
    row = Row(name, bound_text if scope == "array"
              else f"{bound_text} by {scope}")
    paths = [(os.path.join(original, p) if p else original,
              os.path.join(mounted, p) if p else mounted)
             for p in files_below(original)]
    row.seconds = read_all([m for _, m in paths])
    for o, m in paths:
        row.files += 1
        row.original += os.path.getsize(o)
        row.stored += os.stat(m).st_blocks * 512
        try:
            row.worst = max(row.worst, compare_files(o, m, bound, scope))
        except Mismatch as e:
            row.broken.append(f"{m}: {e}")
        except OSError as e:
            row.broken.append(str(e))
    return row


def print_table(lines):
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(HEADINGS))]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] +
                        [c.rjust(w) for c, w in zip(line[1:], widths[1:])]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bound")
    parser.add_argument("--scope", choices=("array", "column", "channel"))
    parser.add_argument("original")
    parser.add_argument("mounted")
    args = parser.parse_args()

    rows = []
    for name in sorted(os.listdir(args.original)):
        if sys.stderr.isatty():
            print(f"\r\033[Kmeasuring {name}", end="", file=sys.stderr,
                  flush=True)
        rows.append(measure(name, args))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)

    total = Row("total")
    for row in rows:
        total.add(row)
    total.broken = [b for row in rows for b in row.broken]
    print_table([HEADINGS] + [row.cells() for row in rows + [total]])
    for broken in total.broken:
        print(f"BROKEN: {broken}", file=sys.stderr)
    return 2 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
