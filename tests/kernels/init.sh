#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of a guest: lets it have its host's files, of which it changes only a copy in
# its memory, and runs /job there. Job's output and, last, its exit status go to the second serial
# line; what goes wrong before is on the first.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t devtmpfs none /dev
for module in /modules/*.ko; do
    insmod "$module" || echo "init: no $module"
done
mount -t tmpfs none /copy
mkdir /copy/changes /copy/work
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /host
mount -t overlay -o lowerdir=/host,upperdir=/copy/changes,workdir=/copy/work none /tree
mount -t proc none /tree/proc
mount -t sysfs none /tree/sys
mount -t devtmpfs none /tree/dev
mount -t tmpfs none /tree/run
ifconfig lo 127.0.0.1 up
stty -F /dev/ttyS1 raw
# The tree becomes the root of its mount namespace, as any other root is.
cat >/tree/run/job <<END
( $(cat /job) ) >/dev/ttyS1 2>&1 </dev/null
echo "exit status \$?" >/dev/ttyS1
echo o >/proc/sysrq-trigger
sleep 60
END
exec switch_root /tree /bin/bash /run/job
