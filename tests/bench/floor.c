// SPDX-License-Identifier: Apache-2.0
/* floor OBJECT - attaches all programs of the object, says "ready", and stays until it is killed;
 * then the kernel removes them. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct bpf_object *object = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;
	struct bpf_program *program;

	if (!object || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__attach(program))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
