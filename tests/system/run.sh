#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh: what `make test-system` runs. Installs what BUILD= (default build) holds into the tree of a small machine, boots
# it with a real systemd as PID 1, and prints what guest/checks.sh found in it. What is left for reading: BUILD/system-test/
# with results and journal. Exit status 0 only when nothing failed; a host that cannot do it skips, and says why.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
seconds=${SECONDS_MAX:-330}
here=tests/system
kept=$build/system-test

skip() {
        echo "skipped: $*"
        echo "0 passed, 0 failed"
        exit 0
}

[ "$(id -u)" = 0 ] || skip "needs root to make namespaces and to mount in them (sudo make test-system)"
for tool in unshare pivot_root dpkg-query ldconfig; do
        command -v $tool >/dev/null || skip "there is no $tool here"
done
[ -x /lib/systemd/systemd ] || skip "systemd is not installed here"
grep -q ' cgroup2 ' /proc/self/mounts || skip "cgroup v2 is not mounted here"
unshare --pid --fork --mount --cgroup --uts --ipc --net true 2>/dev/null || skip "this host allows no namespaces"

work=$(mktemp -d "${TMPDIR:-/tmp}/socle-system.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
rm -rf "$kept"
mkdir -p "$kept" "$work/tree/socle-test"

DESTDIR=$work/staged meson install -C "$build" --no-rebuild --quiet
"$build/bin/soclectl" pack "$build/examples/hello" -o "$work/tree/socle-test/" >/dev/null
"$build/bin/soclectl" pack "$build/tests/modules/crash" -o "$work/tree/socle-test/" >/dev/null
python3 $here/tree.py "$work/tree" "$work/staged"
cp $here/guest/checks.sh "$work/tree/socle-test/"
cp $here/guest/socle-test.{service,target} "$work/tree/etc/systemd/system/"
ln -s socle-test.target "$work/tree/etc/systemd/system/default.target"
echo "a machine of $(du -sm "$work/tree" | cut -f1) MB is made ($SECONDS s)"

status=0
$here/boot-ns.sh "$work/tree" "$seconds" || status=$?
cp "$work/tree/socle-test/results" "$kept/results" 2>/dev/null || echo "the machine did not come to its checks" >"$kept/results"
journalctl -q -D "$work/tree/var/log/journal" -o short-monotonic >"$kept/journal" 2>/dev/null || true
cat "$kept/results"
grep -q '^[0-9]* passed, 0 failed$' <(tail -n 1 "$kept/results") || {
        tail -n 1 "$kept/results" | grep -q '^[0-9]* passed, [0-9]* failed$' || {
                echo "the machine ended (status $status) before all was checked; the end of its journal:"
                tail -n 40 "$kept/journal"
                echo "0 passed, 1 failed"
        }
        exit 1
}
