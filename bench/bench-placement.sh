#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-placement: what [template] affinity does to a module with an instance on
# each of two cores. BUILD= names the build directory, ROUNDS= the number of
# rounds (some 16 seconds each).
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-7}

build bench/gateway-module.so

find_wrk
make_folder
mkdir "$folder/hello"
cp "$build/bench/gateway-module.so" "$folder/hello/entry.so"
printf '[module]\nname = hello\nversion = 1.0.0\nentry = entry.so\n[http]\nprefix = /hello\n[scale]\nmin = 2\n[config]\npath = /hello\nburn-us = 0\n' >"$folder/hello/module.ini"
for policy in none auto spread; do
        for cpus in all one; do
                mkdir -p "$folder/$policy-$cpus/modules" "$folder/$policy-$cpus/etc/socled.conf.d"
                printf '[template]\naffinity = %s\n' "$policy" >"$folder/$policy-$cpus/etc/socled.conf.d/affinity.conf"
                "$soclectl" pack "$folder/hello" -o "$folder/$policy-$cpus/modules/" >/dev/null
        done
done

run "$folder" "$socled" "$wrk" "$rounds"
