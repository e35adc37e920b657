/* SPDX-License-Identifier: Apache-2.0 */
/* priority - runs the calling thread soon after it has work, also on a host whose CPUs are busy:
 * the ring holds some tens of milliseconds of full load. What it does takes little. */
#ifndef BITTERN_PRIORITY_H
#define BITTERN_PRIORITY_H

#define PRIORITY_NICE (-10)
#define PRIORITY_SLICE_NS 100000 /* what Linux 6.12 and later takes for: soon, but not for long */

/* Best effort: each step is tried, whatever became of the others. 0, or -errno of the first that
 * was refused (most likely for want of CAP_SYS_NICE and of RLIMIT_NICE). A nice value that somebody
 * has given stays what it is. Threads that are started later have no priority. */
int priority_raise(void);

#endif
