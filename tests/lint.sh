#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh - what the compiler and clang-format do not check. Part of `make lint`, which gives CC,
# CLANG and BUILD (where bittern.skel.h is). Prints every finding as FILE:LINE: what; exit status 1
# when there is one.
set -uo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
CC=${CC:-gcc} CLANG=${CLANG:-clang-16} BUILD=${BUILD:-build}

# Data moves one way, and a file includes only headers of rooms upstream of it: of its own room and
# of those behind the '<'. Two headers are contracts, known to both their sides: record.h and
# snapshot.h. "plain" modules know nothing of bittern. Tests may include everything. A new module
# needs a line here.
rooms='
record     bpf/record
bpf        bpf/*.bpf vmlinux/vmlinux                    < record
plain      agent/log agent/cleanup agent/path agent/utf8 agent/pool agent/untrusted_file
plain      agent/version agent/links agent/deadlines agent/elf_* agent/prologue
plain      agent/costs agent/clock agent/signals agent/priority agent/config_file
kernel     agent/kernel
probes     agent/uprobes agent/new_mappings agent/mapped_file agent/tls_* < plain
capture    agent/capture agent/ring agent/bittern.skel             < plain record probes
decode     agent/decode                                 < record
tls        agent/tls                                    < plain probes capture decode record
http       agent/http                                   < plain
routes     agent/routes agent/route_* agent/segment     < plain
facts      agent/process_* agent/packed_facts agent/program agent/application_files
facts      agent/container                              < plain record
addresses  agent/addresses                              < plain
services   agent/service_* agent/services agent/systemd_unit
services   agent/workload                               < plain facts routes addresses
exchange   agent/exchange agent/pairing agent/stream
exchange   agent/connection agent/work                  < plain record decode http routes
limits     agent/limits                                 < plain routes
pool       agent/pool_*                                 < plain
histogram  agent/histogram
snapshot   agent/snapshot                               < histogram services
aggregate  agent/aggregate      < plain http routes histogram services snapshot limits
exporters  exporters/*                                  < histogram services snapshot
account    agent/account agent/outcome agent/charges
account    < plain record exchange routes addresses services histogram snapshot aggregate limits
account    < pool
self       agent/self_metrics
self       < plain probes capture exchange aggregate services snapshot pool tls
options    agent/options                        < plain services facts routes limits exporters
main       agent/main agent/check agent/host agent/resident agent/otlp_export    < *
'

readonly LINE_MAX=100 FILE_MAX=600 FUNCTION_MAX=60 TAB=8

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
report() { sed 's|^\./||' >>"$findings"; }

mapfile -t files < <(find . -name .git -prune -o -type d \( -name build -o -name node_modules \
    -o -name __pycache__ -o -name '.*_cache' -o -name LICENSES \) -prune -o -type f -print | sort)
select_files() { printf '%s\n' "${files[@]}" | grep -E "$1"; }
mapfile -t sources < <(select_files '\.([ch]|py|js|sh|service)$|/(Makefile|Dockerfile|run)$')
mapfile -t scripts < <(select_files '\.sh$|\.ci/run$')
mapfile -t c_sources < <(select_files '\.[ch]$')
mapfile -t user_space < <(select_files '^\./(agent|exporters)/.*\.c$')
mapfile -t program < <(select_files '^\./(bpf|vmlinux|agent|exporters)/.*\.[ch]$')

# Texts, data that can hold no comment, and settings of tools need no line.
check_spdx() {
    local file wanted
    for file in "${files[@]}"; do
        case $file in
        *.md | *.json | *.txt | *.ini | ./LICENSE) continue ;;
        */.clang-format | */.editorconfig | */.gitignore | */.dockerignore) continue ;;
        ./bpf/* | ./vmlinux/* | *.bpf.[ch]) wanted='GPL-2.0 OR BSD-2-Clause' ;;
        *) wanted=Apache-2.0 ;;
        esac
        awk -v wanted="SPDX-License-Identifier: $wanted" '
            NR == 1 && /^#!/ { next }
            { exit found = index($0, wanted) && $0 ~ /(Apache-2.0|BSD-2-Clause)( \*\/)?$/ }
            END { if (!found) print FILENAME ":1: no \"" wanted "\" in the first line" }' "$file"
    done
}

check_includes() {
    awk -v rooms="$rooms" '
    function room_of(module, i, found) {
        for (i = 1; i <= patterns; i++)
            if (module ~ pattern[i])
                found = room[i] # the last one wins
        return found
    }
    BEGIN {
        lines = split(rooms, line, "\n")
        for (l = 1; l <= lines; l++) {
            words = split(line[l], word, " ")
            upstream = 0
            for (w = 2; w <= words; w++) {
                if (word[w] == "<") {
                    upstream = 1
                } else if (upstream) {
                    allowed[word[1], word[w]] = 1
                } else {
                    gsub(/\./, "\\.", word[w])
                    gsub(/\*/, "[^/]*", word[w])
                    pattern[++patterns] = "^" word[w] "$"
                    room[patterns] = word[1]
                }
            }
        }
    }
    FNR == 1 {
        module = substr(FILENAME, 3)
        sub(/\.[ch]$/, "", module)
        mine = room_of(module)
        if (!mine)
            printf "%s:1: in no room: tests/lint.sh has the table\n", FILENAME
    }
    /^#include "/ {
        split($0, part, "\"")
        folder = module
        sub(/\/[^\/]*$/, "", folder)
        if (part[2] == "vmlinux.h")
            wanted = "vmlinux/vmlinux"
        else
            wanted = part[2] ~ /^\.\.\// ? substr(part[2], 4) : folder "/" part[2]
        sub(/\.h$/, "", wanted)
        theirs = room_of(wanted)
        if (mine != theirs && !allowed[mine, theirs] && !allowed[mine, "*"])
            printf "%s:%d: %s (room %s) may not include %s (room %s)\n", FILENAME, FNR, module,
                mine, wanted, theirs ? theirs : "none"
    }' "$@"
}

# FILE: what, for every compiler that has something to say; its words go to standard error.
check_compilers() {
    local compiler
    for compiler in "$CC" "$CLANG"; do
        "$compiler" -x c -std=gnu11 -Wall -Wextra -Wpadded -Werror -fsyntax-only bpf/record.h ||
            echo "bpf/record.h:1: $compiler -Wpadded alone"
    done
    "$CLANG" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wtype-limits -Wcomma -Werror -fsyntax-only \
        -I"$BUILD" "${user_space[@]}" || echo "agent, exporters: $CLANG -Wtype-limits -Wcomma"
}

check_lengths() {
    local file
    for file in "${sources[@]}"; do
        expand -t $TAB "$file" | grep -nE "^.{$((LINE_MAX + 1))}" | cut -d: -f1 |
            sed "s|.*|$file:&: longer than $LINE_MAX columns|"
        awk -v max=$FILE_MAX 'END {
            if (NR > max)
                print FILENAME ":" NR ": more than " max " lines"
        }' "$file"
    done
    # A function's body is between braces in the first column.
    awk -v max=$FUNCTION_MAX '
    FNR == 1 { start = 0 }
    /^\{/ { start = FNR }
    /^\}/ {
        if (start && FNR - start - 1 > max)
            printf "%s:%d: function of %d lines, more than %d\n", FILENAME, start,
                FNR - start - 1, max
        start = 0
    }' "${c_sources[@]}"
}

check_words() {
    local marks='TO''DO|FIX''ME' places='/(root|home|work)/[[:alnum:]_]'
    grep -nE "\<($marks)\>" "${sources[@]}" |
        sed -E 's|^([^:]*:[0-9]+):.*|\1: an open end: finish it or file an issue|'
    # unit tests may make up paths
    printf '%s\0' "${files[@]}" | grep -zvE '^\./tests/test_[^/]*\.c$' |
        xargs -0 grep -nIE "$places" | sed -E 's|^([^:]*:[0-9]+):.*|\1: a path of one machine|'
}

check_scripts() {
    if command -v shellcheck >/dev/null; then
        shellcheck -S warning -f gcc "${scripts[@]}"
    else
        echo "tests/lint.sh: shellcheck is not installed" >&2
    fi
}

check_spdx | report
check_includes "${program[@]}" | report
check_compilers | report
check_lengths | report
check_words | report
check_scripts | report
cat "$findings"
count=$(wc -l <"$findings")
echo "tests/lint.sh: ${#files[@]} files, $count findings"
[ "$count" = 0 ]
