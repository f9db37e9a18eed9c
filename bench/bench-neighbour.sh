#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-neighbour: what a module notices of another one that burns all it is
# given. BUILD= names the build directory, ROUNDS= the number of rounds (some
# 15 seconds each).
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-5}

build bench/gateway-module.so tests/modules/clinger.staged tests/modules/echo.staged

find_wrk
make_folder
mkdir -p "$folder/root/modules" "$folder/hello"

cp "$build/bench/gateway-module.so" "$folder/hello/entry.so"
printf '[module]\nname = hello\nversion = 1.0.0\nentry = entry.so\n[http]\nprefix = /hello\n[config]\npath = /hello\nburn-us = 0\n' >"$folder/hello/module.ini"
cp -r "$build/tests/modules/clinger" "$build/tests/modules/echo" "$folder/"
# What the defaults give it, and whom it may call.
printf '\n[calls]\nallow = echo\n%s\n' "${LIMITS:+[limits]
$LIMITS}" >>"$folder/clinger/module.ini"
for module in hello echo clinger; do
        "$soclectl" pack "$folder/$module" -o "$folder/root/modules/" >/dev/null
done

run "$socled" "$folder/root" "$wrk" "$rounds"
