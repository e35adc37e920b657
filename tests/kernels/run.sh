#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [--load] [SUITE...] - bittern on the kernels of other Debian suites (all, or those named),
# each booted under qemu with the root folder of this host, of which it changes nothing. Part of
# `make check-kernels`, which has built everything. No root and no /dev/kvm needed. Kernels are
# downloaded once, into ${BITTERN_CACHE:-~/.cache/bittern}/kernels: remove it to get what the suites
# have now. --load: only whether it loads, seconds each: what CI has time for. Exit status 1 when a
# test failed; a line SKIPPED when one could not run.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${BITTERN_CACHE:-$HOME/.cache/bittern}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
guest_seconds=480 # several times what it takes
# Suite, and what bittern does there.
kernels='
bookworm           refuses
bookworm-backports runs
trixie-backports   runs
'

# initramfs KERNEL JOB - on stdout
initramfs() {
    local tree=$work/tree
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,proc,dev,copy,host,tree}
    cp -r "$1/modules" "$tree"
    cp "$here/init.sh" "$tree/init"
    cp "$1/busybox" "$tree/bin"
    ln -s busybox "$tree/bin/sh"
    echo "$2" >"$tree/job"
    (cd "$tree" && find . | "$1/busybox" cpio -o -H newc 2>/dev/null | gzip -1)
}

# boot KERNEL JOB - the job's output on stdout; 0 when it succeeded and the kernel had nothing to
# complain of. All is emulated: /dev/kvm is rare, and not every one runs any kernel. In one thread:
# with more qemu now and then runs a half of the code that the kernel patches at that moment.
boot() {
    local output=$work/output console=$work/console ended
    initramfs "$@" >"$work/initramfs"
    timeout -k 5 "$guest_seconds" qemu-system-x86_64 -accel tcg,thread=single -cpu max \
        -smp 2 -m 2048 -nodefaults -display none -no-reboot \
        -kernel "$1/vmlinuz" -initrd "$work/initramfs" \
        -append "console=ttyS0 loglevel=5 panic=-1" \
        -serial "file:$console" -serial stdio \
        -virtfs local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on \
        </dev/null | tee "$output" | grep -av '^exit status '
    ended=$(tail -n 1 "$output")
    if grep -qaE 'WARNING:|BUG:|Oops' "$console" || [[ $ended != "exit status "* ]]; then
        echo "the kernel complained, or the guest did not come to its end; its console:"
        tail -n 60 "$console"
        return 1
    fi
    [ "$ended" = "exit status 0" ] # else a test has said why
}

skip() { echo "SKIPPED kernel of $1: $2"; }

# check SUITE refuses|runs
check() {
    local kernel=$cache/kernels/$1 job
    [ "$(uname -m)" = x86_64 ] || { skip "$1" "only on x86_64" && return; }
    command -v qemu-system-x86_64 >/dev/null || { skip "$1" "no qemu-system-x86_64" && return; }
    [ -e "$kernel/release" ] || "$here/fetch.sh" "$1" "$kernel" ||
        { skip "$1" "it cannot be downloaded" && return; }
    echo "--- $(<"$kernel/release") ($1): bittern $2"
    printf -v job '%q ' env "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        HOME=/root TMPDIR=/run BITTERN_EMULATED=1 \
        "BITTERN_CACHE=$cache" "PYTHONPATH=$root/tests/e2e" \
        "$cache/venv/bin/python" -m pytest -c "$root/tests/e2e/pytest.ini" \
        --rootdir "$root" -p conftest --timeout 240 -q --color=no \
        -k "${only:-test}" "$here/test_$2.py"
    boot "$kernel" "$job"
}

only=
if [ "${1:-}" = --load ]; then
    only="check or refuses"
    shift
fi
mkdir -p "$cache"
exec 9>"$cache/kernels.lock"
flock 9
"$root/tests/setup.sh" || exit 1
status=0
while read -r suite does; do
    [ -n "$suite" ] || continue
    [ $# = 0 ] || [[ " $* " == *" $suite "* ]] || continue
    check "$suite" "$does" || status=1
done <<<"$kernels"
exit $status
