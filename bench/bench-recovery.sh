#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-recovery: kill -9 of a module that another one is calling. BUILD= names
# the build directory, ROUNDS= the number of rounds (a little more than a second
# each).
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-60}

build bench/deploy-module.so tests/modules/echo.staged tests/modules/caller.staged

make_folder
mkdir -p "$folder/root/modules" "$folder/tree"

for module in echo caller; do
        rm -rf "$folder/tree/$module"
        cp -r "$build/tests/modules/$module" "$folder/tree/"
        # The least period there is: with a second between them, each crash is the first.
        printf '\n[restart]\nperiod = 1s\n' >>"$folder/tree/$module/module.ini"
        "$soclectl" pack "$folder/tree/$module" -o "$folder/root/modules/" >/dev/null
done

run "$socled" "$folder/root" "$build/bench/deploy-module.so" "$rounds"
