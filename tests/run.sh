#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [PYTEST OPTION...] - all tests: lint, unit tests, the same under sanitizers, the kernel
# side, whether it loads on other kernels, end to end.
# Every part runs, also after one has failed. With options only the end-to-end tests run:
# tests/run.sh -k fastapi -x Part of `make test`, which has built everything. Exit status 1 when a
# part failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
mkdir -p build
log=build/e2e.log
: >"$log"
export BITTERN_CACHE=${BITTERN_CACHE:-$HOME/.cache/bittern}
unset MAKEFLAGS MFLAGS # of the make that runs this
make=(make -s "-j$(nproc)")
summary=()
status=0

# part NAME COMMAND... - runs it and notes how it ended
part() {
    local name=$1 began=$SECONDS ended=passed
    shift
    echo "--- $name"
    "$@" || { ended=FAILED && status=1; }
    summary+=("$name: $ended, $((SECONDS - began)) s")
}

# The agent needs root; without root and without sudo its tests skip themselves.
end_to_end_tests() {
    local as_root=()
    [ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null ||
        as_root=(sudo "--preserve-env=BITTERN,BITTERN_LOAD_SECONDS")
    tests/setup.sh || return 1
    "${as_root[@]}" env "BITTERN_CACHE=$BITTERN_CACHE" PYTHONDONTWRITEBYTECODE=1 \
        "$BITTERN_CACHE/venv/bin/python" -m pytest "$@" 2>&1 | tee -a "$log"
}

# Each hook, triggered over loopback.
kernel_side() {
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        echo "SKIPPED the kernel side: neither root nor sudo" >>"$log"
        return 0
    fi
    "${make[@]}" check-bpf
}

# Whether the programs load on the kernels of other Debian suites.
other_kernels() {
    echo "SKIPPED hooks and requests on other kernels: make check-kernels, some minutes" >>"$log"
    tests/kernels/run.sh --load 2>&1 | tee -a "$log"
}

# Random bytes, endless heads and the like against an agent that stops at the first bad access.
hostile() {
    "${make[@]}" SAN=1 && BITTERN=$PWD/build/san/bittern end_to_end_tests tests/e2e/test_hostile.py
}

if [ $# = 0 ]; then
    part "lint" "${make[@]}" lint
    part "unit tests" "${make[@]}" check
    part "unit tests under ASan and UBSan" "${make[@]}" SAN=1 check
    part "kernel side" kernel_side
    part "other kernels" other_kernels
fi
[ $# != 0 ] || part "hostile input, agent under ASan and UBSan" hostile
part "end to end" end_to_end_tests tests/e2e "$@"

echo
printf '%s\n' "${summary[@]}"
skipped=$(grep -E '^SKIPPED ' "$log" 2>/dev/null)
echo "skipped: ${skipped:-nothing}"
exit $status
