#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-deploy: from a dropped package to the first HTTP 200, beside its floors
# and nginx. BUILD= names the build directory, ROUNDS= the number of rounds.
set -eu

. "$(dirname "$0")/common.sh"
rounds=${ROUNDS:-200}
warm_up=5 # as in deploy.c

build bench/floor-unpack bench/deploy-module.so

find_nginx

make_folder
mkdir -p "$folder/drops" "$folder/tree" "$folder/root/etc/trusted.d"
"$soclectl" keygen "$folder/bench" >/dev/null
cp "$folder/bench.pub" "$folder/root/etc/trusted.d/"

# pack NAME VERSION PATH ROUND: a package like no other, so that nothing of an earlier round can serve for it
pack() {
        token=$(printf 'r%05d' "$4")
        printf '[module]\nname = %s\nversion = %s\nentry = entry.so\n[http]\nprefix = %s\n[config]\npath = %s\ntoken = %s\n' \
                "$1" "$2" "$3" "$3" "$token" >"$folder/tree/module.ini"
        { cat "$build/bench/deploy-module.so" && echo "$1 $token"; } >"$folder/tree/entry.so"
        "$soclectl" pack "$folder/tree" -o "$folder/drops/$1-$2.smod" >/dev/null
        "$soclectl" sign "$folder/drops/$1-$2.smod" --key "$folder/bench.key" >/dev/null
}

echo "packing" >&2
n=0
while [ $n -le $((rounds + warm_up)) ]; do
        pack hello "1.0.$n" /hello $n
        pack "fresh-$n" 1.0.0 "/fresh-$n" $n
        cp "$folder/tree/entry.so" "$folder/drops/$(printf 'm%05d' $n).so"
        cp "$folder/drops/fresh-$n-1.0.0.smod" "$folder/drops/$(printf 'p%05d' $n).smod"
        n=$((n + 1))
done

run "$folder" "$rounds" "$build/bench/deploy-module.so" "$build/bench/floor-unpack" "$socled" "$nginx" "$fcgi_app"
