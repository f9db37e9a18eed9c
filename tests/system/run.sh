#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh: what `make test-system` runs. Installs what BUILD= (default build) holds into the tree of a small machine, boots
# it with a real systemd as PID 1, and prints what guest/checks.sh found in it: in namespaces under this kernel, or with
# VM=1 in qemu under the distribution's, which has the cgroup controllers that this host may lack. What is left for reading:
# BUILD/system-test/ (system-test-vm/) with results and journal, and of VM=1 the page attempts.md. Exit status 0 only when nothing failed; a host that cannot
# do it skips, and says why.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
vm=${VM:-}
vm=${vm#0}
here=tests/system
kept=$build/system-test${vm:+-vm}
seconds=${SECONDS_MAX:-${vm:+1500}}
seconds=${seconds:-330}

skip() {
        echo "skipped: $*"
        echo "0 passed, 0 failed"
        exit 0
}

needs() {
        local tool
        for tool; do
                command -v "$tool" >/dev/null || skip "there is no $tool here"
        done
}

[ "$(id -u)" = 0 ] || skip "needs root to make the files of others${vm:- and namespaces} (sudo make test-system${vm:+ VM=1})"
needs dpkg-query ldconfig
[ -x /lib/systemd/systemd ] || skip "systemd is not installed here"
if [ -n "$vm" ]; then
        needs qemu-system-x86_64 mke2fs debugfs setpriv
        kernel=$($here/kernel.sh "$build/vm-kernel") || skip "no kernel for it can be had here; KERNEL=FILE names one"
else
        needs unshare pivot_root
        grep -q ' cgroup2 ' /proc/self/mounts || skip "cgroup v2 is not mounted here"
        unshare --pid --fork --mount --cgroup --uts --ipc --net true 2>/dev/null || skip "this host allows no namespaces"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/socle-system.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
rm -rf "$kept"
mkdir -p "$kept" "$work/tree/socle-test"

DESTDIR=$work/staged meson install -C "$build" --no-rebuild --quiet
"$build/bin/soclectl" pack "$build/examples/hello" -o "$work/tree/socle-test/" >/dev/null
"$build/bin/soclectl" pack "$build/tests/modules/crash" -o "$work/tree/socle-test/" >/dev/null
cp -rL "$build/tests/modules/crash" "$work/limited"
sed -i 's/^version = .*/version = 1.1.0/; /^request-timeout/d' "$work/limited/module.ini"
cat $here/guest/limits.ini >>"$work/limited/module.ini"
"$build/bin/soclectl" pack "$work/limited" -o "$work/tree/socle-test/" >/dev/null
python3 $here/tree.py "$work/tree" "$work/staged" ${vm:+python3-minimal libpython3-stdlib}
if [ -n "$vm" ]; then # what guest/attempts.sh runs
        mkdir -p "$work/tree/socle-test"/{build/bin,build/examples,build/tests/modules,src}
        cp -rL "$build/examples/hello" "$work/tree/socle-test/build/examples/"
        cp -rL "$build"/tests/modules/{attacker,victim} "$work/tree/socle-test/build/tests/modules/"
        ln -s /usr/local/bin/soclectl "$work/tree/socle-test/build/bin/soclectl"
        cp --parents tests/hostile/*.py tests/integration/{harness,run}.py tests/modules/attacker/attempts.def ipc/host.def docs/attempts.md "$work/tree/socle-test/src/"
fi
cp $here/guest/*.sh "$work/tree/socle-test/"
# An emulated processor is slow: what is waited for may take longer, and less is asked.
printf 'slow=%d\nonly="%s"\n' $((vm ? 8 : 1)) "${ONLY:-}" >"$work/tree/socle-test/settings"
cp $here/guest/socle-test.{service,target} "$work/tree/etc/systemd/system/"
sed -i "s/^TimeoutStartSec=.*/TimeoutStartSec=$((seconds - 30))/" "$work/tree/etc/systemd/system/socle-test.service"
ln -s socle-test.target "$work/tree/etc/systemd/system/default.target"
echo "a machine of $(du -sm "$work/tree" | cut -f1) MB is made ($SECONDS s)"

status=0
if [ -n "$vm" ]; then
        setpriv --pdeathsig TERM $here/boot-vm.sh "$work/tree" "$seconds" "$kernel" || status=$?
        cp "$work/tree/socle-test/console" "$kept/"
        [ ! -s "$work/tree/socle-test/attempts.md" ] || cp "$work/tree/socle-test/attempts.md" "$kept/"
else
        $here/boot-ns.sh "$work/tree" "$seconds" || status=$?
fi
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
