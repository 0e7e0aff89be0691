"""The files that the mounts are measured with."""
import os

import numpy

SHAPE = (64, 256, 256)          # float32: 16 MiB
CUTOFF = 4.0                    # of viscosity, as in tests/bench/turbulence.c


def turbulence(seed):
    """A Gaussian field with the energy spectrum of turbulence, k^-5/3 in shells."""
    noise = numpy.random.default_rng(seed).standard_normal(SHAPE, dtype=numpy.float32)
    modes = numpy.fft.rfftn(noise)
    axes = [numpy.fft.fftfreq(n) for n in SHAPE[:2]] + [numpy.fft.rfftfreq(SHAPE[2])]
    k = numpy.sqrt(axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2] ** 2)
    k[0, 0, 0] = 1
    modes *= k ** (-11 / 6) * numpy.exp(-CUTOFF * k)
    modes[0, 0, 0] = 0
    field = numpy.fft.irfftn(modes, s=SHAPE)
    return (field / field.std()).astype(numpy.float32)


def make(directory, count):
    """COUNT files in DIRECTORY, those that are there kept; their names."""
    os.makedirs(directory, exist_ok=True)
    names = ["field%04d.npy" % i for i in range(count)]
    for i, name in enumerate(names):
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            numpy.save(path + ".new", turbulence(i))
            os.rename(path + ".new.npy", path)
    return names
