#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fetch.sh SUITE FOLDER - the kernel that linux-image-amd64 of this Debian suite stands for, into
# FOLDER: vmlinuz, release, and what a guest needs to mount a folder of its host: busybox, and the
# modules/ in the order of their names. Downloaded by an apt with lists of its own, so that the
# host's are left alone, nothing is installed and no root is needed. Exit status 1: it cannot be
# had.
set -euo pipefail
suite=$1 folder=$2
mirror=http://deb.debian.org/debian
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# In the order in which they need one another; a kernel can have some built in.
modules=(virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
    netfs fscache 9pnet 9pnet_virtio 9p overlay)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,in,out/modules}
touch "$work/status"
echo "deb [arch=amd64 signed-by=$keys] $mirror $suite main" >"$work/sources.list"
options=(-qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status"
    -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)" -o APT::Architecture=amd64
    -o Acquire::http::Timeout=20)

depends_on() { apt-cache "${options[@]}" depends --important "$1" | grep -oP 'Depends: \K.*'; }

# unpack DEB... - the kernel and the modules that are modules in it
unpack() {
    local deb name numbered i=0
    for deb in "$@"; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/in" --wildcards --no-anchored \
            'vmlinuz*' "${modules[@]/%/.ko*}" bin/busybox 2>"$work/tar" ||
            ! grep -v 'Not found in archive\|Exiting with failure' "$work/tar" >&2
    done
    find "$work/in" -name 'vmlinuz*' -exec mv {} "$work/out/vmlinuz" \;
    find "$work/in" -path '*bin/busybox' -exec mv {} "$work/out/busybox" \;
    for name in "${modules[@]}"; do
        find "$work/in" -name "$name.ko.xz" -exec "$work/out/busybox" unxz {} \;
        printf -v numbered '%02d-%s.ko' $((i++)) "$name"
        find "$work/in" -name "$name.ko" -exec mv {} "$work/out/modules/$numbered" \;
    done
}

apt-get "${options[@]}" update
image=$(depends_on linux-image-amd64 | grep -m 1 '^linux-image-')
release=${image#linux-image-}
# Since Linux 7.x Debian's image is in two other packages.
mapfile -t parts < <(depends_on "$image" | grep -E '^linux-(binary|modules)-')
(cd "$work/debs" && apt-get "${options[@]}" download "$image" "${parts[@]}")
echo "deb [arch=amd64 signed-by=$keys] $mirror bookworm main" >"$work/sources.list"
apt-get "${options[@]}" update
(cd "$work/debs" && apt-get "${options[@]}" download busybox-static)
unpack "$work"/debs/*.deb
echo "$release" >"$work/out/release"
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
mv "$work/out" "$folder"
