// SPDX-License-Identifier: GPL-2.0
/*
 * What collecting 16 frames costs in user space, warm: by libbufftrack, and by what others
 * collect them with. Each is taken from its own library by name: libunwind has functions of
 * libgcc's names.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <stddef.h>
#include <unwind.h>

#include "bench.h"
#include "unwind/unwind.h"

#define FRAMES 16
#define ROUNDS 1000
/* Before it counts: the first stacks of a thread are dearer. */
#define WARM 16

struct collected {
	uint64_t frames[FRAMES];
	unsigned int n;
};

/* Returns how many frames it has collected of its caller's stack. */
typedef unsigned int collect_fn(struct collected *collected);

static __typeof__(_Unwind_Backtrace) *libgcc_backtrace;
static __typeof__(_Unwind_GetIP) *libgcc_ip;
static int (*libunwind_backtrace)(void **frames, int max);

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct collected *collected = data;

	collected->frames[collected->n++] = libgcc_ip(context);
	return collected->n == FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static unsigned int by_libgcc(struct collected *collected)
{
	collected->n = 0;
	libgcc_backtrace(step, collected);
	return collected->n;
}

static unsigned int by_libunwind(struct collected *collected)
{
	return libunwind_backtrace((void **)collected->frames, FRAMES);
}

static unsigned int by_backtrace(struct collected *collected)
{
	return backtrace((void **)collected->frames, FRAMES);
}

static unsigned int by_bufftrack(struct collected *collected)
{
	unsigned int n = bufftrack_unwind(collected->frames, FRAMES, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return n;
}

static bool find_libraries(const struct row *row, struct sample *sample)
{
	bool libunwind = row->flags & ROW_LIBUNWIND;
	const char *name = libunwind ? "libunwind.so.8" : "libgcc_s.so.1";
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return cannot(sample, "%s is not here", name);
	if (libunwind)
		libunwind_backtrace = (int (*)(void **, int))dlsym(handle, "unw_backtrace");
	libgcc_backtrace = (__typeof__(libgcc_backtrace))dlsym(handle, "_Unwind_Backtrace");
	libgcc_ip = (__typeof__(libgcc_ip))dlsym(handle, "_Unwind_GetIP");
	if (!libgcc_backtrace || !libgcc_ip || (libunwind && !libunwind_backtrace))
		return cannot(sample, "%s has not what is measured", name);
	return true;
}

static void repeat(collect_fn *collect, struct sample *sample)
{
	struct collected collected;
	unsigned int i;

	for (i = 0; i < WARM + ROUNDS; i++) {
		if (i == WARM)
			begin(sample);
		if (collect(&collected) != FRAMES)
			die("fewer frames than there are");
	}
	end(sample, ROUNDS);
}

static __attribute__((noinline)) void deeper(unsigned int frames, collect_fn *collect,
					     struct sample *sample)
{
	if (frames)
		deeper(frames - 1, collect, sample);
	else
		repeat(collect, sample);
	/* Not a tail call */
	__asm__ volatile("");
}

bool measure_unwind(const struct row *row, struct sample *sample)
{
	collect_fn *collect = by_bufftrack;

	bufftrack_unwind_init();
	if (!find_libraries(row, sample))
		return false;
	if (row->flags & ROW_LIBGCC)
		collect = by_libgcc;
	else if (row->flags & ROW_LIBUNWIND)
		collect = by_libunwind;
	else if (row->flags & ROW_BACKTRACE)
		collect = by_backtrace;
	deeper(FRAMES, collect, sample);
	return true;
}
