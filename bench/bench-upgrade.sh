#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench-upgrade: upgrades of a module, and of its caller, under load. BUILD= names
# the build directory, ROUNDS= the number of upgrades (1000). LONG=1 spreads them over
# a million requests. KILL= manager, template, gateway, new or all: these are killed
# meanwhile, and upgrades come at random moments; itself: each second version crashes
# on every tenth request. Without KILL= or LONG= a short round of each follows, of
# KILL_ROUNDS= upgrades (100).
set -eu

. "$(dirname "$0")/common.sh"
kills=${KILL:-nobody}
rounds=${ROUNDS:-1000}
kill_rounds=${KILL_ROUNDS:-100}
if [ "$kills" != nobody ] || [ "$kill_rounds" -gt "$rounds" ]; then
        kill_rounds=$rounds
fi

build bench/up.so bench/via.so

make_folder
mkdir -p "$folder/packages" "$folder/tree"

# pack NAME VERSION NUMBER MANIFEST: versions differ in the manifest alone; killed workers are meant to come back each time
pack() {
        printf '[module]\nname = %s\nversion = %s\nentry = %s.so\n[http]\nprefix = /%s\n[data]\ndir = yes\n[limits]\nmemory = 512M\n[restart]\nburst = 1000\nbackoff = 0\n%b[config]\nnumber = %s\n%b' \
                "$1" "$2" "$1" "$1" "$4" "$3" "${5:-}" >"$folder/tree/module.ini"
        cp "$build/bench/$1.so" "$folder/tree/"
        "$soclectl" pack "$folder/tree" -o "$folder/packages/$1-$2.smod" >/dev/null
        rm "$folder/tree/$1.so"
}

echo "packing" >&2
services='[services]\nup = once, again?\n'
n=1
while [ $n -le $((rounds + 1)) ]; do
        pack up 1.0.$n $n "$services"
        [ $((n % 8)) != 1 ] || pack via 1.0.$((n / 8 + 1)) $((n / 8 + 1)) '[calls]\nallow = up\n'
        [ $n -gt $((kill_rounds / 2)) ] || pack up 2.0.$n $((1000000 + n)) "$services" 'crash-every = 10\n'
        n=$((n + 1))
done
pack via 1.0.$((n / 8 + 1)) $((n / 8 + 1)) '[calls]\nallow = up\n'

mkdir -p "$here/bench/results"
: >"$here/bench/results/upgrade.jsonl"
status=0

# upgrade KILL ROUNDS REQUESTS: on a root of its own
upgrade() {
        "$build/bench/$name" "$socled" "$folder/root" "$folder/packages" "$2" "$3" "$1" >"$folder/output" || {
                status=1
                tail -n 30 "$folder/root/output.log" >&2 2>/dev/null
        }
        cat "$folder/output"
        grep '^{' "$folder/output" >>"$here/bench/results/upgrade.jsonl" || status=1
        rm -rf "$folder/root"
}

if [ "${LONG:-}" = 1 ]; then
        upgrade "$kills" "$rounds" 1000000
elif [ "$kills" != nobody ]; then
        upgrade "$kills" "$rounds" $((rounds * 200))
else
        upgrade nobody "$rounds" 0
        for who in manager template gateway new all itself; do
                upgrade $who "$kill_rounds" $((kill_rounds * 200))
        done
fi
exit $status
