#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Includes point one way: supervisor -> libmodule/worker.h -> ipc; conf -> ipc; never back, and never
# between two programs of supervisor/. socled includes neither conf/ nor a parser. The public header
# includes only the C library. And what a peer writes is read through ipc/shared.h alone.
set -eu
cd "$(dirname "$0")/.."
bad=0

complain() {
        [ -z "$1" ] || {
                printf '%s\n%s\n' "$2:" "$1"
                bad=1
        }
}

inc() { grep -nE "^#include $1" -r "$2" --include='*.c' --include='*.h' || true; }

complain "$(inc '"(conf|libmodule|supervisor|tests|bench)/' ipc)" "ipc/ includes only itself"
complain "$(inc '"(conf|supervisor|tests|bench)/' libmodule)" "libmodule/ includes only ipc/ and itself"
complain "$(inc '"(libmodule|supervisor|tests|bench)/' conf)" "conf/ includes only ipc/ and itself"
complain "$(inc '"(conf|libmodule)/|<(msgpack|ini|archive|sodium|jansson|event2?|seccomp|gelf|libelf|llhttp)' supervisor/base)" "supervisor/base includes no parser"
complain "$(inc '"' libmodule/include)" "the public header includes only the C library"
complain "$(inc '"libmodule/' supervisor | grep -v '"libmodule/worker.h"' || true)" "supervisor/ includes only libmodule/worker.h"
for program in base manager template installer gateway ctl; do
        complain "$(inc '"supervisor/' "supervisor/$program" | grep -vE "\"supervisor/(common|$program)/" || true)" "supervisor/$program includes only common/ and itself"
done
complain "$(inc '"supervisor/' supervisor/common | grep -v '"supervisor/common/' || true)" "supervisor/common includes no program"
complain "$(grep -rnE -e '->(peer|ears)->|->peer_data\b|reader->(page|memory)->' ipc libmodule supervisor --include='*.c' --include='*.h' |
        grep -vE 'shared_(load|copy|fetch)|[(=] ?&|(peer_data|ret_payload) = |text_read\(' || true)" "a peer's memory is read through ipc/shared.h"
n=$(cat supervisor/base/*.[ch] | grep -cvE '^[[:space:]]*(/?\*.*|//.*|[{}]*)$')
[ "$n" -le 4300 ] || complain "supervisor/base has $n lines of code" "socled stays small"
[ "$bad" = 0 ] && echo "includes point one way"
exit "$bad"
