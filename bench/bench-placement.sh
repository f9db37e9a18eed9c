#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-placement: what [template] affinity does to a module with an instance on
# each of two cores. BUILD= names the build directory, ROUNDS= the number of
# rounds (some 16 seconds each).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-7}

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" >&2
ninja -C "$build" bench/bench-placement bench/gateway-module.so >&2

wrk=$(command -v wrk) || {
        echo "bench-placement: wrk is not installed (tools/deps.sh bench)" >&2
        exit 1
}

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-placement.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir "$folder/hello"
cp "$build/bench/gateway-module.so" "$folder/hello/entry.so"
printf '[module]\nname = hello\nversion = 1.0.0\nentry = entry.so\n[http]\nprefix = /hello\n[scale]\nmin = 2\n[config]\npath = /hello\nburn-us = 0\n' >"$folder/hello/module.ini"
for policy in none auto spread; do
        for cpus in all one; do
                mkdir -p "$folder/$policy-$cpus/modules" "$folder/$policy-$cpus/etc/socled.conf.d"
                printf '[template]\naffinity = %s\n' "$policy" >"$folder/$policy-$cpus/etc/socled.conf.d/affinity.conf"
                "$build/supervisor/ctl/soclectl" pack "$folder/hello" -o "$folder/$policy-$cpus/modules/" >/dev/null
        done
done

mkdir -p "$here/bench/results"
"$build/bench/bench-placement" "$folder" "$build/supervisor/base/socled" "$wrk" "$rounds" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder"/*/output.log >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/placement.jsonl"
