#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# test.sh: the unit tests, then the integration tests and those with hostile peers, of what BUILD= (default build) holds; JOBS= at a time.
# The last line is "N passed, N failed" over all; the exit status is 0 only when nothing failed.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
jobs=${JOBS:-$(nproc)}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

count() { # count PATTERN: the sum of the numbers behind it
        sed -n "s/^$1 *\([0-9][0-9]*\).*/\1/p" "$output" | awk '{ n += $1 } END { print n + 0 }'
}

# A name per line, in full only what failed.
echo "== unit tests"
status=0
meson test -C "$build" --no-rebuild --print-errorlogs --num-processes "$jobs" >"$output" 2>&1 || status=$?
grep -vE '^(ninja:|Expected Fail:|Unexpected Pass:|Skipped:|Full log written|$)' "$output" || true
passed=$(count 'Ok:')
skipped=$(count 'Skipped:')
failed=$(($(count 'Fail:') + $(count 'Unexpected Pass:') + $(count 'Timeout:')))
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1

processes() { # processes NAME FOLDER [PATTERN...]: tests of real processes; adds to passed and failed
        echo "== $1 tests"
        folder=$2
        shift 2
        status=0
        SOCLE_BUILD=$build python3 "tests/$folder/run.py" -j $((jobs + 1)) "$@" >"$output" 2>&1 &
        runner=$!
        tail -n +1 -f --pid="$runner" "$output"
        wait "$runner" || status=$?
        last=$(tail -n 1 "$output")
        more_failed=$(echo "$last" | sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p')
        passed=$((passed + $(echo "$last" | sed -n 's/^\([0-9]*\) passed, .*/\1/p' | grep . || echo 0)))
        failed=$((failed + ${more_failed:-0}))
        skipped=$((skipped + $(sed -n 's/^\([0-9]*\) skipped$/\1/p' "$output" | grep . || echo 0)))
        [ "$status" = 0 ] || [ "${more_failed:-0}" != 0 ] || failed=$((failed + 1))
}
processes integration integration
processes "hostile peers'" hostile
# What has most to do with the gateways' network loop, on the one that is not the default where the host has both.
export SOCLE_TEST_LOOP=epoll
processes "integration (epoll)" integration http. http_streams. gateways. listeners. faults. files. clients.

echo "== all tests"
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
