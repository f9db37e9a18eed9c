# SPDX-License-Identifier: Apache-2.0
#
# A part of checks.sh: what only a host with the controllers of cgroup v2 can enforce, tried on a version of the module
# crash with limits.ini. Each limit is felt, told for what it is, and hurts nobody else.

group=/sys/fs/cgroup/system.slice/socled.service

leaf() { echo "/sys/fs/cgroup$(group_of "$(worker_pid crash)")"; }
leaf_has() { is "$(cat "$(leaf)/$1")" "$2"; }
inspected() { soclectl inspect crash --json | jq -er ".instances[0]$1"; }
in_force() { is "$(inspected ".cgroup[\"$1\"]")" "$2"; }
felt() { [ "$(inspected ".cgroup[\"$1\"]")" -gt 0 ]; }
version_is() { is "$(inspected .version)" "$1"; }
# The last worker that has ended by itself.
last_exit() { soclectl history crash --json | jq -er "[.history[] | .exit | select(. != null)][-1] | $1"; }
ended_as() { is "$(last_exit '"\(.pid) \(.signal) \(.oom)"')" "$1"; }
dies() { # dies REQUEST: its worker does, and another takes its place
        local pid
        pid=$(worker_pid crash)
        curl -sS --max-time $((20 * slow)) -o /dev/null -X POST "$url$1"
        await new_pid "$pid" worker_pid crash && await answers /crash/ok ok
}

limits() {
        title "limits"
        grep -qw memory /sys/fs/cgroup/cgroup.controllers || {
                echo "not tried: this host has no controllers of cgroup v2 (make test-system VM=1 has)"
                return
        }
        put crash-1.1.0.smod
        check "a version with limits takes over" await version_is 1.1.0
        check "the unit delegates its group" is "$(property Delegate)" yes
        check "with all that is needed" is "$(cat $group/workers/cgroup.subtree_control)" 'cpu memory pids'
        check "memory" leaf_has memory.max $((24 << 20))
        check "all of it is killed when it is used up" leaf_has memory.oom.group 1
        check "threads and processes" leaf_has pids.max 24
        check "CPU time" leaf_has cpu.max '40000 100000'
        check "they are root's" is "$(stat -c %u "$(leaf)"/{memory,pids,cpu}.max | sort -u)" 0
        check "soclectl inspect reads them back: memory" in_force memory.max $((24 << 20))
        check "threads and processes" in_force pids.max 24
        check "CPU time" in_force cpu.max '40000 100000'
        limit_pids
        limit_cpu
        limit_memory
        limit_above
        no_limit
        limits_end
}

limit_pids() {
        local n
        n=$(fetch '/crash/threads?n=100')
        check "pids: it is refused more ($n)" grep -q '^[0-9]* EAGAIN$' <<<"$n"
        check "pids: it had less than the limit" test "${n% *}" -lt 24
        check "pids: soclectl inspect tells of it" felt pids.events.max
        check "pids: it goes on" answers /crash/ok ok
}

limit_cpu() {
        local n
        n=$(fetch '/crash/burn?ms=3000')
        check "CPU: of 3000 ms it had $n" test "$n" -lt 2000
        check "CPU: soclectl inspect tells of it" felt cpu.stat.nr_throttled
        check "CPU: and for how long" felt cpu.stat.throttled_usec
        check "CPU: it goes on" answers /crash/ok ok
}

limit_memory() {
        local pid other
        pid=$(worker_pid crash)
        other=$(worker_pid hello)
        # An emulated processor of which it has a part would need minutes to touch so much.
        echo max >"$(leaf)/cpu.max"
        check "memory: a worker that uses it up is replaced" dies /crash/alloc
        check "memory: the reason of its death says so" ended_as "$pid SIGKILL limit"
        check "memory: as do the history" grep -q 'out of memory: it reached \[limits\] memory' <(soclectl history crash)
        check "memory: and the journal" await journal_has 'out of memory: it reached \[limits\] memory' -u socled
        check "memory: what it had felt of others is told, too" last_exit '.throttled_us > 0 and .pids_refused > 0'
        check "memory: its neighbour has not noticed" is "$(worker_pid hello)" "$other"
        check "memory: nor has systemd" is "$(property ActiveState) $(property OOMPolicy)" 'active continue'
}

limit_above() {
        local pid
        pid=$(worker_pid crash)
        echo max >"$(leaf)/cpu.max"
        echo max >"$(leaf)/memory.max"
        echo $(($(cat $group/workers/memory.current) + (16 << 20))) >$group/workers/memory.max
        check "memory of all: who takes most is replaced" dies /crash/alloc
        echo max >$group/workers/memory.max
        check "memory of all: the reason of its death is another one" ended_as "$pid SIGKILL above"
}

no_limit() {
        local pid
        pid=$(worker_pid crash)
        check "a crash" dies /crash/abort
        check "is not taken for it" ended_as "$pid SIGABRT null"
        pid=$(worker_pid crash)
        kill -9 "$pid"
        check "a kill" await new_pid "$pid" worker_pid crash
        check "neither" await ended_as "$pid SIGKILL null"
}

limits_end() {
        local leaf pids
        await answers /crash/ok ok
        leaf=$(leaf)
        check "it has children that do not want to go" answers '/crash/fork?n=5' 5
        pids=$(cat "$leaf/cgroup.procs")
        check "in its group" is "$(wc -l <<<"$pids")" 6
        check "undeploy ends them" is "$(soclectl undeploy crash --json | jq -r 'if type == "array" then .[0] else . end | .released[0] | "\(.cgroup) \(.processes_killed)"')" 'removed 5'
        check "none is left" fails kill -0 $pids
        check "nor their group" fails test -e "$leaf"
        check "the others are served" hello
}
