# SPDX-License-Identifier: Apache-2.0
#
# What the benches begin and end with, for `. common.sh`: $here, $build, $name ("bench-bus"), $soclectl, $socled.
here=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$here/build}
name=$(basename "$0" .sh)
socled=$build/supervisor/base/socled
soclectl=$build/supervisor/ctl/soclectl

# build TARGET...: besides what runs a base
build() {
        [ -d "$build" ] || meson setup "$build" "$here" >&2
        ninja -C "$build" "bench/$name" "$@" supervisor/base/socled supervisor/manager/socle-manager supervisor/template/socle-template \
                supervisor/installer/socle-installer supervisor/gateway/socle-gateway supervisor/ctl/soclectl >&2
}

# left_out WHAT LINES: a peer that is not here is left out, and that is said
left_out() {
        echo "$name: $1 is not installed (tools/deps.sh bench): $2 left out" >&2
}

# find_wrk: $wrk
find_wrk() {
        wrk=$(command -v wrk) || {
                echo "$name: wrk is not installed (tools/deps.sh bench)" >&2
                exit 1
        }
}

# find_nginx: $nginx and $fcgi_app, a program or -
find_nginx() {
        nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || nginx=-
        fcgi_app=-
        if ninja -C "$build" bench/fcgi-app >/dev/null 2>&1; then
                fcgi_app=$build/bench/fcgi-app
        fi
        [ "$nginx" != - ] || left_out nginx "its lines are"
        [ "$fcgi_app" != - ] || left_out libfcgi "the lines of FastCGI are"
}

# make_folder: $folder, where the roles' uids can reach it, whatever folder this tree lies in
make_folder() {
        folder=$(mktemp -d "/tmp/socle-$name.XXXXXX")
        trap 'rm -rf "$folder"' EXIT
        trap 'exit 1' INT TERM HUP
        chmod 755 "$folder"
}

# run ARGUMENT...: the bench itself; its figures go to bench/results
run() {
        mkdir -p "$here/bench/results"
        "$build/bench/$name" "$@" >"$folder/output" || {
                cat "$folder/output"
                tail -n 20 "$folder"/*/output.log "$folder"/*/error.log >&2 2>/dev/null
                exit 1
        }
        cat "$folder/output"
        grep '^{' "$folder/output" >"$here/bench/results/${name#bench-}.jsonl"
}
