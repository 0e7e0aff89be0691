#!/usr/bin/env bash
# Goal of this test: a mount can be exported over NFS.
# - file handles open again after the kernel has forgotten everything, after a remount, after
#   the process was killed, and on a read-only mount; those of removed files are stale,
#   and no other file ever has their number;
# - a real NFS server on the loopback (nfs-ganesha, where it and libnfs's tools are installed)
#   serves what is on the mount, also after both were started again.
. "$(dirname "$0")/../functions.sh"
requires_fuse
requires_root
requires_python

store=$tmp/store mnt=$tmp/mnt
here=$(dirname "$0")
make_store "$store"
mount_store "$store" "$mnt"

# ---- handles ----
handles() { "$PYTHON" "$here/handles.py" "$1" "$mnt" "$tmp/handles"; }
handles make || fail "handles cannot be made"
handles check || fail "handles, at once"
if echo 3 2>/dev/null >/proc/sys/vm/drop_caches; then
    handles check || fail "handles, after the kernel forgot"
else
    say "NOT TESTED: handles after drop_caches (not permitted)"
fi
"$CAEFS" sync "$mnt"
handles check || fail "handles, sealed"
remount_store "$store" "$mnt"
handles check || fail "handles, after a remount"
"$PYTHON" -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.fsync(fd)' "$mnt/synced"
kill_mount "$mnt"
mount_store "$store" "$mnt"
handles check || fail "handles, after a kill"
for ((i = 0; i < 100; i++)); do : >"$mnt/more$i"; done
handles check || fail "handles, after more files were made"
unmount_store "$mnt"
mount_store "$store" "$mnt" -o ro
handles check || fail "handles, read-only"
remount_store "$store" "$mnt"

# ---- a server ----
for program in ganesha.nfsd nfs-ls nfs-cat; do
    if ! command -v $program >/dev/null; then
        say "NOT TESTED: a real NFS server (no $program: apt-get install nfs-ganesha-vfs libnfs-utils)"
        exit 0
    fi
done
port=$("$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
url() { printf 'nfs://127.0.0.1/data%s?version=4&nfsport=%s' "$1" "$port"; }
cat >"$tmp/ganesha.conf" <<END
NFS_CORE_PARAM { Protocols = 4; NFS_Port = $port; Bind_addr = 127.0.0.1;
                 Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; RecoveryBackend = fs; }
EXPORT { Export_Id = 7; Path = $mnt; Pseudo = /data; Access_Type = RW; SecType = sys;
         Squash = No_Root_Squash; Protocols = 4; Filesystem_id = 7.7; FSAL { Name = VFS; } }
END
server=
start_server() {
    local i
    ganesha.nfsd -F -f "$tmp/ganesha.conf" -L "$tmp/ganesha.log" -p "$tmp/ganesha.pid" &
    server=$!
    for ((i = 0; i < 100; i++)); do
        timeout 10 nfs-ls "$(url "")" >/dev/null 2>&1 && return 0
        kill -0 $server 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}
stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null
    _gone "$server" 20 || kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
}
cleanup_fn stop_server
if ! start_server; then
    say "NOT TESTED: the NFS server does not start here: $(tail -n 3 "$tmp/ganesha.log")"
    exit 0
fi
head -c 3000000 /dev/urandom >"$tmp/random"
cp "$tmp/random" "$mnt/a/random"
for round in staged sealed restarted; do
    timeout 60 nfs-cat "$(url /a/random)" | cmp - "$tmp/random" || fail "$round: bytes over NFS"
    timeout 60 nfs-ls -R "$(url "")" >"$tmp/listing" || fail "$round: listing over NFS"
    [ "$(grep -c 'a/b/c/f' "$tmp/listing")" = 49 ] || fail "$round: names over NFS"
    case $round in
    staged) "$CAEFS" sync "$mnt" ;;
    sealed)
        stop_server
        remount_store "$store" "$mnt"
        start_server || fail "the server does not start again"
        ;;
    esac
done
stop_server
