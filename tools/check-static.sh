#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cppcheck over all, clang-tidy over what the compilation database of BUILD (default build) lists.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
git ls-files 'ipc/*.c' 'conf/*.c' 'libmodule/*.c' 'supervisor/*.c' 'examples/*.c' >"$build/static-files"
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr -j "$(nproc)" -I . -I libmodule/include -D_GNU_SOURCE \
        --suppress=missingIncludeSystem --suppress='*:/usr/*' --suppress=unknownMacro --suppress=syntaxError --suppress=nullPointerOutOfMemory --file-list="$build/static-files"
xargs -P "$(nproc)" -n 6 clang-tidy --quiet -p "$build" <"$build/static-files"
echo "static analysis has nothing to say"
