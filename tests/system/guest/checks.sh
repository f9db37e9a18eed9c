#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is checked inside the machine that tests/system/run.sh boots, as root under its systemd: the installed service is
# set up as docs/install.md says, gets packages, loses processes, is restarted and stopped. How the machine was booted does
# not matter here. Each check is a line "ok" or "FAILED"; the last line is "N passed, N failed".
set -uo pipefail
cd /socle-test || exit 1
all="separation drop_package module_log changes kill_roles reload restart crash watchdog bad_configuration limits stop quiet attempts"
slow=1
only=
. ./settings
. ./limits.sh
. ./attempts.sh
url=http://127.0.0.1:8080
drop=/var/lib/socle/modules
passed=0
failed=0

# Saying things ---------------------------------------------------------------------------------------------------------

title() { printf '\n== %s (%s s)\n' "$1" "$(cut -d' ' -f1 /proc/uptime)"; }

check() { # check WHAT COMMAND...
        local what=$1 out
        shift
        if out=$("$@" 2>&1); then
                passed=$((passed + 1))
                echo "ok      $what"
        else
                failed=$((failed + 1))
                echo "FAILED  $what   [$*]"
                [ -z "$out" ] || echo "$out" | tail -n 20 | sed 's/^/        | /'
        fi
}

await() { # await COMMAND...: until it succeeds, for 30 s
        local end=$((SECONDS + 30 * slow))
        until "$@" >/dev/null 2>&1; do
                if [ "$SECONDS" -ge "$end" ]; then
                        "$@"
                        return
                fi
                sleep 0.02
        done
}

is() { # is A B
        [ "$1" = "$2" ] || {
                echo "'$1' instead of '$2'"
                return 1
        }
}

fails() { ! "$@"; }
has() { grep -q -- "$1"; }

# Asking ----------------------------------------------------------------------------------------------------------------

property() { systemctl show -P "$1" socled.service; }
property_is() { is "$(property "$1")" "$2"; }
status() { soclectl status --json | jq -er "$@"; }
role_pid() { status ".base.roles[] | select(.name == \"$1\") | .pid"; }
role_uid() { status ".base.roles[] | select(.name == \"$1\") | .uid"; }
worker_pid() { status ".modules[] | select(.name == \"$1\") | .versions[].instances[].pid"; }
module_state() { status ".modules[] | select(.name == \"$1\") | .state"; }
fetch() { curl -sS --fail-with-body --max-time $((20 * slow)) "$url$1"; }
answers() { is "$(fetch "$1")" "$2"; }
hello() { answers '/hello?name=systemd' 'hello systemd'; }
parent_of() { sed -n 's/^PPid:\t//p' "/proc/$1/status"; }
group_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
journal() { journalctl --sync && journalctl -q -b -o cat "$@"; }
journal_has() { # journal_has TEXT MATCH...
        local text=$1
        shift
        journal "$@" | has "$text"
}
as_viewer() { setpriv --reuid=socle-test-viewer --regid=socle-test-viewer --init-groups "$@"; }
logged() { soclectl logs "$1" | has "$2"; }
new_pid() { # new_pid OLD COMMAND...: that it prints another one
        local pid
        pid=$("${@:2}") && [ -n "$pid" ] && [ "$pid" != 0 ] && [ "$pid" != "$1" ]
}
put() { # put FILE: as a tool would, by rename
        cp "/socle-test/$1" "$drop/.$1.part" && mv "$drop/.$1.part" "$drop/$1"
}

# Four clients, 200 requests a second each where it is not slow: two on new connections, two on old ones. What each request got is a line.
load_begin() {
        # On stderr, which has no buffer that would be lost at the end.
        local i close=(-H 'Connection: close') format='%{stderr}%{http_code} %{exitcode} %{errormsg}\n'
        rm -f /run/load.*
        for i in 1 2 3 4; do
                [ $i -lt 3 ] || close=()
                curl -s --rate $((200 / slow))/s --max-time $((30 * slow)) "${close[@]}" -o /dev/null -w "$format" "$url/hello?n=[1-9999999]" 2>"/run/load.$i" &
                loads[i]=$!
        done
        await load_flows 0
}

load_flows() { # load_flows N: every client has had more than N answers
        local i
        for i in 1 2 3 4; do
                [ "$(wc -l <"/run/load.$i")" -gt "$1" ] || return 1
        done
}

# The requests under way are broken off and leave no line, or half of one.
load_end() {
        await load_flows "$(for i in 1 2 3 4; do wc -l <"/run/load.$i"; done | sort -n | tail -n 1)"
        kill "${loads[@]}"
        wait "${loads[@]}" 2>/dev/null
        sed -i '$d' /run/load.?
}

load_served() { # load_served WHAT
        load_end
        check "$1: all of $(cat /run/load.? | wc -l) requests were answered with 200" all_served
}

none_refused() { ! cat /run/load.? | grep '^000 7 '; }
all_served() {
        ! cat /run/load.? | grep -v '^200 0 ' | sort | uniq -c | grep .
}

# The checks ------------------------------------------------------------------------------------------------------------

about() {
        echo "PID 1 is $(cat /proc/1/comm), $(systemctl --version | head -n 1); Linux $(uname -r); $(systemd-detect-virt)"
        echo "cgroup controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
        systemd-analyze time 2>/dev/null | head -n 1
}

install_as_documented() {
        title "set up and start"
        check "users and groups are made" systemd-sysusers
        check "folders are made" systemd-tmpfiles --create
        check "the units are well-formed" systemd-analyze verify --man=no socled.service socled.socket
        check "enable and start both units" systemctl enable --now socled.socket socled.service
        check "it is active" is "$(systemctl is-active socled.service)" active
        check "it said so itself (Type=notify)" property_is StatusText Serving
        check "systemctl status shows it" grep -q 'active (running)' <(systemctl status socled.service)
        check "MainPID is socled" is "$(readlink "/proc/$(property MainPID)/exe")" "$(command -v socled)"
        check "it stays when the machine starts again" is "$(systemctl is-enabled socled.service socled.socket | sort -u)" enabled
        check "the journal has its word" journal_has 'ready: /etc/socle' -u socled
        [ "$failed" = 0 ] || give_up
        echo "in force: $(status '.base.enforced | join(" ")')"
        echo "missing: $(status '[.base.missing[] | .layer] | join(" ")')"
}

# Without a service there is nothing to check.
give_up() {
        journal -u socled | tail -n 20 | sed 's/^/        | /'
        finish
}

finish() {
        echo
        echo "$passed passed, $failed failed"
        [ "$failed" = 0 ]
        exit
}

# What is not in force must be the host's lack, not the unit's doing.
only_controllers_missing() {
        local layer
        for layer in $(status '[.base.missing[] | .layer] | join(" ")' || true); do
                case $layer in
                cgroup-memory | cgroup-cpu | cgroup-pids)
                        ! grep -qw "${layer#cgroup-}" /sys/fs/cgroup/cgroup.controllers
                        ;;
                *) false ;;
                esac || {
                        echo "missing: $layer"
                        return 1
                }
        done
}

# Where the base runs, in a group that is delegated to it.
check_host_agrees() {
        local told
        printf '%s\n' '[Service]' Type=oneshot Delegate=yes StandardOutput=truncate:/run/check-host.json SuccessExitStatus=1 \
                'ExecStart=/usr/local/sbin/socled --check-host --json' >/run/systemd/system/check-host.service
        systemctl daemon-reload
        systemctl start check-host.service
        told=$(cat /run/check-host.json)
        is "$(jq -r '[.[] | select(.kind == "layer" and (.ok | not)) | .name] | join(" ")' <<<"$told")" \
                "$(status '[.base.missing[] | .layer] | join(" ")')" &&
                is "$(jq -r '.[] | select(.name == "cgroup") | .have' <<<"$told")" "delegated by systemd"
}

filters() { sed -n 's/^Seccomp_filters:\s*//p' "/proc/$1/status"; }

role_gave_up() { # role_gave_up ROLE FILTERS: so many of its own, besides what systemd has given to the unit
        local pid
        pid=$(role_pid "$1")
        is "$(sed -nE 's/^(NoNewPrivs|CapBnd|CapEff):\s*//p' "/proc/$pid/status" | tr '\n' ' ')" "0000000000000000 0000000000000000 1 " &&
                is $(($(filters "$pid") - $(filters "$(property MainPID)"))) "$2"
}

separation() {
        title "users, groups of processes, folders"
        check "the manager runs as socle" is "$(role_uid manager)" "$(id -u socle)"
        check "the installer runs as socle-pkg" is "$(role_uid installer)" "$(id -u socle-pkg)"
        check "the gateway runs as socle-gw" is "$(role_uid gateway)" "$(id -u socle-gw)"
        check "what status says of the gateway is true" is "$(stat -c %U "/proc/$(role_pid gateway)")" socle-gw
        check "socled has moved to UNIT/base" is "$(group_of "$(property MainPID)")" /system.slice/socled.service/base
        check "every layer that the host has is in force" only_controllers_missing
        check "socled --check-host foretells it" check_host_agrees
        check "the gateway has no capability, and a filter" role_gave_up gateway 1
        check "the manager has no capability, and a filter" role_gave_up manager 1
        check "the installer has no capability, and a filter" role_gave_up installer 1
        check "workers have groups of their own" status '.base.enforced | index("cgroup")'
        check "the drop directory is root's alone" is "$(stat -c '%U %a' $drop)" 'root 755'
        check "the manager's state is closed to others" is "$(stat -c '%U %a' /var/lib/socle/manager)" 'socle 700'
        check "/usr is read-only to socled" fails nsenter -t "$(property MainPID)" -m touch /usr/socle-was-here
        check "socled cannot load modules of the kernel" fails test $((0x$(sed -n 's/^CapBnd:\t//p' "/proc/$(property MainPID)/status") >> 16 & 1)) = 1
}

drop_package() {
        title "a package in the drop directory"
        put hello-1.0.0.smod
        check "is served through the gateway" await hello
        check "by a worker that is a child of socled" is "$(parent_of "$(worker_pid hello)")" "$(property MainPID)"
        check "in a group below the unit's" has '^/system.slice/socled.service/workers/i-' < <(group_of "$(worker_pid hello)")
        check "without a capability" grep -q '^CapEff:.0*$' "/proc/$(worker_pid hello)/status"
        put crash-1.0.0.smod
        check "a second one as well" await answers /crash/ok ok
        soclectl status
        check "a member of socle-view may look" as_viewer soclectl status
        check "and not change anything" fails as_viewer soclectl undeploy hello
}

module_log() {
        title "what a module says"
        check "it speaks" fetch '/crash/log?text=a-line-for-the-journal'
        check "soclectl logs has it" await logged crash a-line-for-the-journal
        check "journalctl MODULE= has it" await journal_has a-line-for-the-journal MODULE=crash
        check "with version and priority" await journal_has a-line-for-the-journal MODULE=crash VERSION=1.0.0 PRIORITY=6
        check "and not under another module's name" fails journal_has a-line-for-the-journal MODULE=hello
        check "it prints" fetch '/crash/print?text=a-printed-line'
        check "journalctl MODULE= has that as well" await journal_has a-printed-line MODULE=crash SOURCE=stdout
}

changes() {
        local id
        title "who has changed what"
        check "journalctl has the deployment" await journal_has 'hello 1.0.0 is active' MODULE=hello VERSION=1.0.0 EVENT=deploy STATE=done
        id=$(soclectl restart crash --json | jq .id)
        check "and an operation, by its id and by whom" await journal_has 'crash 1.0.0 is active' MODULE=crash VERSION=1.0.0 "OPERATION=$id" 'ACTOR=uid 0' EVENT=restart
        check "once" is "$(journal "OPERATION=$id" EVENT=restart STATE=done | wc -l)" 1
        check "with the changes of state that belong to it" journal_has 'STARTING -> ACTIVE' MODULE=crash "OPERATION=$id" 'ACTOR=uid 0' STATE=ACTIVE
        systemctl reload socled
        check "and a reload by a signal" await journal_has 'reload done' EVENT=reload ACTOR=signal
}

kill_roles() {
        local role pid worker main
        title "roles die"
        worker=$(worker_pid hello)
        main=$(property MainPID)
        for role in manager installer template; do
                pid=$(role_pid $role)
                load_begin
                kill -9 "$pid"
                [ $role != manager ] || check "a module speaks while there is none" fetch '/crash/log?text=nobody-listens'
                check "$role: a new one is there" await new_pid "$pid" role_pid $role
                load_served "$role"
        done
        check "the next manager has brought that line to the journal" await journal_has nobody-listens MODULE=crash
        pid=$(role_pid gateway)
        load_begin
        kill -9 "$pid"
        check "gateway: a new one is there" await new_pid "$pid" role_pid gateway
        load_end
        check "gateway: of $(cat /run/load.? | wc -l) connections none was refused" none_refused
        check "the worker is the same" is "$(worker_pid hello)" "$worker"
        check "socled is the same, and systemd saw nothing" is "$(property MainPID) $(property NRestarts)" "$main 0"
}

reload() {
        local main
        title "reload"
        main=$(property MainPID)
        load_begin
        check "systemctl reload" systemctl reload socled.service
        check "the same socled runs on" is "$(property MainPID) $(property ActiveState)" "$main active"
        load_served reload
}

restart() {
        local main
        title "restart"
        main=$(property MainPID)
        load_begin
        check "systemctl restart" systemctl restart socled.service
        check "another socled runs" new_pid "$main" property MainPID
        check "it serves what was there" await hello
        load_served "the socket outlives the service"
}

crash() {
        local main worker
        title "socled is killed"
        main=$(property MainPID)
        worker=$(worker_pid hello)
        kill -9 "$main"
        check "systemd starts it again" await new_pid "$main" property MainPID
        check "it serves what was there" await hello
        check "the old worker is gone" fails test -e "/proc/$worker"
        check "that was one restart" property_is NRestarts 1
}

watchdog() {
        local main
        title "socled hangs"
        mkdir -p /run/systemd/system/socled.service.d
        printf '[Service]\nWatchdogSec=%s\n' $((2 * slow)) >/run/systemd/system/socled.service.d/watchdog.conf
        systemctl daemon-reload
        systemctl restart socled.service
        main=$(property MainPID)
        check "it is fed while socled turns" fed_twice
        kill -STOP "$main"
        check "systemd replaces it" await new_pid "$main" property MainPID
        check "it serves what was there" await hello
        check "the journal says why" journal_has 'Watchdog timeout' -u socled
        rm -r /run/systemd/system/socled.service.d
        systemctl daemon-reload
}

fed_twice() {
        local first
        first=$(property WatchdogTimestampMonotonic)
        await new_pid "$first" property WatchdogTimestampMonotonic
}

bad_configuration() {
        title "a configuration that is refused"
        printf '[gateway]\nlisten = nowhere\n' >/etc/socle/socled.conf
        systemctl reset-failed socled.service
        check "the start fails" fails systemctl restart socled.service
        check "with status 78, and is not tried again" is "$(property ExecMainStatus) $(property NRestarts) $(property ActiveState)" '78 0 failed'
        check "the journal names file and line" journal_has 'socled.conf:2' -u socled
        rm /etc/socle/socled.conf
        check "and with a good one it starts" systemctl restart socled.service
        check "and serves" await hello
}

stop() {
        title "stop"
        load_begin
        # The socket first: who still waits in it, even one that has hung up, would start the service again.
        check "systemctl stop, the socket" systemctl stop socled.socket
        check "systemctl stop, the service" systemctl stop socled.service
        kill "${loads[@]}"
        wait "${loads[@]}" 2>/dev/null
        check "is a success" is "$(property Result) $(property ExecMainStatus) $(property ActiveState)" 'success 0 inactive'
        check "no process is left" fails pgrep -l '^socle'
        check "no group is left" fails test -e /sys/fs/cgroup/system.slice/socled.service
        check "no work folder is left" is "$(ls /var/lib/socle/work)" ''
        check "no admin socket is left" fails test -e /run/socle/admin.sock
        check "the packages are where they were" test -e $drop/hello-1.0.0.smod
        check "the port is free" fails curl -s $url/hello
        systemctl start socled.socket
        check "a request starts it again, and is answered" hello
        check "a listening address of its own: start without the socket unit" own_socket
        systemctl stop socled.service
}

own_socket() {
        systemctl stop socled.service socled.socket && systemctl start socled.service && await hello
}

quiet() {
        title "the journal"
        check "nothing but what was done to it is an error" no_other_errors
        check "no unit has failed" is "$(systemctl list-units --failed --no-legend --plain)" ''
}

# A slow machine may also have been too slow for a role.
no_other_errors() {
        local too_slow=
        [ "$slow" = 1 ] || too_slow='|it has not answered for'
        ! journal -u socled -p err | grep -vE 'Watchdog timeout|nowhere|killed by SIG(KILL|ABRT)|Main process exited|Failed with result|Failed to start|Killing process'"$too_slow"
}

useradd_viewer() {
        echo 'u socle-test-viewer - "looks" -
m socle-test-viewer socle-view' | systemd-sysusers - 2>/dev/null
}

about
install_as_documented
useradd_viewer
for section in ${only:-$all}; do
        $section
done
finish
