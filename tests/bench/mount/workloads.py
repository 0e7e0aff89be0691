"""What is done to a mount, and how long it takes.

Reading goes through a buffer that is there already, so that what Python allocates is not
measured.
"""
import os
import random
import time

MIB = 1 << 20


class Stopwatch:
    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def paths(mount, names):
    return [os.path.join(mount.path, name) for name in names]


def read_all(mount, names):
    """GB/s of one stream in steps of 1 MiB."""
    buffer = bytearray(MIB)
    total = 0
    with Stopwatch() as watch:
        for path in paths(mount, names):
            fd = os.open(path, os.O_RDONLY)
            while (got := os.readv(fd, [buffer])) > 0:
                total += got
            os.close(fd)
    return total / watch.seconds / 1e9


def random_places(names, size, step, count, seed):
    """COUNT pairs of a file's number and an offset, multiples of STEP, none twice."""
    per_file = size // step
    chosen = random.Random(seed).sample(range(len(names) * per_file),
                                        min(count, len(names) * per_file))
    return [(place // per_file, place % per_file * step) for place in chosen]


def read_places(mount, names, places, length):
    """Reads a second."""
    buffer = [bytearray(length)]
    fds = [os.open(path, os.O_RDONLY) for path in paths(mount, names)]
    with Stopwatch() as watch:
        for number, offset in places:
            os.preadv(fds[number], buffer, offset)
    for fd in fds:
        os.close(fd)
    return len(places) / watch.seconds


# ---- many small files ---------------------------------------------------------------

def small_names(mount, count):
    return [os.path.join(mount.path, "small%05d" % i) for i in range(count)]


def small_create(mount, count):
    with Stopwatch() as watch:
        for path in small_names(mount, count):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, b"a few bytes\n")
            os.close(fd)
    return count / watch.seconds


def small_stat(mount, count):
    with Stopwatch() as watch:
        for path in small_names(mount, count):
            os.stat(path)
    return count / watch.seconds


def small_list(mount, count):
    """Entries a second, with the attributes of each as ls -l wants them."""
    with Stopwatch() as watch:
        with os.scandir(mount.path) as entries:
            found = sum(1 for entry in entries if entry.stat(follow_symlinks=False).st_size > 0)
    if found < count:
        raise RuntimeError("%s lists %d of %d files" % (mount.name, found, count))
    return count / watch.seconds


def small_open(mount, count):
    buffer = [bytearray(4096)]
    with Stopwatch() as watch:
        for path in small_names(mount, count):
            fd = os.open(path, os.O_RDONLY)
            os.readv(fd, buffer)
            os.close(fd)
    return count / watch.seconds


def small_unlink(mount, count):
    with Stopwatch() as watch:
        for path in small_names(mount, count):
            os.unlink(path)
    return count / watch.seconds


def forget_names():
    """The kernel forgets names and attributes that nobody uses; False when it may not be told."""
    try:
        for _ in range(2):      # what was used lately stays once
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
                f.write("2")
    except OSError:
        return False
    return True
