#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-packages.sh BACKPORTS PACKAGE... - installs Debian packages, those named in BACKPORTS from
# bookworm-backports (which is added when it is missing) unless the release itself has libbpf 1.4 or
# newer. Without a package it only fetches the lists.
set -eu
backports=$1
shift
export DEBIAN_FRONTEND=noninteractive

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages are missing, and only root can install them:$names" >&2
        exit 1
    fi
}

# Where the release itself comes from; apt knows once it has been updated. None of a CD.
mirror() {
    apt-get indextargets --format '$(SITE)' \
        'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | grep -m 1 '^http' ||
        echo http://deb.debian.org/debian
}

. /etc/os-release
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
as_root apt-get update -qq
if [ "${VERSION_CODENAME:-}" = bookworm ] && [ -n "$backports" ] &&
    ! grep -rqsE '^[^#]*bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d; then
    echo "deb $(mirror) bookworm-backports main" |
        as_root tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null
    as_root apt-get update -qq
fi
[ -n "$names" ] || exit 0
echo "installing:$names"
# shellcheck disable=SC2086
as_root apt-get install -y -qq --no-install-recommends $names >/dev/null
