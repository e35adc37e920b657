// SPDX-License-Identifier: Apache-2.0
#include "priority.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

static int set_attributes(int nice)
{
	struct sched_attr attributes = {
		.size = SCHED_ATTR_SIZE_VER0,
		.sched_policy = SCHED_NORMAL,
		.sched_flags = SCHED_FLAG_RESET_ON_FORK,
		.sched_nice = nice,
		.sched_runtime = PRIORITY_SLICE_NS,
	};

	return syscall(SYS_sched_setattr, 0, &attributes, 0) ? -errno : 0;
}

/* Where the kernel groups tasks by session (sched(7), autogroup) a nice value counts within the
 * session only, and the group has one of its own. A session that somebody else leads is a
 * terminal's: it would raise all that runs there. */
static int set_session(int nice)
{
	cleanup_close int fd = -1;
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nice);

	if (getsid(0) != getpid())
		return 0;
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* a kernel without */
	return write(fd, text, (size_t)len) == len ? 0 : -errno;
}

int priority_raise(void)
{
	int nice, error, session_error;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, 0);
	if (nice == -1 && errno)
		return -errno;
	error = set_attributes(nice ? nice : PRIORITY_NICE);
	if (error && !nice)
		set_attributes(0); /* to run soon takes no privilege */
	session_error = set_session(nice ? nice : PRIORITY_NICE);
	return error ? error : session_error;
}
