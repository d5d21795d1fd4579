/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the parts of the library know of each other. */
#ifndef BUFFTRACK_LIB_H
#define BUFFTRACK_LIB_H

#include <stdbool.h>

#include "bufftrack.h"

/*
 * Not inlined, not even by link time optimisation: see BUFFTRACK_HERE(). In the archive they
 * are hidden, so that a shared library that is linked to it does not export them.
 */
#ifdef BUFFTRACK_STATIC
#define EXPORT __attribute__((visibility("hidden"), noinline))
#else
#define EXPORT __attribute__((visibility("default"), noinline))
#endif
#define HIDDEN __attribute__((visibility("hidden")))

/* Frames that are collected, at most, whatever the kernel would take. */
#define BUFFTRACK_DEPTH 128

/*
 * A handle. But for the depth, and for the client's id, which bufftrack_reopen()
 * changes, it is constant once it is open: there is nothing to lock.
 */
struct bufftrack {
	int fd;
	bool debug;
	bool depth_fixed; /* by the environment */
	unsigned int depth; /* of the stacks to collect; atomic */
	unsigned int max_depth;
	unsigned int max_batch;
	uint64_t features;
	uint64_t id; /* the client's, which tells whether the file is still ours */
};

HIDDEN int bufftrack_ioctl(int fd, unsigned long command, void *arg);
HIDDEN void bufftrack_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* BUFFTRACK_LIB_H */
