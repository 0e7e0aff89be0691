"""Seconds of each epoch of a PyTorch DataLoader over .npy files.

    loader.py DIRECTORY SAMPLES EPOCHS

Two workers; each sample maps one file anew and copies 16 KiB of it from a random place, as
datasets written without care do.
"""
import os
import sys
import time

import numpy
import torch
from torch.utils.data import DataLoader, Dataset

VALUES = 4096                   # float32: 16 KiB


class Samples(Dataset):
    def __init__(self, directory, count):
        self.paths = sorted(os.path.join(directory, name) for name in os.listdir(directory)
                            if name.endswith(".npy"))
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        choice = numpy.random.default_rng(index)
        array = numpy.load(self.paths[choice.integers(len(self.paths))], mmap_mode="r").reshape(-1)
        at = int(choice.integers(array.size - VALUES))
        return torch.from_numpy(numpy.array(array[at:at + VALUES]))


def main():
    directory, count, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    loader = DataLoader(Samples(directory, count), batch_size=32, shuffle=True, num_workers=2)
    for _ in range(epochs):
        start = time.perf_counter()
        for _ in loader:
            pass
        print("%.6f" % (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
