// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * How far a stack reaches.
 *
 * A thread's own stack is there as long as the thread. Where it begins and ends is read once,
 * from /proc/self/maps; not for the first stacks of a thread, since many threads collect few.
 * Until then, and on every other stack (a signal's, a coroutine's, which a program may unmap or
 * move at any time), memory counts as the stack's page by page: the page that is in use, and
 * more where the kernel says that they can be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unwind.h"

#if BUFFTRACK_RULES

/* So many stacks of a thread are collected before its bounds are looked for. */
#define STACKS_BEFORE 8

/*
 * The main thread's stack grows down. The kernel keeps 1 MiB below it free of other mappings,
 * so that half of that can count as the stack's already.
 */
#define GROWTH (512UL << 10)
#define GROWN_MOST (64UL << 20)

__thread struct stack_bounds bufftrack_bounds;

/* A mapping that contains @anchor, out of /proc/self/maps */
struct search {
	uintptr_t anchor;
	uintptr_t start;
	uintptr_t end;
	bool found;
	/* the line that is being read */
	uintptr_t number;
	uintptr_t first;
	enum { IN_FIRST, IN_SECOND, IN_REST } part;
};

static void search_byte(struct search *search, char c)
{
	if (c == '\n') {
		search->part = IN_FIRST;
		search->number = 0;
	} else if (search->part == IN_REST) {
		return;
	} else if (c == '-') {
		search->first = search->number;
		search->number = 0;
		search->part = IN_SECOND;
	} else if (c == ' ') {
		search->part = IN_REST;
		if (search->anchor >= search->first && search->anchor < search->number) {
			search->start = search->first;
			search->end = search->number;
			search->found = true;
		}
	} else {
		search->number = search->number << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
}

/* By syscall(): open(), read() and close() are places where a thread can be cancelled. */
static void search_maps(struct search *search)
{
	int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char text[1024];
	long n, i;

	if (fd < 0)
		return;
	do {
		n = syscall(SYS_read, fd, text, sizeof(text));
		for (i = 0; i < n && !search->found; i++)
			search_byte(search, text[i]);
	} while (!search->found && (n > 0 || (n < 0 && errno == EINTR)));
	syscall(SYS_close, fd);
}

/* The kernel puts 16 random bytes onto the main stack; glibc each thread's data onto its own. */
static void learn(struct stack_bounds *own)
{
	bool is_main = syscall(SYS_gettid) == syscall(SYS_getpid);
	struct search search = {
		.anchor = is_main ? getauxval(AT_RANDOM) : (uintptr_t)pthread_self(),
	};

	search_maps(&search);
	own->grows = is_main && search.found;
	own->lo = search.found ? search.start - (is_main ? GROWTH : 0) : 1;
	own->hi = !search.found ? 1 : is_main ? search.end : search.anchor;
}

static bool is_due(struct stack_bounds *own, uintptr_t sp)
{
	if (!own->hi)
		return ++own->collected > STACKS_BEFORE;
	return own->grows && sp < own->lo && own->lo - sp < GROWN_MOST;
}

uintptr_t bufftrack_stack_end(uintptr_t sp)
{
	struct stack_bounds *own = &bufftrack_bounds;
	int saved = errno;

	if (is_due(own, sp)) {
		learn(own);
		errno = saved;
		if (sp >= own->lo && sp <= own->hi)
			return own->hi;
	}
	return ((sp - 1) | (BUFFTRACK_PAGE - 1)) + 1;
}

/*
 * The kernel reads the set of signals before it refuses what is to be done with it. No filter
 * of system calls forbids this one.
 */
static bool is_readable(uintptr_t address)
{
	return syscall(SYS_rt_sigprocmask, ~0, address & -8UL, NULL, 8) == -1 && errno != EFAULT;
}

bool bufftrack_readable(uintptr_t address, unsigned long size)
{
	const struct stack_bounds *own = &bufftrack_bounds;
	uintptr_t last = address + size - 1;
	int saved = errno;
	bool readable;

	if (last < address)
		return false;
	if (address >= (uintptr_t)__builtin_frame_address(0) && address >= own->lo &&
	    last < own->hi)
		return true;
	readable = is_readable(address);
	while (readable && (address | (BUFFTRACK_PAGE - 1)) < last) {
		address = (address | (BUFFTRACK_PAGE - 1)) + 1;
		readable = is_readable(address);
	}
	errno = saved;
	return readable;
}

#endif /* BUFFTRACK_RULES */
