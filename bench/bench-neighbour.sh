#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-neighbour: what a module notices of another one that burns all it is
# given. BUILD= names the build directory, ROUNDS= the number of rounds (some
# 15 seconds each).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-5}

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" >&2
ninja -C "$build" bench/bench-neighbour bench/gateway-module.so >&2

wrk=$(command -v wrk) || {
        echo "bench-neighbour: wrk is not installed (tools/deps.sh bench)" >&2
        exit 1
}

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-neighbour.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir -p "$folder/root/modules" "$folder/hello"

cp "$build/bench/gateway-module.so" "$folder/hello/entry.so"
printf '[module]\nname = hello\nversion = 1.0.0\nentry = entry.so\n[http]\nprefix = /hello\n[config]\npath = /hello\nburn-us = 0\n' >"$folder/hello/module.ini"
cp -r "$build/tests/modules/clinger" "$build/tests/modules/echo" "$folder/"
# What the defaults give it, and whom it may call.
printf '\n[calls]\nallow = echo\n%s\n' "${LIMITS:+[limits]
$LIMITS}" >>"$folder/clinger/module.ini"
for module in hello echo clinger; do
        "$build/supervisor/ctl/soclectl" pack "$folder/$module" -o "$folder/root/modules/" >/dev/null
done

mkdir -p "$here/bench/results"
"$build/bench/bench-neighbour" "$build/supervisor/base/socled" "$folder/root" "$wrk" "$rounds" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder/root/output.log" >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/neighbour.jsonl"
