#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-packages.sh BACKPORTS PACKAGE... - installs Debian packages, those named in BACKPORTS from
# bookworm-backports (which is added when it is missing) unless the release itself has libbpf 1.4 or
# newer.
set -eu
backports=$1
shift
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
export DEBIAN_FRONTEND=noninteractive

. /etc/os-release
if [ "${VERSION_CODENAME:-}" = bookworm ] && [ -n "$backports" ] &&
    ! grep -rqs bookworm-backports /etc/apt/sources.list /etc/apt/sources.list.d; then
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Suite: stable' \
        2>/dev/null | grep -v security | head -n 1)
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
        grep -v security | head -n 1)
    echo "deb $mirror bookworm-backports main" |
        as_root tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null
fi
as_root apt-get update -qq
names=
for package in "$@"; do
    case " $backports " in
    *" $package "*) [ "${VERSION_CODENAME:-}" = bookworm ] && package=$package/bookworm-backports ;;
    esac
    names="$names $package"
done
case "$names" in
*libbpf-dev/*) names="$names libbpf1/bookworm-backports" ;;
esac
echo "installing:$names"
# shellcheck disable=SC2086
as_root apt-get install -y -qq --no-install-recommends $names >/dev/null
