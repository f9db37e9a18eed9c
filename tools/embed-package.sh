#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# embed-package.sh SOCLECTL OUTPUT FILE...
# Packs the files and writes the package's bytes as the inside of a C array.
set -eu
soclectl=$1
output=$2
shift 2
mkdir -p "$output.d"
"$(dirname "$0")/stage.sh" "$output.d/stamp" "$output.d/folder" "$@"
"$soclectl" pack "$output.d/folder" -o "$output.d/" >/dev/null
od -An -v -tx1 "$output.d"/*.smod | sed 's/ \(..\)/0x\1,/g' >"$output"
rm -rf "$output.d"
