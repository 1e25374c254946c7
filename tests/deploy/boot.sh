#!/usr/bin/env bash
# Boots a systemd of its own on a copy of this machine's file system that lasts as long as it does,
# with kvnode installed as docs/OPERATIONS.md says, and runs check.sh there.
#
# Usage: unshare --mount --pid --fork --ipc --uts boot.sh SYSTEMD SOURCES RESULTS GROUP
# SOURCES is a source distribution. RESULTS has what the document says is to be typed, `install` for one, and is where
# check.sh writes; nothing else stays on the machine but the control group GROUP.
set -euo pipefail
systemd=$1 sources=$2 results=$3 group=$4
here=$(dirname "$(readlink -f "$0")")

# The control groups that systemd makes lie in one of ours: of the second version there is one
# hierarchy of them, of the first one for each controller.
for groups in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$groups/cgroup.procs" ] && mkdir "$groups/$group" || continue
    # That of cpuset takes nobody as it is; systemd makes none there.
    echo 0 > "$groups/$group/cgroup.procs" || rmdir "$groups/$group"
    [ "$groups" != /sys/fs/cgroup ] || break
done

mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
root=/mnt/root
rm -rf "$root/opt/kvnode" "$root/etc/kvnode" "$root/usr/local/bin/kv" "$root/usr/local/bin/kvnode"

install -m 755 "$here/check.sh" "$root/opt/check.sh"
mkdir "$root/opt/source"
tar -xf "$sources" -C "$root/opt/source" --strip-components=1
cat > "$root/etc/systemd/system/check.service" << 'UNIT'
[Service]
Type=oneshot
ExecStart=/opt/check.sh
UNIT

mkdir -p "$root/results"
mount --bind "$results" "$root/results"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
cd "$root"
mkdir before
pivot_root . before
cd /opt/source
# Its Python must not be one of somebody's home, which the unit hides.
PATH=/usr/bin:/bin sh -e /results/install
cd /
umount --lazy /before
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
# As it is on a machine that booted: what systemd mounts for a service, it sees.
mount --make-rshared /
export container=other
exec unshare --net --cgroup sh -c '
    ip link set lo up
    if [ -e /sys/fs/cgroup/cgroup.procs ]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    else
        mount -t tmpfs tmpfs /sys/fs/cgroup
        mkdir /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    fi
    exec "$0" --system --unit=check.service
' "$systemd"
