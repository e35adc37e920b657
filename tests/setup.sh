#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the end-to-end tests need: Debian packages, a Python venv, Node modules, QEMU,
# Prometheus and an OpenTelemetry Collector (both built, where there is Go: minutes, once).
# All outside the tree, in ${BITTERN_CACHE:-~/.cache/bittern}: venv/, node/node_modules/,
# node/bin/node, bin/prometheus, bin/promtool, collector/otelcol. Each part is installed when it is
# missing or when what it is made from has changed: instant, and without network, when everything
# is in place.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BITTERN_CACHE:-$HOME/.cache/bittern}
node_min=20 # fastify's; Debian 12 has 18
node_npm=22 # installed from npm's `node` package when there is none so new

# Go compiles a good third faster what it does not optimise, and with more memory.
go_quick="all=-N -l"
export GOGC=800

prometheus_version=3.15.0
prometheus_module=v0.315.0

say() { echo "tests/setup.sh: $*"; }

python_hash() {
    {
        cat "$here/e2e/requirements.txt"
        python3 -c 'import sys; print(sys.version, sys.executable)' 2>&1
    } | sha256sum
}

node_hash() {
    {
        cat "$here/e2e/package-lock.json"
        echo "$node_min $node_npm $(command -v node) $(node --version 2>&1)"
    } | sha256sum
}

# in_place FOLDER HASH - whether it was installed, up to the end, from what has this hash
in_place() { [ "$(cat "$cache/$1/installed" 2>/dev/null)" = "$2" ]; }

debian_missing() {
    command -v wrk >/dev/null || echo wrk
    [ -e /usr/include/liburing.h ] || echo liburing-dev
    [ -x /usr/sbin/runc ] || command -v runc >/dev/null || echo runc
    command -v openssl >/dev/null || echo openssl
    command -v cc >/dev/null || echo gcc libc6-dev
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3 python3-venv
    command -v npm >/dev/null || echo nodejs npm
}

install_debian() {
    local missing
    missing=$(debian_missing)
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # one word a package
    "$here/../deploy/install-packages.sh" "" $missing
    did+=("${missing//$'\n'/ }")
}

install_python() {
    local hash
    hash=$(python_hash)
    ! in_place venv "$hash" || return 0
    rm -rf "$cache/venv"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
        -r "$here/e2e/requirements.txt"
    echo "$hash" >"$cache/venv/installed"
    did+=("Python packages")
}

install_node() {
    local hash major
    hash=$(node_hash)
    ! in_place node "$hash" || return 0
    rm -rf "$cache/node"
    mkdir -p "$cache/node/bin"
    cp "$here/e2e/package.json" "$here/e2e/package-lock.json" "$cache/node"
    npm ci --prefix "$cache/node" --no-audit --no-fund --loglevel=error >&2
    did+=("Node modules")
    major=$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)
    if [ "$major" -ge "$node_min" ]; then
        ln -s "$(command -v node)" "$cache/node/bin/node"
    else
        npm install --prefix "$cache/node/runtime" --no-audit --no-fund --loglevel=error \
            "node@$node_npm" >&2
        ln -s "$(readlink -f "$cache/node/runtime/node_modules/.bin/node")" "$cache/node/bin/node"
        did+=("node $node_npm")
    fi
    echo "$hash" >"$cache/node/installed"
}

go_is_there() {
    ! command -v go >/dev/null || return 0
    echo "no Go: the tests of $1 will be skipped" >&2
    return 1
}

# Debian 12 has Prometheus 2, and the package of later releases leaves the receiver of OTLP out. So
# it is compiled as a part of a module of ours, without the clients of all the clouds: 2 minutes.
install_prometheus() {
    local folder flags programs module=github.com/prometheus
    ! in_place prometheus "$prometheus_module" || return 0
    rm -rf "$cache/bin/prometheus" "$cache/bin/promtool" "$cache/prometheus"
    go_is_there "a real Prometheus" || return 0
    folder=$(mktemp -d)
    programs=("$module/prometheus/cmd/prometheus" "$module/prometheus/cmd/promtool")
    flags=(-trimpath -tags remove_all_sd "-gcflags=$go_quick"
        -ldflags "-s -w -X $module/common/version.Version=$prometheus_version")
    mkdir -p "$cache/bin" "$cache/prometheus"
    if (cd "$folder" && go mod init tests && go get "${programs[@]/%/@$prometheus_module}" &&
        go build "${flags[@]}" -o "$cache/bin" "${programs[@]}") >"$folder/log" 2>&1; then
        echo "$prometheus_module" >"$cache/prometheus/installed"
        did+=("Prometheus $prometheus_version")
    else
        tail -n 5 "$folder/log" >&2
        echo "no Prometheus: its tests will be skipped" >&2
    fi
    rm -rf "$folder"
}

# No registry has one ready-made: its builder writes a program with the parts we name and compiles
# it, about 90 s.
install_collector() {
    local hash folder version
    hash=$(sha256sum <"$here/e2e/collector.yaml")
    ! in_place collector "$hash" || return 0
    go_is_there "a real OpenTelemetry Collector" || return 0
    version=$(sed -n 's/.*otlpreceiver //p' "$here/e2e/collector.yaml")
    folder=$(mktemp -d)
    rm -rf "$cache/collector"
    if (cd "$folder" && go run "-gcflags=$go_quick" -trimpath \
        "go.opentelemetry.io/collector/cmd/builder@$version" \
        --config "$here/e2e/collector.yaml" --gcflags "$go_quick") >"$folder/log" 2>&1; then
        mkdir -p "$cache/collector"
        mv "$folder/otelcol" "$cache/collector"
        echo "$hash" >"$cache/collector/installed"
        did+=("OpenTelemetry Collector $version")
    else
        tail -n 5 "$folder/log" >&2
        echo "no OpenTelemetry Collector: its tests will be skipped" >&2
    fi
    rm -rf "$folder"
}

# For tests/kernels/run.sh.
install_qemu() {
    [ "$(uname -m)" = x86_64 ] || return 0
    ! command -v qemu-system-x86_64 >/dev/null || return 0
    if "$here/../deploy/install-packages.sh" "" qemu-system-x86; then
        did+=("QEMU")
    else
        echo "no QEMU: the tests on other kernels will be skipped" >&2
    fi
}

mkdir -p "$cache"
exec 9>"$cache/e2e.lock"
flock 9
did=()
install_debian >&2
install_qemu >&2
install_python
install_node
install_prometheus
install_collector
if [ ${#did[@]} = 0 ]; then
    say "everything in place in $cache"
else
    printf -v list ', %s' "${did[@]}"
    say "installed ${list:2} in $cache"
fi
