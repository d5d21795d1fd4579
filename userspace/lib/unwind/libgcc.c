// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The walk along a stack by libgcc: for frames that no rule describes (a signal's, code made
 * at run time, unusual assembly), and for all of it on other machines than x86-64.
 *
 * With glibc 2.35 libgcc 12 finds the tables without a lock and without memory of its own. Not
 * so once code was registered by __register_frame(), as LLVM's JIT does: then it looks there
 * first, under a lock that a handler or a child of fork() can find taken for good; libgcc 13
 * has no such lock.
 *
 * Its functions are looked up in libgcc itself. libunwind has functions of the same names,
 * which take locks and block signals at each frame; in a program that is linked to it they
 * would come first.
 */
#include <stddef.h>
#include <unwind.h>

#include "unwind.h"

/* Frames of this library between _Unwind_Backtrace() and its caller, at most. */
#define OWN_FRAMES 12

/* Enough of code to tell a signal's trampoline by: libgcc looks at it. */
#define TRAMPOLINE 16

#define DWARF_FP 6

struct functions {
	__typeof__(_Unwind_Backtrace) *backtrace;
	__typeof__(_Unwind_GetIPInfo) *get_ip;
	__typeof__(_Unwind_GetCFA) *get_cfa;
	__typeof__(_Unwind_GetGR) *get_register;
};

/* As they are linked, until bufftrack_unwind_init() has found libgcc's; then constant */
static struct functions functions = {
	.backtrace = _Unwind_Backtrace,
	.get_ip = _Unwind_GetIPInfo,
	.get_cfa = _Unwind_GetCFA,
	.get_register = _Unwind_GetGR,
};

static void find(void *handle, const char *name, void *function)
{
	void *found = dlsym(handle, name);

	if (found)
		__atomic_store_n((void **)function, found, __ATOMIC_RELAXED);
}

/*
 * dlopen() itself is looked up, too: where it is named the linker warns of it in every program
 * that is linked statically. In such a one it is not found, and nothing is to be done.
 */
void bufftrack_unwind_init(void)
{
	static bool done; /* atomic; two threads may do it at once */
	__typeof__(dlopen) *open;
	void *handle = NULL;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	open = (__typeof__(open))dlsym(RTLD_DEFAULT, "dlopen");
	/*
	 * As glibc's backtrace() does. Mostly it is loaded already, but not where libunwind had
	 * all that was needed of it. It stays open: its functions are kept.
	 */
	if (open)
		handle = open("libgcc_s.so.1", RTLD_LAZY);
	if (handle) {
		find(handle, "_Unwind_Backtrace", &functions.backtrace);
		find(handle, "_Unwind_GetIPInfo", &functions.get_ip);
		find(handle, "_Unwind_GetCFA", &functions.get_cfa);
		find(handle, "_Unwind_GetGR", &functions.get_register);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
}

struct walk {
	uintptr_t caller;
	bool outside;
	unsigned int skipped;
	unsigned int depth;
	unsigned int max;
	uint64_t *frames;
};

#if BUFFTRACK_RULES

/* The CFA of a frame that @rule describes, or 0 where it cannot be read. */
static uintptr_t cfa_of(struct _Unwind_Context *context, uint64_t rule)
{
	uintptr_t cfa = functions.get_cfa(context);

	if (rule & (RULE_FP | RULE_REALIGNED))
		cfa = functions.get_register(context, DWARF_FP);
	cfa += (int64_t)rule >> RULE_OFFSET_SHIFT;
	if (!(rule & RULE_REALIGNED))
		return cfa;
	return bufftrack_readable(cfa, 8) ? *(const uintptr_t *)cfa : 0;
}

/*
 * Whether libgcc can go on to the caller of the frame that @rule is for. It would read what
 * lies beyond the foot of a stack that has no proper end (a coroutine's), and fault.
 */
static bool can_leave(struct _Unwind_Context *context, uint64_t rule)
{
	uintptr_t cfa, caller;

	if (rule & (RULE_END | RULE_OTHER | RULE_UNKNOWN))
		return true;
	cfa = cfa_of(context, rule);
	if (!bufftrack_readable(cfa - 8, 8) ||
	    (rule & RULE_SAVED && !bufftrack_readable(bufftrack_rule_saved(rule, cfa), 8)))
		return false;
	caller = *(const uintptr_t *)(cfa - 8);
	if (!caller || !(bufftrack_rule_find(caller) & (RULE_UNKNOWN | RULE_END)))
		return true;
	return bufftrack_readable(caller, TRAMPOLINE);
}

static bool look(struct _Unwind_Context *context, uintptr_t *address, bool interrupted)
{
	uint64_t rule = interrupted ? bufftrack_rule_interrupted(*address)
				    : bufftrack_rule_find(*address);
	bool goes_on = can_leave(context, rule);

	if (!interrupted && rule & RULE_FIRST_BYTE)
		++*address;
	return goes_on;
}

static uintptr_t caller_of(const void *here)
{
	return ((const uintptr_t *)here)[1];
}

#else

static bool look(struct _Unwind_Context *context, uintptr_t *address, bool interrupted)
{
	(void)context;
	(void)address;
	(void)interrupted;
	return true;
}

static uintptr_t caller_of(const void *here)
{
	return (uintptr_t)here;
}

#endif

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	uintptr_t address;
	int interrupted = 0;
	bool goes_on;

	address = functions.get_ip(context, &interrupted);
	if (!address)
		return _URC_END_OF_STACK;
	if (!walk->outside) {
		if (address != walk->caller)
			return ++walk->skipped > OWN_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
		walk->outside = true;
	}
	goes_on = look(context, &address, interrupted);
	/*
	 * Who resolves a return address looks at the byte before it, to be in the
	 * call. Of a frame that a signal interrupted this is the instruction itself.
	 */
	walk->frames[walk->depth++] = address + !!interrupted;
	/* Nothing is read beyond the last frame that is wanted. */
	return walk->depth == walk->max || !goes_on ? _URC_END_OF_STACK : _URC_NO_REASON;
}

unsigned int bufftrack_unwind_libgcc(uint64_t *frames, unsigned int max, const void *here)
{
	struct walk walk = {
		.caller = caller_of(here),
		.frames = frames,
		.max = max,
	};

	functions.backtrace(step, &walk);
	return walk.depth;
}
