#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-bus: messages between two processes, beside bare rings, the kernel's own
# ways, libzmq and nng. BUILD= names the build directory, ROUNDS= the number of
# rounds (some five seconds each).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-30}

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" >&2
ninja -C "$build" bench/bench-bus bench/bus-ring bench/bus-kernel bench/bus-edge bench/bus-caller.so bench/bus-echo.so bench/deploy-module.so >&2

# A peer that is not here is left out, and that is said.
for peer in zmq nng; do
        ninja -C "$build" "bench/bus-$peer" >/dev/null 2>&1 ||
                echo "bench-bus: lib$peer-dev (libzmq3-dev, libnng-dev) is not installed (tools/deps.sh bench): its lines are left out" >&2
done

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-bus.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir -p "$folder/root/modules" "$folder/tree"

# pack NAME OBJECT: the rest of module.ini comes from stdin
pack() {
        rm -rf "$folder/tree/$1"
        mkdir "$folder/tree/$1"
        cp "$build/bench/$2" "$folder/tree/$1/entry.so"
        { printf '[module]\nname = %s\nversion = 1.0.0\nentry = entry.so\n' "$1" && cat; } >"$folder/tree/$1/module.ini"
        "$build/supervisor/ctl/soclectl" pack "$folder/tree/$1" -o "$folder/root/modules/" >/dev/null
}

printf '[services]\nbus = say, take\n' | pack bus-echo bus-echo.so
printf '[http]\nprefix = /bus-caller\n[calls]\nallow = bus\n' | pack bus-caller bus-caller.so
printf '[http]\nprefix = /bus-idle\n[config]\npath = /bus-idle\n' | pack bus-idle deploy-module.so

mkdir -p "$here/bench/results"
export TMPDIR="$folder"
"$build/bench/bench-bus" "$build/supervisor/base/socled" "$folder/root" "$build/bench" "$rounds" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder/root/output.log" >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/bus.jsonl"
