#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kernel.sh FOLDER: prints the path of a kernel that a machine under qemu can boot without an initrd. That is $KERNEL, or
# the distribution's kernel for virtual machines: its package is downloaded once and opened in FOLDER, never installed.
set -euo pipefail
folder=$1

if [ -n "${KERNEL:-}" ]; then
        [ -r "$KERNEL" ] && echo "$KERNEL"
        exit
fi
newest() { find "$folder" -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1 | grep .; }
newest 2>/dev/null && exit

command -v apt-get >/dev/null
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$package" ]
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq "$package" 2>/dev/null)
mkdir -p "$folder"
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
mv "$work"/boot/vmlinuz-* "$folder/"
newest
