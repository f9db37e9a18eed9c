#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-gateway: HTTP through the gateway and a module's process, beside nginx
# alone, nginx to FastCGI and, where it is, nginx Unit; files and answers in pieces
# likewise. BUILD= names the build directory, ROUNDS= the
# number of rounds (30 to 36 seconds each).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-7}

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" bench/bench-gateway bench/gateway-module.so \
        supervisor/base/socled supervisor/manager/socle-manager supervisor/template/socle-template \
        supervisor/installer/socle-installer supervisor/gateway/socle-gateway supervisor/ctl/soclectl >&2

wrk=$(command -v wrk) || {
        echo "bench-gateway: wrk is not installed (tools/deps.sh bench)" >&2
        exit 1
}
# A peer that is not here is left out, and that is said.
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || nginx=-
fcgi_app=-
if ninja -C "$build" bench/fcgi-app >/dev/null 2>&1; then
        fcgi_app=$build/bench/fcgi-app
fi
[ "$nginx" != - ] || echo "bench-gateway: nginx is not installed (tools/deps.sh bench): its lines are left out" >&2
[ "$fcgi_app" != - ] || echo "bench-gateway: libfcgi is not installed (tools/deps.sh bench): the FastCGI lines are left out" >&2

# Not a package of the distribution: it counts for those who have it.
unitd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v unitd) || unitd=-
unit_app=-
if [ "$unitd" != - ] && ninja -C "$build" bench/unit-app >/dev/null 2>&1; then
        unit_app=$build/bench/unit-app
fi
[ "$unit_app" != - ] || echo "bench-gateway: nginx Unit with libunit is not installed: its lines are left out" >&2

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-gateway.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir -p "$folder/one/modules" "$folder/epoll/modules" "$folder/epoll/etc/socled.conf.d" "$folder/auto/modules" "$folder/log/modules" "$folder/log/etc/socled.conf.d" "$folder/tree" "$folder/www"
head -c 1024 /dev/urandom >"$folder/www/1k.bin"
head -c 1048576 /dev/urandom >"$folder/www/1m.bin"
cp "$folder"/www/* "$folder/tree/"
# The others take the default, io_uring where the host has it.
printf '[gateway]\nloop = epoll\n' >"$folder/epoll/etc/socled.conf.d/loop.conf"

# pack NAME BURN_US: answers at /NAME, after it has used the CPU for so long
pack() {
        cp "$build/bench/gateway-module.so" "$folder/tree/entry.so"
        printf '[module]\nname = %s\nversion = 1.0.0\nentry = entry.so\n[http]\nprefix = /%s\n[config]\npath = /%s\nburn-us = %s\n' \
                "$1" "$1" "$1" "$2" >"$folder/tree/module.ini"
        "$build/supervisor/ctl/soclectl" pack "$folder/tree" -o "$folder/one/modules/" >/dev/null
}
pack hello 0
pack busy 1000
cp "$folder"/one/modules/*.smod "$folder/epoll/modules/"
cp "$folder"/one/modules/*.smod "$folder/auto/modules/"
cp "$folder"/one/modules/*.smod "$folder/log/modules/"
printf '[gateway]\naccess-log = access_log\n' >"$folder/log/etc/socled.conf.d/log.conf"

mkdir -p "$here/bench/results"
"$build/bench/bench-gateway" "$folder" "$build/supervisor/base/socled" "$wrk" "$nginx" "$fcgi_app" "$unitd" "$unit_app" "$rounds" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder"/*/output.log "$folder"/*/error.log >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/gateway.jsonl"
