#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh [--once]: what `make run` runs. A private base on 127.0.0.1:PORT gets four packages by rename, three of which are
# a wiki; real Markdown is written into it and read as HTML; its store is replaced by a new version while it is read and
# written, and another module is removed. All of it is looked at from outside meanwhile: what is printed as "ok" was read
# from the kernel. Then it serves until Ctrl-C; with --once it ends. The first check that fails ends it with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build}
port=${PORT:-8080}
url=http://127.0.0.1:$port
once=no
base=
root=

case ${1:-} in
--once) once=yes ;;
'') ;;
*)
        echo "usage: tools/demo.sh [--once]; BUILD= and PORT= in the environment" >&2
        exit 2
        ;;
esac

# Saying things ---------------------------------------------------------------------------------------------------------

title() { printf '\n== %s\n' "$*"; }
ok() { echo "ok   $*"; }
fail() {
        echo "FAILED: $*" >&2
        [ ! -s "$root/socled.log" ] || {
                echo "--- the base's log:" >&2
                tail -n 30 "$root/socled.log" >&2
        }
        exit 1
}

await() { # await WHAT COMMAND...: until it succeeds, for 20 s
        local what=$1 end=$((SECONDS + 20))
        shift
        until "$@"; do
                [ "$SECONDS" -lt "$end" ] || fail "timed out: $what"
                sleep 0.01
        done
}

# The base --------------------------------------------------------------------------------------------------------------

ctl() { "$build/bin/soclectl" --root "$root" "$@"; }
query() { ctl status --json | jq -r "$@"; }
is_gone() { [ ! -e "/proc/$1" ]; }

end() {
        local status=$?
        trap '' INT TERM
        [ -z "$base" ] || kill "$base" 2>/dev/null || true
        [ -z "$base" ] || wait "$base" || true
        [ -z "$root" ] || rm -rf "$root"
        exit "$status"
}

base_is_ready() {
        ! is_gone "$base" && kill -0 "$base" 2>/dev/null || {
                ! grep -q 'in use' "$root/socled.log" || port_in_use
                fail "the base has ended"
        }
        ctl status >/dev/null 2>&1
}

port_in_use() {
        echo "Port $port of 127.0.0.1 is in use. Choose another one: make run PORT=$((port + 1))" >&2
        exit 1
}

start_base() {
        # A session of its own: Ctrl-C is for this script, which ends the base in order.
        mkdir -p "$root/etc/board.d"
        cp examples/wiki/wiki.html "$root/etc/board.d/"
        printf '[gateway]\nlisten = 127.0.0.1:%s\n' "$port" >"$root/etc/socled.conf"
        setsid "$build/bin/socled" --root "$root" >"$root/socled.log" 2>&1 &
        base=$!
        await "the base to be ready" base_is_ready
        echo "socled, pid $base, on $url, root $root"
}

stop_base() {
        local pid pids status=0
        pids=$(pgrep -P "$base")
        kill "$base"
        wait "$base" || status=$?
        base=
        [ "$status" = 0 ] || fail "the base ended with status $status"
        for pid in $pids; do
                is_gone "$pid" || fail "process $pid outlives the base"
        done
        ok "the base has ended with status 0, and all of its processes with it"
}

drop() { # drop PACKAGE PATH: as people do it, under another name and renamed; prints the time to the first reply
        local name us
        name=$(basename "$1")
        cp "$1" "$root/modules/.$name"
        us=$("$build/tools/drop-time" "$root/modules/.$name" "$root/modules/$name" "$port" "$2") || fail "$name does not serve"
        printf '%s: %d.%03d ms from the rename to the first reply\n' "$name" $((us / 1000)) $((us % 1000))
}

worker() { # worker NAME FIELD: of its one instance
        query --arg name "$1" ".modules[] | select(.name == \$name) | .versions[].instances[] | select(.state == \"ready\") | .$2"
}

# What the kernel says --------------------------------------------------------------------------------------------------

status_field() { sed -n "s/^$2:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$1/status"; }
smaps_kib() { # smaps_kib PID FIELD: in the mappings of shared libraries
        awk -v field="$2:" '/^[0-9a-f]+-[0-9a-f]+ / { library = /\.so/ } library && $1 == field { n += $2 } END { print n + 0 }' "/proc/$1/smaps"
}
# Memory files by inode, because several bear one name: those that a process maps, those that it has open.
memfds_mapped() { awk '/\/memfd:/ { print $5 }' "/proc/$1/maps" | sort -u; }
memfds_open() { find "/proc/$1/fd" -lname '/memfd:*' -exec stat -L -c %i {} + 2>/dev/null || true; }
cgroup_folder() { # cgroup_folder PID ID: of a worker, whatever other bases there are; nothing where workers have none of their own
        [ "$(query '.base.enforced | index("cgroup") != null')" = true ] || return 0
        find "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)" -type d -name "i-$2" -exec grep -qsx "$1" {}/cgroup.procs \; -print 2>/dev/null
}

check_worker() {
        local name=$1 pid shared private
        pid=$(worker "$name" pid)
        [ "$(basename "$(readlink "/proc/$pid/exe")")" = socle-template ] || fail "exe of $name is $(readlink "/proc/$pid/exe")"
        [ "$(status_field "$pid" PPid)" = "$base" ] || fail "parent of $name is $(status_field "$pid" PPid), not socled"
        ok "$name: pid $pid is a socle-template, its parent is socled"
        shared=$(($(smaps_kib "$pid" Shared_Clean) + $(smaps_kib "$pid" Shared_Dirty)))
        private=$(($(smaps_kib "$pid" Private_Clean) + $(smaps_kib "$pid" Private_Dirty)))
        [ "$shared" -gt 0 ] || fail "$name shares no page of a library"
        ok "$name: $shared KiB of shared libraries are shared with others, $private KiB are its own"
}

check_processes() { # the wiki's three modules are three processes, and all of them have worked
        local pids
        pids=$(for name in kv markdown wiki; do worker "$name" pid; done)
        [ "$(sort -u <<<"$pids" | wc -l)" = 3 ] || fail "kv, markdown and wiki have the pids" $pids
        for name in kv markdown wiki; do
                [ "$(worker "$name" requests)" -gt 0 ] || fail "$name has answered no request"
        done
        ok "the wiki is three processes:" $pids
}

check_uids() {
        local uids
        uids=$(query '(.base.roles[] | select(.name | startswith("gateway") | not)), .modules[].versions[].instances[] | .pid' |
                while read -r pid; do status_field "$pid" Uid; done | sort)
        if [ "$(id -u)" != 0 ]; then
                ok "not root: everything runs under uid $(id -u)"
        elif [ -z "$(uniq -d <<<"$uids")" ] && ! grep -qx 0 <<<"$uids"; then
                ok "every role and every module has a uid of its own:" $uids
        else
                fail "uids are not all different or one is 0:" $uids
        fi
}

# The acts --------------------------------------------------------------------------------------------------------------

expect_text() { # expect_text WHAT TEXT COMMAND...: the command's output contains it
        local what=$1 text=$2
        shift 2
        "$@" >"$root/reply" || fail "$what: no answer"
        grep -qF -- "$text" "$root/reply" || fail "$what: '$text' is missing in: $(head -c 300 "$root/reply")"
}

package() { ls "$build/examples/$1"-*.smod; }

act_drop() {
        title "Four packages are dropped"
        drop "$(package hello)" /hello
        drop "$(package kv)" /kv/
        drop "$(package markdown)" /markdown/
        drop "$(package wiki)" /wiki/
        expect_text "/hello" "hello socle" curl -sS "$url/hello?name=socle"
        ok "GET /hello?name=socle: $(cat "$root/reply")"
}

act_render() {
        title "Markdown becomes HTML"
        for file in README.md docs/*.md; do
                [ -f "$file" ] || continue
                expect_text "POST of $file" "<!DOCTYPE html>" curl -sS --fail --data-binary "@$file" "$url/markdown"
                ok "POST /markdown with $file: $(wc -c <"$file") bytes of Markdown, $(wc -c <"$root/reply") of HTML: $(heading)"
                show_document "docs/$(basename "$file")"
        done
        find /usr/share/doc -type f \( -name '*.md' -o -name '*.md.gz' \) -size -64k | sort | sed -n 1,3p >"$root/documents"
        [ -s "$root/documents" ] || find /usr/share/doc -type f -name copyright | sort | sed -n 1p >"$root/documents"
        while read -r file; do show_document "$file"; done <"$root/documents"
        expect_text "raw HTML" "raw HTML omitted" curl -sS --fail --data-binary '<script>alert(1)</script>' "$url/markdown"
        expect_text "a path that leads out" '"status":403' curl -sS "$url/markdown/doc?path=docs/../../../../etc/passwd"
        ok "raw HTML is left out, a path that leads out of its folder is refused"
}

# A page of the wiki: kv keeps it, markdown renders it, wiki puts it together.
write_page() { # write_page NAME FILE
        local code
        code=$(curl -sS -o "$root/reply" -w '%{http_code}' --data-urlencode "text@$2" "$url/wiki/$1") || fail "POST /wiki/$1"
        [ "$code" = 303 ] || fail "POST /wiki/$1: $code $(head -c 300 "$root/reply")"
}

act_wiki() {
        local file name
        title "The project's documents become pages of a wiki"
        {
                printf '# Socle\n\nThis wiki is three modules: *wiki* asks *kv* for a page and *markdown* for its HTML.\n\n'
                for file in README.md docs/*.md; do printf -- '* [[%s]]\n' "$(basename "$file" .md)"; done
        } >"$root/home.md"
        write_page Home "$root/home.md"
        for file in README.md docs/*.md; do
                name=$(basename "$file" .md)
                write_page "$name" "$file"
                curl -sS --fail "$url/kv/wiki/$name" | cmp - "$file" || fail "kv keeps $file otherwise"
                expect_text "GET /wiki/$name" "<h1>" curl -sS --fail "$url/wiki/$name"
                grep -qF 'three modules, three processes' "$root/reply" || fail "the frame of /wiki/$name is not the board's"
                ok "POST and GET /wiki/$name: $(wc -c <"$file") bytes of Markdown, $(wc -c <"$root/reply") of HTML"
        done
        expect_text "GET /wiki/Home" '<a href="/wiki/README">README</a>' curl -sS --fail "$url/wiki/Home"
        expect_text "GET /wiki/" '<a href="/wiki/Home">Home</a>' curl -sS --fail "$url/wiki/"
        ok "GET /wiki/ lists $(grep -c '<li>' "$root/reply") pages"
        expect_text "GET /wiki/nowhere" "There is no such page yet" curl -sS "$url/wiki/nowhere"
        write_page Hostile <(printf '<script>alert(1)</script> [x](javascript:alert(1))')
        curl -sS --fail "$url/wiki/Hostile" >"$root/reply" || fail "GET /wiki/Hostile"
        ! grep -qi 'script' "$root/reply" || fail "a page's own markup reaches the reader"
        ok "a page's own script does not reach its readers"
}

heading() { sed -n 's/.*<title>\(.*\)<\/title>.*/"\1"/p' "$root/reply"; }

show_document() {
        curl -sS --fail -G --data-urlencode "path=$1" -o "$root/reply" "$url/markdown/doc" || fail "GET /markdown/doc?path=$1"
        [ -s "$root/reply" ] || fail "GET /markdown/doc?path=$1 is empty"
        ok "GET /markdown/doc?path=$1: $(wc -c <"$root/reply") bytes $(heading)"
}

act_look() {
        title "soclectl status"
        ctl status
        title "What the kernel says"
        for name in hello kv markdown wiki; do check_worker "$name"; done
        check_processes
        check_uids
}

ask_on() { # ask_on CODES CURL-ARGUMENTS...: without a pause, until the file $root/load is gone; a status code for each request
        local codes=$1
        shift
        while [ -e "$root/load" ]; do
                curl -sS -o /dev/null -w '%{http_code}\n' "$@" || echo failed
        done >"$root/$codes" 2>&1
}

check_codes() { # check_codes CODES STATUS WHAT
        ! grep -vqx "$2" "$root/$1" || fail "not all $3 were answered with $2: $(sort "$root/$1" | uniq -c | tr '\n' ' ')"
        ok "all of $(wc -l <"$root/$1") $3 meanwhile were answered with $2"
}

act_replace() {
        local old reader writer folder=$root/kv
        title "kv, where all pages are, is replaced by version 1.1.0 while the wiki is read and written"
        old=$(worker kv pid)
        cp -r "$build/examples/kv" "$folder"
        sed -i 's/^version *=.*/version = 1.1.0/' "$folder/module.ini"
        "$build/bin/soclectl" pack "$folder" -o "$root/" >/dev/null
        : >"$root/load"
        ask_on reads "$url/wiki/Home?n=[1-20]" &
        reader=$!
        ask_on writes --data 'text=written+meanwhile' "$url/wiki/Meanwhile-[1-20]" &
        writer=$!
        await "the first requests" test -s "$root/reads" -a -s "$root/writes"
        mv "$root/kv-1.1.0.smod" "$root/modules/"
        await "the old worker to go" is_gone "$old"
        rm "$root/load"
        wait "$reader" "$writer"
        [ "$(query '.modules[] | select(.name == "kv") | .versions[] | select(.state == "ACTIVE") | .version')" = 1.1.0 ] ||
                fail "version 1.1.0 is not active"
        ok "worker $old of 1.0.0 is gone, worker $(worker kv pid) of 1.1.0 serves"
        check_codes reads 200 "pages read"
        check_codes writes 303 "pages written"
        curl -sS --fail "$url/kv/wiki/README" | cmp - README.md || fail "kv has lost a page"
        expect_text "GET /wiki/Meanwhile-20" "<p>written meanwhile</p>" curl -sS --fail "$url/wiki/Meanwhile-20"
        ok "every page is there"
}

nobody_holds() { # nobody_holds FILE: a list of memory files
        local pid
        for pid in $base $(pgrep -P "$base"); do
                ! grep -qxFf "$1" <(memfds_mapped "$pid" 2>/dev/null && memfds_open "$pid") || return 1
        done
}

hello_is_gone() { [ -z "$(query '.modules[] | select(.name == "hello") | .name')" ]; }

act_remove() {
        local pid id cgroup n
        title "hello is removed"
        pid=$(worker hello pid)
        id=$(worker hello id)
        cgroup=$(cgroup_folder "$pid" "$id")
        [ -d "$root/state/work/$id" ] || fail "hello has no work folder"
        # What it has mapped and markdown has not: its page and its edges. The base's board and directory stay.
        comm -23 <(memfds_mapped "$pid") <(memfds_mapped "$(worker markdown pid)") >"$root/memfds"
        n=$(wc -l <"$root/memfds")
        [ "$n" -gt 0 ] && ! nobody_holds "$root/memfds" || fail "hello's memory files were not found"

        rm "$root/modules/"hello-*.smod
        await "hello to vanish from status" hello_is_gone
        is_gone "$pid" || fail "process $pid is left"
        ok "process $pid is gone"
        if [ -z "$cgroup" ]; then
                ok "it had no cgroup of its own: this host has none, or the base may not make one"
        elif [ -e "$cgroup" ]; then
                fail "cgroup $cgroup is left"
        else
                ok "cgroup $cgroup is gone"
        fi
        [ ! -e "$root/state/work/$id" ] || fail "work folder $root/state/work/$id is left"
        ok "work folder $root/state/work/$id is gone"
        await "hello's memory files to be released" nobody_holds "$root/memfds"
        ok "its $n memory files are gone: no process of the base holds or maps one"
        [ "$(curl -sS -o /dev/null -w '%{http_code}' "$url/hello")" = 404 ] || fail "/hello is not answered with 404"
        ok "GET /hello: 404"
}

serve() {
        title "Serving until Ctrl-C"
        drop "$(package hello)" /hello
        cat <<TRY

  in a browser: $url/wiki/Home

  curl '$url/hello?name=you'
  curl --data-binary @README.md $url/markdown
  curl --data-urlencode text@README.md $url/wiki/Mine && curl $url/wiki/Mine
  $build/bin/soclectl --root $root status
  rm $root/modules/hello-*.smod                          gone; copy it back from $build/examples/ and it serves

TRY
        wait "$base" || fail "the base has ended with status $?"
}

(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && port_in_use
root=$(mktemp -d "${TMPDIR:-/tmp}/socle-demo.XXXXXX")
trap end EXIT
trap 'exit 0' INT TERM
start_base
act_drop
act_render
act_wiki
act_look
act_replace
act_remove
if [ "$once" = yes ]; then
        stop_base
else
        serve
fi
