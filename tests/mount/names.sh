#!/usr/bin/env bash
# Goal of this test: names behave on a mount as on any file system.
# - modes, owners and times stay as they were set, also over a remount;
# - hard links, symbolic links, fifos;
# - rename replaces, refuses and exchanges;
# - names of 255 bytes and of any bytes work, longer ones are refused;
# - a directory of 5000 names lists each exactly once while others go away;
# - the mount's own hidden directory is not listed and cannot be taken.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_python

make_store "$tmp/store"
mount_store "$tmp/store" "$tmp/mnt"
cd "$tmp/mnt"

"$PYTHON" - <<'EOF'
import ctypes, errno, os, stat

def fails(code, f, *a, **k):
    try:
        f(*a, **k)
    except OSError as e:
        assert e.errno == code, (f, a, e)
    else:
        raise AssertionError(("did not fail", f, a))

# modes and times
os.mkdir("d", 0o750)
assert stat.S_IMODE(os.stat("d").st_mode) == 0o750 & ~os.umask(0o022)
os.umask(0o027)
with open("f", "wb") as f:
    f.write(b"x" * 10)
assert stat.S_IMODE(os.stat("f").st_mode) == 0o640
os.chmod("f", 0o604)
os.utime("f", ns=(1_000_000_001, 1_500_000_000_123_456_789))
s = os.stat("f")
assert (stat.S_IMODE(s.st_mode), s.st_mtime_ns, s.st_atime_ns) == \
    (0o604, 1_500_000_000_123_456_789, 1_000_000_001)
if os.geteuid() == 0:
    os.chown("f", 12, 34)
    assert (os.stat("f").st_uid, os.stat("f").st_gid) == (12, 34)
    os.mkdir("shared")
    os.chown("shared", 0, 77)
    os.chmod("shared", 0o2775)
    os.mkdir("shared/sub")
    s = os.stat("shared/sub")
    assert s.st_gid == 77 and s.st_mode & stat.S_ISGID

# links
os.link("f", "g")
assert os.stat("g").st_ino == os.stat("f").st_ino and os.stat("f").st_nlink == 2
with open("g", "ab") as f:
    f.write(b"y")
assert open("f", "rb").read() == b"x" * 10 + b"y"
os.unlink("f")
assert os.stat("g").st_nlink == 1
os.symlink("no/where", "s")
assert os.readlink("s") == "no/where" and os.lstat("s").st_size == 8
fails(errno.ENOENT, os.stat, "s")
fails(errno.EPERM, os.link, "d", "dd")
os.mkfifo("fifo", 0o600)
assert stat.S_ISFIFO(os.stat("fifo").st_mode)

# link counts of directories
assert os.stat("d").st_nlink == 2
os.mkdir("d/e")
assert os.stat("d").st_nlink == 3
fails(errno.ENOTEMPTY, os.rmdir, "d")
fails(errno.EISDIR, os.unlink, "d/e")
fails(errno.ENOTDIR, os.rmdir, "g")
os.rmdir("d/e")
assert os.stat("d").st_nlink == 2

# rename
libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2
def rename(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
for name in "ab":
    with open(name, "w") as f:
        f.write(name)
fails(errno.EEXIST, rename, "a", "b", NOREPLACE)
rename("a", "b", EXCHANGE)
assert (open("a").read(), open("b").read()) == ("b", "a")
rename("a", "c", NOREPLACE)
os.rename("c", "b")
assert open("b").read() == "b" and not os.path.exists("c")
os.mkdir("x"); os.mkdir("x/y"); os.mkdir("z")
fails(errno.EINVAL, os.rename, "x", "x/y/x")
fails(errno.ENOTEMPTY, os.rename, "z", "x")
fails(errno.EISDIR, os.rename, "b", "z")
fails(errno.ENOTDIR, os.rename, "z", "b")
rename("x", "b", EXCHANGE)
assert os.path.isdir("b/y") and open("x").read() == "b"
os.rename("x", "b/y/moved")
assert open("b/y/moved").read() == "b"

# names
long_name = "n" * 255
open(long_name, "w").close()
assert long_name in os.listdir(".")
fails(errno.ENAMETOOLONG, open, "n" * 256, "w")
odd = bytes(range(1, 47)) + bytes(range(48, 256))
for at in range(0, len(odd), 100):
    open(odd[at:at + 100], "wb").close()
listed = os.listdir(b".")
assert all(odd[at:at + 100] in listed for at in range(0, len(odd), 100))

# what is hidden
assert ".caefs" not in os.listdir(".")
assert b"store " in open(".caefs/store", "rb").read()
for f, a in ((os.mkdir, [".caefs"]), (os.rename, ["b", ".caefs"]),
             (os.rename, [".caefs", "q"]), (os.symlink, ["b", ".caefs"]),
             (os.rmdir, [".caefs"])):
    try:
        f(*a)
    except OSError:
        pass
    else:
        raise AssertionError(("took the hidden name", f, a))

# a large directory, listed while names go away
os.mkdir("many")
for i in range(5000):
    open("many/%d" % i, "w").close()
assert sorted(os.listdir("many"), key=int) == [str(i) for i in range(5000)]
seen = []
with os.scandir("many") as entries:
    for n, e in enumerate(entries):
        seen.append(e.name)
        if n == 100:
            for i in range(1, 5000, 2):
                os.unlink("many/%d" % i)
assert len(seen) == len(set(seen)), "a name was listed twice"
assert set(map(str, range(0, 5000, 2))) <= set(seen), "a name was left out"
assert len(os.listdir("many")) == 2500
EOF

stat -c '%n %f %h %u %g %s %Y %i' ./* | LC_ALL=C sort >"$tmp/before"
cd "$tmp"
remount_store "$tmp/store" "$tmp/mnt"
cd "$tmp/mnt"
stat -c '%n %f %h %u %g %s %Y %i' ./* | LC_ALL=C sort >"$tmp/after"
diff "$tmp/before" "$tmp/after" || fail "names or attributes differ after a remount"
[ "$(ls many | wc -l)" = 2500 ] || fail "the large directory differs after a remount"
cd "$tmp"
unmount_store "$tmp/mnt"
"$CAEFS" fsck "$tmp/store" || fail "fsck finds problems"
