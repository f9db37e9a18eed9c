#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# boot-vm.sh TREE SECONDS KERNEL: boots the machine in TREE under KERNEL, in qemu without any help of this machine's
# processor, and returns when it has powered itself off, or ends it after SECONDS. It has no network but its loopback. What
# it wrote for us is copied back to TREE: socle-test/results and attempts.md, socle-test/console and its journal.
set -euo pipefail
tree=$1
seconds=$2
kernel=$3
image=$tree.ext4
trap 'rm -f "$image"' EXIT

truncate -s 1G "$image"
mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$tree" "$image"
# The kernel for clouds has ext4 and NVMe built in, and virtio not: no initrd, no modules. Its speculation barriers would
# only cost time here.
options=(
        root=/dev/nvme0n1 rootfstype=ext4 rw init=/lib/systemd/systemd console=ttyS0 panic=-1 quiet
        mitigations=off no_timer_check rcupdate.rcu_expedited=1
        systemd.show_status=0 systemd.log_target=journal
)
status=0
# Who ends the test half-way ends the machine.
setpriv --pdeathsig KILL timeout -k 5 "$seconds" nice -n "${VM_NICE:-0}" setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -cpu qemu64 -smp 2 -m 1024 \
        -nodefaults -no-user-config -no-reboot -display none -serial "file:$tree/socle-test/console" \
        -kernel "$kernel" -append "${options[*]}" \
        -drive "file=$image,if=none,id=root,format=raw,cache=unsafe" -device nvme,drive=root,serial=root \
        </dev/null || status=$?
for file in results attempts.md; do
        debugfs -R "dump /socle-test/$file $tree/socle-test/$file" "$image" 2>/dev/null
done
rmdir "$tree/var/log/journal"
debugfs -R "rdump /var/log/journal $tree/var/log" "$image" 2>/dev/null
exit $status
