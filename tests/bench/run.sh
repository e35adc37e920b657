#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What bittern costs, as a table. Sets up (as tests/setup.sh, outside the tree, instantly when in
# place), then measures: about 13 minutes, BENCH_QUICK=1 about 3 minutes. BENCH_ONLY="Express,idle"
# chooses parts, BENCH_CYCLES sets how many rounds are compared, BASE=REVISION builds that one too
# and compares node http with it. Exit status 1: a request was not counted.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${BITTERN_CACHE:-$HOME/.cache/bittern}
sdks=$cache/bench # venv/, node_modules/: the SDKs that bittern is compared with
built=$root/build/bench

say() { echo "tests/bench/run.sh: $*" >&2; }

sdks_hash() {
    {
        cat "$here/run.sh" "$here/requirements.txt" "$here/package-lock.json"
        python3 -c 'import sys; print(sys.version, sys.executable)'
        "$cache/node/bin/node" --version
    } | sha256sum | cut -d' ' -f1
}

# A part that cannot be installed costs its rows only: bench.py says which.
install_sdks() {
    local whole=1
    rm -rf "$sdks"
    mkdir -p "$sdks"
    say "installing the SDKs for comparison in $sdks"
    if ! { python3 -m venv "$sdks/venv" &&
        "$sdks/venv/bin/pip" install -q --disable-pip-version-check \
            --only-binary :all: -r "$here/requirements.txt"; } >&2; then
        say "Python packages failed"
        rm -rf "$sdks/venv"
        whole=
    fi
    cp "$here/package.json" "$here/package-lock.json" "$sdks"
    if ! npm ci --prefix "$sdks" --no-audit --no-fund --loglevel=error >&2; then
        say "Node modules failed"
        rm -rf "$sdks/node_modules"
        whole=
    fi
    [ -z "$whole" ] || sdks_hash >"$sdks/stamp"
}

build() {
    local part agent=("$root"/build/agent/{tls*,elf_*}.o)
    for part in prologue uprobes priority new_mappings mapped_file path pool log; do
        agent+=("$root/build/agent/$part.o")
    done
    mkdir -p "$built/wanted" "$built/wrk"
    cc -O2 -Wall -Wextra -o "$built/pairs" "$here/pairs.c"
    cc -O2 -Wall -Wextra -pthread -o "$built/switches" "$here/switches.c"
    cp "$built/switches" "$built/wanted/node"
    ldd "$(command -v wrk)" | awk '/libssl/ { print $3 }' | xargs -I {} cp {} "$built/wrk"
    for part in floor tls_floor; do
        "${CLANG:-clang-16}" -O2 -g -target bpf -I"/usr/include/$(cc -print-multiarch)" \
            -c -o "$built/$part.bpf.o" "$here/$part.bpf.c"
    done
    cc -O2 -Wall -Wextra -o "$built/floor" "$here/floor.c" \
        -Wl,-Bstatic -lbpf -lelf -lz -Wl,-Bdynamic
    cc -O2 -Wall -Wextra -o "$built/tls_floor" "$here/tls_floor.c" "${agent[@]}" \
        -Wl,-Bstatic -lbpf -lelf -lz -Wl,-Bdynamic -lpthread
}

# The revision to compare with, built in a tree of its own.
build_base() {
    local tree=$built/base
    git -C "$root" worktree remove --force "$tree" 2>/dev/null || true
    git -C "$root" worktree add --detach --force "$tree" "$BASE" >&2
    make -s -C "$tree" >&2
    export BENCH_BASE=$tree/build/bittern
}

"$root/tests/setup.sh" >&2
mkdir -p "$cache"
exec 9>"$cache/bench.lock"
flock 9 # also against a second run: the two would measure each other
[ "$(cat "$sdks/stamp" 2>/dev/null)" = "$(sdks_hash)" ] || install_sdks
build
[ -z "${BASE:-}" ] || build_base
cd "$here"
python=$cache/venv/bin/python
if [ "$(id -u)" = 0 ]; then
    exec "$python" bench.py
else
    exec sudo --preserve-env=BENCH_QUICK,BENCH_ONLY,BENCH_CYCLES,BENCH_BASE,BITTERN \
        env "BITTERN_CACHE=$cache" "$python" bench.py
fi
