// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The return addresses of the calling thread.
 *
 * By libgcc's _Unwind_Backtrace(). It goes by the unwind tables (.eh_frame), so
 * that frame pointers are not needed. It takes no memory and no cache of its
 * own: with glibc 2.35 and gcc 12 it finds the tables by _dl_find_object(), which
 * is safe in a signal handler and in the child of a fork() that another thread's
 * unwinding was cut short by. Not so in gcc 12 once code was registered by
 * __register_frame(), as LLVM's JIT does: then it looks there first, under a lock
 * that a handler or a child can find taken for good; gcc 13 has none. libunwind's
 * unw_backtrace() is faster, but holds locks across dl_iterate_phdr() and keeps
 * caches: its users know deadlocks in handlers and children. And libgcc is in
 * every C++ process already: one dependency less, one unwinder less to disagree.
 */
#include <unwind.h>

#include "lib.h"

/* Frames of this library between _Unwind_Backtrace() and its caller, at most. */
#define OWN_FRAMES 8

struct walk {
	uintptr_t caller;
	bool outside;
	unsigned int skipped;
	unsigned int depth;
	unsigned int max;
	uint64_t *frames;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	uintptr_t address;
	int interrupted = 0;

	address = _Unwind_GetIPInfo(context, &interrupted);
	if (!address)
		return _URC_END_OF_STACK;
	if (!walk->outside) {
		if (address != walk->caller)
			return ++walk->skipped > OWN_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
		walk->outside = true;
	}
	/*
	 * Who resolves a return address looks at the byte before it, to be in the
	 * call. Of a frame that a signal interrupted this is the instruction itself.
	 */
	walk->frames[walk->depth++] = address + !!interrupted;
	/* Nothing is read beyond the last frame that is wanted. */
	return walk->depth == walk->max ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/*
 * Writes at most @max return addresses, innermost first, from @caller on, which
 * is the return address of the library's function that was called: the frames of
 * the library itself lie before it, however many the compiler made of them.
 * Returns how many; 0 where the stack cannot be unwound.
 */
unsigned int bufftrack_collect(uint64_t *frames, unsigned int max, const void *caller)
{
	struct walk walk = {
		.caller = (uintptr_t)__builtin_extract_return_addr((void *)caller),
		.frames = frames,
		.max = max,
	};

	if (max)
		_Unwind_Backtrace(step, &walk);
	return walk.depth;
}
