// SPDX-License-Identifier: Apache-2.0
/* pairs - what a write and a read of 64 bytes, not HTTP, cost. Reads lines "tcp COUNT" or "unix
 * COUNT", answers each with ns of CPU per pair. One thread holds both ends: no switch of context is
 * in the time. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int open_unix(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}

static int open_tcp(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &len))
		return -1;
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (struct sockaddr *)&address, len))
		return -1;
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return ends[1] < 0 ? -1 : 0;
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static int run(int ends[2], long count)
{
	char bytes[64] = "not HTTP";
	long i;

	for (i = 0; i < count; i++) {
		if (write(ends[0], bytes, sizeof(bytes)) != sizeof(bytes) ||
		    read(ends[1], bytes, sizeof(bytes)) != sizeof(bytes))
			return -1;
	}
	return 0;
}

int main(void)
{
	char kind[8];
	long count;

	while (scanf("%7s %ld", kind, &count) == 2) {
		int ends[2];
		double before;

		if (!strcmp(kind, "tcp") ? open_tcp(ends) : open_unix(ends))
			return 1;
		before = cpu_ns();
		if (run(ends, count))
			return 1;
		printf("%.1f\n", (cpu_ns() - before) / count);
		fflush(stdout);
		close(ends[0]);
		close(ends[1]);
	}
	return 0;
}
