#!/usr/bin/env python3
"""File handles as an NFS server uses them: name_to_handle_at(2), open_by_handle_at(2).

    handles.py make MOUNT FILE      makes files and directories, keeps their handles in FILE
    handles.py check MOUNT FILE     opens all of them again, and what must be stale is
"""
import ctypes
import errno
import json
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
HANDLE_MAX = 128


def make_handle(path):
    handle = ctypes.create_string_buffer(8 + HANDLE_MAX)
    ctypes.c_uint.from_buffer(handle).value = HANDLE_MAX
    mount = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount), 0):
        raise OSError(ctypes.get_errno(), "name_to_handle_at", path)
    return handle.raw


def open_handle(mount, handle):
    directory = os.open(mount, os.O_RDONLY)
    fd = libc.open_by_handle_at(directory, handle, os.O_RDONLY)
    error = ctypes.get_errno()
    os.close(directory)
    if fd < 0:
        raise OSError(error, os.strerror(error))
    return fd


def read_handle(mount, handle):
    fd = open_handle(mount, handle)
    data = os.read(fd, 100000)
    os.close(fd)
    return data


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def make(mount, keep):
    os.makedirs(mount + "/a/b/c")
    for i in range(50):
        write(mount + "/a/b/c/f%d" % i, b"%d" % i * 1000)
    handles = {name: make_handle(mount + "/a/b/c/" + name).hex() for name in os.listdir(mount + "/a/b/c")}
    gone = make_handle(mount + "/a/b/c/f7").hex()
    os.unlink(mount + "/a/b/c/f7")
    del handles["f7"]
    write(mount + "/a/b/c/f7", b"another of that name")
    os.rename(mount + "/a/b/c/f8", mount + "/a/moved")
    os.symlink("nowhere", mount + "/a/link")
    state = {"files": handles, "gone": gone, "directory": make_handle(mount + "/a/b").hex(),
             "root": make_handle(mount).hex()}
    with open(keep, "w") as f:
        json.dump(state, f)


def check(mount, keep):
    state = json.load(open(keep))
    for name, handle in state["files"].items():
        data = read_handle(mount, bytes.fromhex(handle))
        assert data == name[1:].encode() * 1000, name
    fd = open_handle(mount, bytes.fromhex(state["directory"]))
    assert os.listdir(fd) == ["c"]
    # The kernel finds the way up by itself, by ".." of directories it does not know.
    assert os.readlink("/proc/self/fd/%d" % fd) == mount + "/a/b"
    os.close(fd)
    fd = open_handle(mount, bytes.fromhex(state["root"]))
    assert os.fstat(fd).st_ino == 1
    os.close(fd)
    try:
        read_handle(mount, bytes.fromhex(state["gone"]))
    except OSError as e:
        assert e.errno == errno.ESTALE, e
    else:
        raise AssertionError("a handle of a removed file opens")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](os.path.realpath(sys.argv[2]), sys.argv[3])
