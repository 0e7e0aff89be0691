"""Readers and writers on one directory, each checking every value that it reads.

    load.py DIRECTORY SECONDS READERS WRITERS

A file is DIRECTORY/NUMBER.npy: the first values of one of a few waves, as many as its version
says, so that whoever loads it knows from the header, which is exact, what the values must be.
Writers replace files by renaming, remove and make them anew, and append to logs; readers load
them whole, map them, and read at random places.  A file that vanishes between two calls is
as it should be.  Prints one line of JSON; exit status 1 with a sentence when a value is wrong.
"""
import errno
import json
import mmap
import multiprocessing
import os
import random
import sys
import time

import numpy as np

FILES = 24
WAVES = 6
LEAST, MOST = 60_000, 400_000
BOUND = 1e-3
HEADER = 128


def wave(k):
    t = np.arange(MOST)
    noise = np.random.default_rng(k).normal(size=MOST) * 0.02
    return (np.sin(t / (50 + 13 * k)) + noise).astype("f4")


def values_of(number, version):
    return LEAST + (number * 7919 + version * 104_729) % (MOST - LEAST)


class Wrong(Exception):
    pass


def check(name, got, expected, reach):
    if got.shape != expected.shape:
        raise Wrong("%s: %s values instead of %s" % (name, got.shape, expected.shape))
    worst = np.abs(got.astype("f8") - expected).max(initial=0)
    if not worst <= reach:
        raise Wrong("%s: off by %g, more than %g" % (name, worst, reach))


class Reader:
    def __init__(self, directory, waves, r):
        self.directory, self.waves, self.random = directory, waves, r

    def expected(self, number, count):
        full = self.waves[number % WAVES]
        part = full[:count]
        return part, BOUND * (float(part.max()) - float(part.min()))

    def whole(self, path, number):
        a = np.load(path)
        e, reach = self.expected(number, len(a))
        check(path, a, e, reach)
        return a.nbytes

    def mapped(self, path, number):
        # np.load opens the file three times, and another may have the name meanwhile.
        with open(path, "rb") as f:
            m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        a = np.frombuffer(m, "f4", offset=HEADER)
        e, reach = self.expected(number, len(a))
        for _ in range(8):
            at = self.random.randrange(len(a))
            check(path, np.array(a[at:at + 4096]), e[at:at + 4096], reach)
        return 8 * 4096 * 4

    def places(self, path, number):
        with open(path, "rb", buffering=0) as f:
            count = (os.fstat(f.fileno()).st_size - HEADER) // 4
            e, reach = self.expected(number, count)
            for _ in range(8):
                at = self.random.randrange(count)
                data = os.pread(f.fileno(), 65536, HEADER + 4 * at)
                check(path, np.frombuffer(data, "f4"), e[at:at + 16384], reach)
        return 8 * 65536

    def step(self):
        number = self.random.randrange(FILES)
        way = self.random.choice((self.whole, self.mapped, self.places))
        try:
            return way(os.path.join(self.directory, "%d.npy" % number), number)
        except FileNotFoundError:
            return 0


class Writer:
    def __init__(self, directory, waves, r, me):
        self.directory, self.waves, self.random, self.me = directory, waves, r, me
        self.version = r.randrange(1 << 20)

    def step(self):
        number = self.random.randrange(FILES)
        path = os.path.join(self.directory, "%d.npy" % number)
        self.version += 1
        a = self.waves[number % WAVES][:values_of(number, self.version)]
        what = self.random.randrange(8)
        if what == 0:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            return 0
        if what == 1:
            with open(os.path.join(self.directory, "log.%d" % self.me), "a") as f:
                f.write("version %d\n" % self.version)
            return 0
        part = path + ".%d.part" % self.me
        with open(part, "wb") as f:
            np.save(f, a)
            if what == 2:
                os.fsync(f.fileno())
        os.replace(part, path)
        return a.nbytes


def run(kind, directory, seconds, me, results):
    waves = [wave(k) for k in range(WAVES)]
    r = random.Random(1000 * me + (kind is Writer))
    worker = kind(directory, waves, r, me) if kind is Writer else kind(directory, waves, r)
    steps = moved = 0
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            moved += worker.step()
            steps += 1
    except Exception as e:  # whatever it is, it must be told
        name = errno.errorcode.get(getattr(e, "errno", None), "")
        results.put((kind.__name__, steps, moved, "%s %s" % (name, e)))
        return
    results.put((kind.__name__, steps, moved, ""))


def main():
    directory, seconds, readers, writers = sys.argv[1], *map(int, sys.argv[2:])
    results = multiprocessing.Queue()
    first = Writer(directory, [wave(k) for k in range(WAVES)], random.Random(1), 0)
    for _ in range(2 * FILES):
        first.step()
    kinds = [Reader] * readers + [Writer] * writers
    workers = [multiprocessing.Process(target=run, args=(kind, directory, seconds, me, results))
               for me, kind in enumerate(kinds)]
    for w in workers:
        w.start()
    out = {"Reader": [0, 0], "Writer": [0, 0]}
    wrong = []
    for _ in workers:
        kind, steps, moved, error = results.get()
        out[kind][0] += steps
        out[kind][1] += moved
        if error:
            wrong.append("%s: %s" % (kind, error))
    for w in workers:
        w.join()
    print(json.dumps({"read": out["Reader"], "written": out["Writer"], "wrong": wrong}))
    sys.exit(1 if wrong else 0)


main()
