#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The one list of packages that Socle needs (Debian 12 names).
#   tools/deps.sh build    installs what is missing to build and run (as root, or with sudo)
#   tools/deps.sh test     and to run the tests
#   tools/deps.sh          and for the checks that CI runs
#   tools/deps.sh bench    and the bench peers; what cannot be had is skipped by the benches
#   tools/deps.sh vm       and for make test-system VM=1; what cannot be had is told by the test
#   tools/deps.sh list     prints them all
# Where there is no apt-get, it installs nothing and leaves complaints to meson.
set -eu

build="make gcc libc6-dev linux-libc-dev meson ninja-build pkg-config
libevent-dev libmsgpack-dev liburing-dev libsystemd-dev libinih-dev
libarchive-dev libzstd-dev libsodium-dev libseccomp-dev libjansson-dev node-llhttp libelf-dev
libcmark-dev zlib1g-dev liblmdb-dev libcmocka-dev curl jq procps"
test="zstd tar python3 systemd util-linux strace"
check="clang clang-format clang-tidy cppcheck libclang-rt-14-dev git nginx-light wrk nghttp2-client"
vm="qemu-system-x86 e2fsprogs"
bench="nginx-light libfcgi-dev spawn-fcgi wrk libzmq3-dev libnng-dev"

missing() {
        for p in $1; do
                dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
        done
}

install_packages() {
        command -v apt-get >/dev/null || return 0
        want=$(missing "$1")
        [ -n "$want" ] || return 0
        sudo=
        if [ "$(id -u)" != 0 ]; then
                command -v sudo >/dev/null || {
                        echo "tools/deps.sh: needs root or sudo to install: $want" >&2
                        return 1
                }
                sudo=sudo
        fi
        echo "installing $want" >&2
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >/dev/null 2>&1 || {
                $sudo apt-get update -qq
                $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >/dev/null
        }
}

case ${1:-all} in
list) echo $build $test $check $vm $bench ;;
build) install_packages "$build" ;;
test) install_packages "$build $test" ;;
vm) install_packages "$build $test" && { install_packages "$vm" || echo "qemu is missing" >&2; } ;;
bench) install_packages "$build $test" && { install_packages "$bench" || echo "some bench peers are missing" >&2; } ;;
all) install_packages "$build $test $check" ;;
*)
        echo "usage: tools/deps.sh [build|test|vm|all|bench|list]" >&2
        exit 2
        ;;
esac
