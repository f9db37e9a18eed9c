#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-spawn: a worker's birth, layer by layer, beside its floor and
# posix_spawn. BUILD= names the build directory, ROUNDS= the number of rounds.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
[ -d "$build" ] || meson setup "$build" "$here"
ninja -C "$build" supervisor/template/socle-template bench/bench-spawn bench/spawn-empty bench/hello.so >&2

# Where a worker's uid can reach it, whatever folder this tree lies in.
package=$(mktemp -d /tmp/socle-bench-spawn.XXXXXX)
trap 'rm -rf "$package"' EXIT
chmod 755 "$package"
install -m 644 "$build/bench/hello.so" "$package/hello.so"

mkdir -p "$here/bench/results"
"$build/bench/bench-spawn" "$build/supervisor/template/socle-template" "$package" "$package/hello.so" "$build/bench/spawn-empty" "${ROUNDS:-300}" |
        tee "$package/output"
grep '^{' "$package/output" > "$here/bench/results/spawn.jsonl"
