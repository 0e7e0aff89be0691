"""What is measured: file systems that can be mounted, made cold, and taken down again.

Each has a PATH below which the files of the set are, and cold(), after which neither the kernel
nor the file system holds their bytes in memory.  Pages are dropped file by file, so nothing else on
the machine is disturbed.
"""
import os
import subprocess
import time


def drop_pages(path):
    """The kernel forgets the pages of a file, or of all files below a directory."""
    if os.path.isdir(path):
        for directory, _, names in os.walk(path):
            for name in names:
                drop_pages(os.path.join(directory, name))
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), (done.stderr or done.stdout).strip()))
    return done.stdout


class Directory:
    """Files on the file system that is there: ext4 with the raw bytes."""

    name = "ext4"

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)

    def cold(self):
        drop_pages(self.path)

    def close(self):
        pass


class Served:
    """A file system that a process of its own serves."""

    def __init__(self, name, path, command, read_ahead_kib=None):
        self.name = name
        self.path = path
        self.command = command
        self.read_ahead_kib = read_ahead_kib
        self.process = None
        os.makedirs(path, exist_ok=True)
        self.mount()

    def mount(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        for _ in range(1000):
            if os.path.ismount(self.path):
                break
            if self.process.poll() is not None:
                raise RuntimeError("%s does not mount" % self.name)
            time.sleep(0.01)
        else:
            raise RuntimeError("%s does not answer" % self.name)
        os.listdir(self.path)
        if self.read_ahead_kib is not None:
            self.raise_read_ahead()

    def raise_read_ahead(self):
        """As caefs does for its own mounts."""
        device = os.stat(self.path).st_dev
        try:
            with open("/sys/class/bdi/%d:%d/read_ahead_kb"
                      % (os.major(device), os.minor(device)), "w", encoding="ascii") as f:
                f.write(str(self.read_ahead_kib))
        except OSError:
            pass

    def unmount(self):
        for _ in range(100):
            if subprocess.run(["fusermount3", "-u", self.path], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            subprocess.run(["fusermount3", "-uz", self.path], check=False)
        self.process.wait(600)

    def close(self):
        if self.process is not None and os.path.ismount(self.path):
            self.unmount()


class Constant(Served):
    """The ceiling: reads are answered from one buffer."""

    def __init__(self, program, path, names, size, read_ahead_kib):
        super().__init__("constant", path, [program, path], read_ahead_kib)
        for name in names:
            with open(os.path.join(path, name), "wb") as f:
                f.truncate(size)

    def cold(self):
        drop_pages(self.path)


class Passthrough(Served):
    def __init__(self, program, below, path, read_ahead_kib):
        os.makedirs(below, exist_ok=True)
        self.below = below
        super().__init__("passthrough", path, [program, below, path], read_ahead_kib)

    def cold(self):
        drop_pages(self.path)
        drop_pages(self.below)


class Caefs(Served):
    def __init__(self, program, store, path, name="caefs"):
        self.program = program
        self.store = store
        if not os.path.exists(os.path.join(store, "caefs.db")):
            run(program, "mkfs", store)
        command = [program, "mount", "-f", "-o", "loglevel=warning", store, path]
        super().__init__(name, path, command)

    def sync(self):
        run(self.program, "sync", "--progress", "never", self.path)

    def cold(self):
        """A new process: the chunks it had decoded are gone with the old one."""
        self.unmount()
        drop_pages(self.store)
        self.mount()


class Image:
    """A kernel's compressing file system in a file, through a loop device."""

    def __init__(self, name, image, path, options):
        self.name = name
        self.image = image
        self.path = path
        self.options = options
        os.makedirs(path, exist_ok=True)
        self.mount()

    def mount(self):
        run("mount", "-o", self.options, self.image, self.path)

    def unmount(self):
        run("umount", self.path)

    def cold(self):
        self.unmount()
        drop_pages(self.image)
        self.mount()

    def close(self):
        if os.path.ismount(self.path):
            self.unmount()


def make_squashfs(raw, image, path):
    if not os.path.exists(image):
        run("mksquashfs", raw, image, "-comp", "zstd", "-b", "128K", "-no-progress", "-quiet")
    return Image("squashfs", image, path, "loop,ro")


def make_btrfs(raw, image, path, size):
    fresh = not os.path.exists(image)
    if fresh:
        with open(image, "wb") as f:
            f.truncate(size + (256 << 20))
        run("mkfs.btrfs", "-q", image)
    mounted = Image("btrfs", image, path, "loop,compress-force=zstd:3")
    if fresh:
        for name in sorted(os.listdir(raw)):
            run("cp", os.path.join(raw, name), path)
        run("sync", "-f", path)
    return mounted
