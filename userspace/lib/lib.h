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

/* In place of a file's number and one: this process, a child, can have no client. */
#define NO_CLIENT (-1)

/*
 * A handle. But for the depth, and for the client's file and id, which a child of fork()
 * and bufftrack_reopen() change, it is constant once it is open: there is nothing to lock.
 */
struct bufftrack {
	int *own; /* this process's file and one, or NO_CLIENT; a child finds 0; atomic */
	int shared; /* where @own points if children share the client */
	int fd; /* as @own; in a child that has not called yet, its parent's */
	unsigned int flags; /* BUFFTRACK_CLIENT_* */
	bool named;
	char name[BUFFTRACK_NAME_LEN];
	bool debug;
	bool depth_fixed; /* by the environment */
	unsigned int depth; /* of the stacks to collect; atomic */
	unsigned int max_depth;
	unsigned int max_batch;
	uint64_t features;
	uint64_t id; /* the client's, which tells whether the file is still ours */
};

HIDDEN int bufftrack_ioctl(int fd, unsigned long command, void *arg);
HIDDEN int bufftrack_take_place(struct bufftrack *bt);
HIDDEN void bufftrack_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The file of this process's client; negative where it has none, and reports nothing. */
static inline int bufftrack_own_fd(struct bufftrack *bt)
{
	int word = __atomic_load_n(bt->own, __ATOMIC_ACQUIRE);

	return __builtin_expect(word > 0, 1) ? word - 1 : bufftrack_take_place(bt);
}

#endif /* BUFFTRACK_LIB_H */
