/* SPDX-License-Identifier: GPL-2.0 */
/* The nth allocation, or copy from or to user memory, of this thread is to fail. */
#ifndef FAIL_H
#define FAIL_H

#include "bt.h"

#define MOST	2000		/* no call has as many allocations */
#define DEBUGFS	"/sys/kernel/debug/"

static int fail_fd = -1;
static int fail_on_fd = -1;

/* For this thread. A negative errno where the kernel cannot. */
static inline int fail_open(void)
{
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fail_fd < 0 ? -errno : 0;
}

/*
 * Waiting allocations may fail as well. Those of pages may not: the module has none
 * but through slabs, which fail themselves, and when a slab needs another page varies
 * from call to call, so that a sweep would skip a place here and there. All of it is
 * for tasks with a fail-nth only, since the probability is 0.
 */
static inline bool fail_can(void)
{
	return !access("/proc/thread-self/fail-nth", W_OK) &&
	       !bt_write(DEBUGFS "failslab/ignore-gfp-wait", "N") &&
	       !bt_write(DEBUGFS "fail_page_alloc/min-order", "20") &&
	       !access(DEBUGFS "fail_usercopy", X_OK);
}

/*
 * One failure is got over by whatever tries again, as an xarray does. Slabs can go on to
 * fail after the nth: while a fail-nth is counted down this has no say.
 */
static inline int fail_on_open(void)
{
	fail_on_fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);
	if (fail_on_fd < 0)
		return -errno;
	return bt_write(DEBUGFS "failslab/task-filter", "Y") ?:
	       bt_write(DEBUGFS "failslab/times", "-1") ?:
	       bt_write(DEBUGFS "failslab/probability", "100");
}

/* Of this thread: on before fail_arm(), off after fail_disarm(); neither has a slab. */
static inline void fail_on(bool on)
{
	if (pwrite(fail_on_fd, on ? "1" : "0", 1, 0) != 1)
		abort();
}

static inline void fail_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fail_fd, text, len, 0) != len)
		abort();
}

/* What is left to go until the fault, from 0: it has come to pass; ~0 where unknown. */
static inline unsigned int fail_left(void)
{
	char text[16] = "";

	/* Where the call did not reach it, it can befall these two: it is over then. */
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 0)
		return ~0U;
	if (pwrite(fail_fd, "0", 1, 0) != 1 && errno != EFAULT)
		abort();
	return strtoul(text, NULL, 10);
}

/* Whether the fault has come to pass. */
static inline bool fail_disarm(void)
{
	return !fail_left();
}

/* One reason for all tests of a program */
static inline void fail_or_skip(void)
{
	if (!fail_can())
		ksft_exit_skip("this kernel has no fail-nth for slabs and copies\n");
}

#endif /* FAIL_H */
