# SPDX-License-Identifier: Apache-2.0
#
# bash completion for soclectl(1)

# Names of modules: the only "name" of the document at this depth.
_soclectl_modules() {
        "${words[@]}" status --json 2>/dev/null | sed -n 's/^      "name": "\([a-z0-9-]*\)",\{0,1\}$/\1/p'
}

_soclectl() {
        local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
        local words=("${COMP_WORDS[0]}")

        COMPREPLY=()
        for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --root) words+=(--root "${COMP_WORDS[++i]}") ;;
                -n | -o | --key | --timeout | --version) ((++i)) ;;
                -*) ;;
                *) [ -n "$command" ] || command=${COMP_WORDS[i]} ;;
                esac
        done

        case $before in
        --root) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        -o | --key) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        -n | --timeout | --version) return ;;
        --level) mapfile -t COMPREPLY < <(compgen -W 'emerg alert crit error warning notice info debug' -- "$word"); return ;;
        esac
        if [[ $word == -* ]]; then
                local options='--root --json --help'
                case $command in
                call) options+=' --timeout --version' ;;
                events) options+=' -f -n' ;;
                logs) options+=' -f -n --level' ;;
                pack) options+=' -o' ;;
                undeploy) options+=' --purge' ;;
                rollback) options+=' --to' ;;
                sign) options+=' --key' ;;
                esac
                mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
                return
        fi
        case $command in
        '') mapfile -t COMPREPLY < <(compgen -W 'status deploy undeploy restart switch rollback call logs events history health inspect gateways reload config pack sign keygen version' -- "$word") ;;
        deploy | sign) mapfile -t COMPREPLY < <(compgen -d -S / -- "$word"; compgen -f -X '!*.smod' -- "$word") ;;
        pack) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        config) mapfile -t COMPREPLY < <(compgen -W "show $(_soclectl_modules)" -- "$word") ;;
        gateways) mapfile -t COMPREPLY < <(compgen -W 'restart' -- "$word") ;;
        keygen) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        status | undeploy | restart | switch | rollback | inspect | logs | history | health) mapfile -t COMPREPLY < <(compgen -W "$(_soclectl_modules)" -- "$word") ;;
        esac
}

complete -o filenames -F _soclectl soclectl
