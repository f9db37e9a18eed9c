#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The one list of packages that Socle needs (Debian 12 names).
#   tools/deps.sh          installs what is missing of build and test packages (as root, or with sudo)
#   tools/deps.sh list     prints them
#   tools/deps.sh bench    installs the bench peers too; what cannot be had is skipped by the benches
set -eu

build="make gcc libc6-dev linux-libc-dev meson ninja-build pkg-config
libevent-dev libmsgpack-dev liburing-dev libsystemd-dev libinih-dev
libarchive-dev libzstd-dev libsodium-dev libseccomp-dev libjansson-dev node-llhttp libelf-dev
libcmark-dev"
test="libcmocka-dev curl jq zstd tar python3-minimal procps clang clang-format clang-tidy cppcheck libclang-rt-14-dev git"
bench="nginx-light libfcgi-dev spawn-fcgi wrk"

missing() {
        for p in $1; do
                dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
        done
}

install_packages() {
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
list) echo $build $test $bench ;;
build) install_packages "$build" ;;
bench) install_packages "$build $test" && { install_packages "$bench" || echo "some bench peers are missing" >&2; } ;;
all) install_packages "$build $test" ;;
*)
        echo "usage: tools/deps.sh [list|build|all|bench]" >&2
        exit 2
        ;;
esac
