#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-deploy: from a dropped package to the first HTTP 200, beside its floors
# and nginx. BUILD= names the build directory, ROUNDS= the number of rounds.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
rounds=${ROUNDS:-200}
warm_up=5 # as in deploy.c

[ -d "$build" ] || meson setup "$build" "$here" >&2
ninja -C "$build" bench/bench-deploy bench/floor-unpack bench/deploy-module.so \
        supervisor/base/socled supervisor/manager/socle-manager supervisor/template/socle-template \
        supervisor/installer/socle-installer supervisor/gateway/socle-gateway supervisor/ctl/soclectl >&2

# A peer that is not here is left out, and that is said.
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || nginx=-
fcgi_app=-
if ninja -C "$build" bench/fcgi-app >/dev/null 2>&1; then
        fcgi_app=$build/bench/fcgi-app
fi
[ "$nginx" != - ] || echo "bench-deploy: nginx is not installed (tools/deps.sh bench): its rows are left out" >&2
[ "$fcgi_app" != - ] || echo "bench-deploy: libfcgi is not installed (tools/deps.sh bench): the FastCGI row is left out" >&2

# Where the roles' uids can reach it, whatever folder this tree lies in.
folder=$(mktemp -d /tmp/socle-bench-deploy.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$folder"
mkdir -p "$folder/drops" "$folder/tree" "$folder/root/etc/trusted.d"
"$build/supervisor/ctl/soclectl" keygen "$folder/bench" >/dev/null
cp "$folder/bench.pub" "$folder/root/etc/trusted.d/"

# pack NAME VERSION PATH ROUND: a package like no other, so that nothing of an earlier round can serve for it
pack() {
        token=$(printf 'r%05d' "$4")
        printf '[module]\nname = %s\nversion = %s\nentry = entry.so\n[http]\nprefix = %s\n[config]\npath = %s\ntoken = %s\n' \
                "$1" "$2" "$3" "$3" "$token" >"$folder/tree/module.ini"
        { cat "$build/bench/deploy-module.so" && echo "$1 $token"; } >"$folder/tree/entry.so"
        "$build/supervisor/ctl/soclectl" pack "$folder/tree" -o "$folder/drops/$1-$2.smod" >/dev/null
        "$build/supervisor/ctl/soclectl" sign "$folder/drops/$1-$2.smod" --key "$folder/bench.key" >/dev/null
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

mkdir -p "$here/bench/results"
"$build/bench/bench-deploy" "$folder" "$rounds" "$build/bench/deploy-module.so" "$build/bench/floor-unpack" \
        "$build/supervisor/base/socled" "$nginx" "$fcgi_app" >"$folder/output" || {
        cat "$folder/output"
        tail -n 20 "$folder"/root/output.log "$folder"/nginx/output.log "$folder"/nginx/error.log >&2 2>/dev/null
        exit 1
}
cat "$folder/output"
grep '^{' "$folder/output" >"$here/bench/results/deploy.jsonl"
