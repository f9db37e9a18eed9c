#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-recovery: kill -9 of a module that another one is calling. BUILD= names
# the build directory, ROUNDS= the number of rounds (a little more than a second
# each).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-60}

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" >&2
ninja -C "$build" bench/bench-recovery bench/deploy-module.so >&2

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-recovery.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir -p "$folder/root/modules" "$folder/tree"

for module in echo caller; do
        rm -rf "$folder/tree/$module"
        cp -r "$build/tests/modules/$module" "$folder/tree/"
        # The least period there is: with a second between them, each crash is the first.
        printf '\n[restart]\nperiod = 1s\n' >>"$folder/tree/$module/module.ini"
        "$build/supervisor/ctl/soclectl" pack "$folder/tree/$module" -o "$folder/root/modules/" >/dev/null
done

mkdir -p "$here/bench/results"
"$build/bench/bench-recovery" "$build/supervisor/base/socled" "$folder/root" "$build/bench/deploy-module.so" "$rounds" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder/root/output.log" >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/recovery.jsonl"
