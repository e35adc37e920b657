// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <string.h>

#include "utf8.h"

/* k8s.io/apimachinery/pkg/util/rand: no vowels, no digits that look like letters. */
#define SAFE_ALPHABET "bcdfghjklmnpqrstvwxz2456789"
#define DIGITS "0123456789"

/* Length of name without a last "-part" of min to max characters out of alphabet; len when it
 * has none. */
static size_t cut_part(const char *name, size_t len, const char *alphabet, size_t min, size_t max)
{
	size_t begin = len;

	while (begin && strchr(alphabet, name[begin - 1]))
		begin--;
	if (len - begin < min || len - begin > max || begin < 2 || name[begin - 1] != '-')
		return len;
	return begin - 1;
}

bool workload_of_pod(char *name, size_t size, const char *pod_name)
{
	size_t len = strlen(pod_name);
	size_t without_suffix = cut_part(pod_name, len, SAFE_ALPHABET, 5, 5);

	if (without_suffix == len) {
		len = cut_part(pod_name, len, DIGITS, 1, 10);
	} else {
		len = cut_part(pod_name, without_suffix, DIGITS, 8, 8);
		if (len == without_suffix)
			len = cut_part(pod_name, len, SAFE_ALPHABET, 8, 10);
	}
	return utf8_name(name, size, pod_name, len) > 0;
}
