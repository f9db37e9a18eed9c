#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-gateway: HTTP through the gateway and a module's process, beside nginx
# alone, nginx to FastCGI and, where it is, nginx Unit; files and answers in pieces
# likewise. BUILD= names the build directory, ROUNDS= the
# number of rounds (30 to 36 seconds each).
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-7}

build bench/gateway-module.so

find_wrk
find_nginx

# Not a package of the distribution: it counts for those who have it.
unitd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v unitd) || unitd=-
unit_app=-
if [ "$unitd" != - ] && ninja -C "$build" bench/unit-app >/dev/null 2>&1; then
        unit_app=$build/bench/unit-app
fi
[ "$unit_app" != - ] || left_out "nginx Unit with libunit" "its lines are"

make_folder
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
        "$soclectl" pack "$folder/tree" -o "$folder/one/modules/" >/dev/null
}
pack hello 0
pack busy 1000
cp "$folder"/one/modules/*.smod "$folder/epoll/modules/"
cp "$folder"/one/modules/*.smod "$folder/auto/modules/"
cp "$folder"/one/modules/*.smod "$folder/log/modules/"
printf '[gateway]\naccess-log = access_log\n' >"$folder/log/etc/socled.conf.d/log.conf"

run "$folder" "$socled" "$wrk" "$nginx" "$fcgi_app" "$unitd" "$unit_app" "$rounds"
