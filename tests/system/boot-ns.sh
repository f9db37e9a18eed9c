#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# boot-ns.sh TREE SECONDS: boots the machine in TREE under this kernel, in namespaces of its own with systemd as PID 1,
# and returns when it has powered itself off, or kills it after SECONDS. It has a network of loopback alone.
set -euo pipefail
tree=$1
seconds=$2

# The hierarchy may be mounted beside the old one, or be all there is.
mount_point=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
group=$mount_point/socle-system-test.$$

end() {
        echo 1 >"$group/cgroup.kill" 2>/dev/null || true
        for _ in $(seq 50); do
                ! grep -q 'populated 1' "$group/cgroup.events" || sleep 0.1
        done
        find "$group" -depth -type d -exec rmdir {} +
}

inside() { # as PID 1, until the exec
        cd "$tree"
        mount --rbind "$tree" "$tree" && cd "$tree"
        mount -t proc proc proc
        mount -t sysfs -o ro sysfs sys
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs -o mode=0755,nosuid tmpfs dev
        for d in null zero full random urandom tty; do
                touch "dev/$d" && mount --bind "/dev/$d" "dev/$d"
        done
        mkdir dev/pts dev/shm
        mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
        ln -s pts/ptmx dev/ptmx
        ln -s /proc/self/fd dev/fd
        mount -t tmpfs tmpfs dev/shm
        mount -t tmpfs -o mode=0755 tmpfs run
        mount -t tmpfs tmpfs tmp
        pivot_root . mnt
        umount -l /mnt
        exec env -i container=socle-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
                /lib/systemd/systemd --system --show-status=0 --log-target=journal
}

mkdir "$group"
trap end EXIT
export -f inside
export tree
(
        echo "$BASHPID" >"$group/cgroup.procs"
        exec timeout -k 5 "$seconds" unshare --pid --fork --kill-child --mount --cgroup --uts --ipc --net --propagation private \
                bash -euc inside
) </dev/null
