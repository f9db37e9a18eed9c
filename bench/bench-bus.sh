#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-bus: messages between two processes, beside bare rings, the kernel's own
# ways, libzmq and nng. BUILD= names the build directory, ROUNDS= the number of
# rounds (some five seconds each).
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-30}

build bench/bus-ring bench/bus-kernel bench/bus-edge bench/bus-caller.so bench/bus-echo.so bench/deploy-module.so

for peer in zmq nng; do
        ninja -C "$build" "bench/bus-$peer" >/dev/null 2>&1 || left_out "lib$peer-dev (libzmq3-dev, libnng-dev)" "its lines are"
done

make_folder
mkdir -p "$folder/root/modules" "$folder/tree"

# pack NAME OBJECT: the rest of module.ini comes from stdin
pack() {
        rm -rf "$folder/tree/$1"
        mkdir "$folder/tree/$1"
        cp "$build/bench/$2" "$folder/tree/$1/entry.so"
        { printf '[module]\nname = %s\nversion = 1.0.0\nentry = entry.so\n' "$1" && cat; } >"$folder/tree/$1/module.ini"
        "$soclectl" pack "$folder/tree/$1" -o "$folder/root/modules/" >/dev/null
}

printf '[services]\nbus = say, take\n' | pack bus-echo bus-echo.so
printf '[http]\nprefix = /bus-caller\n[calls]\nallow = bus\n' | pack bus-caller bus-caller.so
printf '[http]\nprefix = /bus-idle\n[config]\npath = /bus-idle\n' | pack bus-idle deploy-module.so

export TMPDIR="$folder"
run "$socled" "$folder/root" "$build/bench" "$rounds"
