// SPDX-License-Identifier: GPL-2.0
/*
 * The library's unwinder beside libgcc's, on the stacks of whatever program this is loaded
 * into: by LD_PRELOAD on each malloc(), or where the program calls unwind_compare().
 *
 * The expected frames come from libgcc itself, by a walk of this file. Of two frames the
 * library tells one address more than libgcc, so that they resolve to the right function: a
 * signal's trampoline, and the foot of a makecontext() stack. That is expected here, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "compare.h"

/* The file itself: what it does by rules alone, and what it leaves to libgcc, is counted. */
#include "unwind/fast.c"

#define EXPORT __attribute__((visibility("default"), noinline))
#define MOST 64

struct expected {
	uintptr_t caller;
	uintptr_t sp;
	bool outside;
	unsigned int n;
	unsigned int max;
	uint64_t frames[MOST];
};

static uint64_t samples, by_rules, different, feet, limit = ~0ULL, every = 1;
static __thread __attribute__((tls_model("initial-exec"))) unsigned int busy, calls;
static bool ready;

static __typeof__(_Unwind_Backtrace) *libgcc_backtrace;
static __typeof__(_Unwind_GetIPInfo) *libgcc_ip;
static __typeof__(_Unwind_GetCFA) *libgcc_cfa;

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct expected *expected = data;
	int interrupted = 0;
	uintptr_t address = libgcc_ip(context, &interrupted);

	if (!address)
		return _URC_END_OF_STACK;
	if (!expected->outside &&
	    (address != expected->caller || libgcc_cfa(context) != expected->sp))
		return _URC_NO_REASON;
	expected->outside = true;
	if (interrupted && expected->n)
		expected->frames[expected->n - 1]++; /* the trampoline */
	/* One more than is wanted: it may say of the one before that it is a trampoline. */
	if (expected->n == expected->max)
		return _URC_END_OF_STACK;
	expected->frames[expected->n++] = address + !!interrupted;
	return _URC_NO_REASON;
}

static bool same(const uint64_t *frames, unsigned int n, const struct expected *expected)
{
	if (n != expected->n)
		return false;
	if (!memcmp(frames, expected->frames, n * sizeof(*frames)))
		return true;
	if (memcmp(frames, expected->frames, (n - 1) * sizeof(*frames)) ||
	    frames[n - 1] != expected->frames[n - 1] + 1)
		return false;
	__atomic_fetch_add(&feet, 1, __ATOMIC_RELAXED);
	return true;
}

static void tell(const uint64_t *frames, unsigned int n, const struct expected *expected,
		 bool ruled)
{
	unsigned int i;

	fprintf(stderr, "%s: different, by %s: wanted, got\n", program_invocation_short_name,
		ruled ? "rules" : "libgcc");
	for (i = 0; i < n || i < expected->n; i++)
		fprintf(stderr, "%2u %16llx %16llx%s\n", i,
			i < expected->n ? (unsigned long long)expected->frames[i] : 0ULL,
			i < n ? (unsigned long long)frames[i] : 0ULL,
			i < n && i < expected->n && frames[i] == expected->frames[i] ? "" : " !");
}

static __attribute__((noinline)) void compare(const void *here)
{
	uint64_t number = __atomic_fetch_add(&samples, 1, __ATOMIC_RELAXED), frames[MOST];
	struct expected expected = {
		.caller = ((const uintptr_t *)here)[1],
		.sp = (uintptr_t)here + 16,
		.max = 1 + number * 2654435761U % MOST,
	};
	unsigned int n = unwind_by_rules(frames, expected.max, here);
	bool ruled = n;

	if (ruled)
		__atomic_fetch_add(&by_rules, 1, __ATOMIC_RELAXED);
	else
		n = bufftrack_unwind_libgcc(frames, expected.max, here);
	libgcc_backtrace(step, &expected);
	if (!same(frames, n, &expected) && __atomic_fetch_add(&different, 1, __ATOMIC_RELAXED) < 3)
		tell(frames, n, &expected, ruled);
}

EXPORT void unwind_compare(void)
{
	busy++;
	compare(BUFFTRACK_HERE());
	busy--;
	BUFFTRACK_NO_TAIL_CALL();
}

EXPORT unsigned int unwind_only(uint64_t *frames, unsigned int max)
{
	unsigned int n = bufftrack_unwind(frames, max, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return n;
}

EXPORT uint64_t unwind_by_own_rules(void)
{
	return by_rules;
}

EXPORT uint64_t unwind_different(void)
{
	return different;
}

/* ---- loaded before a program ---------------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nr, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static void sample(const void *here)
{
	int saved = errno;

	if (!ready || busy || samples >= limit)
		return;
	busy++;
	if (++calls % every == 0)
		compare(here);
	busy--;
	errno = saved;
}

/* Programs that call unwind_compare() themselves are not disturbed. */
static bool preloaded;

EXPORT void *malloc(size_t size)
{
	if (preloaded)
		sample(BUFFTRACK_HERE());
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t nr, size_t size)
{
	if (preloaded)
		sample(BUFFTRACK_HERE());
	return __libc_calloc(nr, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	if (preloaded)
		sample(BUFFTRACK_HERE());
	return __libc_realloc(old, size);
}

/* ---- begin and end -------------------------------------------------------- */

static void *need(void *handle, const char *name)
{
	void *found = handle ? dlsym(handle, name) : NULL;

	if (found)
		return found;
	fprintf(stderr, "compare: no %s in libgcc_s.so.1\n", name);
	_exit(99);
}

static __attribute__((constructor)) void begin(void)
{
	void *handle = dlopen("libgcc_s.so.1", RTLD_LAZY);

	libgcc_backtrace = need(handle, "_Unwind_Backtrace");
	libgcc_ip = need(handle, "_Unwind_GetIPInfo");
	libgcc_cfa = need(handle, "_Unwind_GetCFA");
	bufftrack_unwind_init();
	if (getenv("UNWIND_EVERY"))
		every = strtoull(getenv("UNWIND_EVERY"), NULL, 10);
	if (getenv("UNWIND_LIMIT"))
		limit = strtoull(getenv("UNWIND_LIMIT"), NULL, 10);
	preloaded = getenv("UNWIND_PRELOADED");
	__atomic_store_n(&ready, true, __ATOMIC_RELEASE);
}

static __attribute__((destructor)) void finish(void)
{
	const char *path = getenv("UNWIND_REPORT");
	char line[256];
	int fd, len;

	ready = false;
	if (!path || !samples)
		return;
	len = snprintf(line, sizeof(line), "%s %llu %llu %llu %llu\n",
		       program_invocation_short_name, (unsigned long long)samples,
		       (unsigned long long)by_rules, (unsigned long long)different,
		       (unsigned long long)feet);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || write(fd, line, len) != len)
		_exit(99);
	close(fd);
}
