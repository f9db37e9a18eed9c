#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-spawn: a worker's birth, layer by layer, beside its floor and
# posix_spawn. BUILD= names the build directory, ROUNDS= the number of rounds.
set -eu

. "$(dirname "$0")/common.sh"
build bench/spawn-empty bench/hello.so
make_folder
install -m 644 "$build/bench/hello.so" "$folder/hello.so"
run "$build/supervisor/template/socle-template" "$folder" "$folder/hello.so" "$build/bench/spawn-empty" "${ROUNDS:-300}"
