// SPDX-License-Identifier: Apache-2.0
/* Files that this process maps, by itself looked at: with and without privilege. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../agent/cleanup.h"
#include "../agent/mapped_file.h"

#define BYTES 4096

struct mapped {
	char path[32];
	int fd;
	void *memory;
	struct new_mapping mapping;
};

static int set_up(void **state)
{
	static struct mapped m;
	struct stat status;

	snprintf(m.path, sizeof(m.path), "/tmp/mapped-XXXXXX");
	m.fd = mkstemp(m.path);
	assert_true(m.fd >= 0);
	assert_int_equal(ftruncate(m.fd, BYTES), 0);
	assert_int_equal(fstat(m.fd, &status), 0);
	m.memory = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, m.fd, 0);
	assert_ptr_not_equal(m.memory, MAP_FAILED);
	m.mapping = (struct new_mapping){
		.pid = getpid(),
		.begin = (uint64_t)(uintptr_t)m.memory,
		.end = (uint64_t)(uintptr_t)m.memory + BYTES,
		.inode = status.st_ino,
		.path = m.path,
	};
	*state = &m;
	return 0;
}

static int tear_down(void **state)
{
	struct mapped *m = *state;

	munmap(m->memory, BYTES);
	close(m->fd);
	unlink(m->path);
	return 0;
}

static void a_mapped_file_is_opened(void **state)
{
	struct mapped *m = *state;
	cleanup_close int fd = mapped_file_open("/proc", &m->mapping);

	assert_true(fd >= 0);
	assert_true(mapped_file_is_same(fd, m->fd));
}

/* By its mapping it is found; by its path it cannot be, and another must not be taken for it. */
static void another_of_its_name_is_not_taken_for_it(void **state)
{
	struct mapped *m = *state;
	cleanup_close int other = -1, fd = -1;

	assert_int_equal(unlink(m->path), 0);
	other = open(m->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(other >= 0);
	fd = mapped_file_open("/proc", &m->mapping);
	if (fd >= 0) {
		assert_true(mapped_file_is_same(fd, m->fd));
		assert_false(mapped_file_is_same(fd, other));
	} else {
		assert_int_equal(fd, -ESTALE);
	}
}

static void a_mapping_that_has_gone_is_told(void **state)
{
	struct mapped *m = *state;
	struct new_mapping none = m->mapping;

	none.pid = 0x3fffffff;
	assert_int_equal(mapped_file_open("/proc", &none), -ENOENT);
}

static void what_is_no_regular_file_is_refused(void **state)
{
	struct mapped *m = *state;
	struct new_mapping device = m->mapping;
	struct stat status;

	/* where there are no mappings only the path is left */
	assert_int_equal(stat("/dev/null", &status), 0);
	device.path = "/dev/null";
	device.inode = status.st_ino;
	device.begin = device.end = 0;
	assert_true(mapped_file_open("/proc", &device) < 0);
}

static void files_are_told_apart(void **state)
{
	struct mapped *m = *state;
	cleanup_close int same = open(m->path, O_RDONLY | O_CLOEXEC);
	cleanup_close int other = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(mapped_file_is_same(m->fd, same));
	assert_false(mapped_file_is_same(m->fd, other));
	assert_false(mapped_file_is_same(m->fd, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_mapped_file_is_opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_of_its_name_is_not_taken_for_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_mapping_that_has_gone_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(files_are_told_apart, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("mapped_file", tests, NULL, NULL);
}
