/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The return addresses of the calling thread.
 *
 *	bufftrack_unwind()	the one way in (fast.c)
 *	fast.c		walks the stack by compact rules: one rule a return address
 *	libgcc.c	walks the stack by libgcc, where no compact rule exists
 *	rules.c		keeps the rules, and knows when a library was replaced
 *	eh_frame.c	finds a function in the unwind tables (.eh_frame)
 *	cfi.c		makes a rule out of what they say
 *	bounds.c	knows how far the stack reaches
 *
 * Each file calls only files below it in this list. Everything here may run in a
 * signal handler and in the child of a fork(): no locks, no allocations. Once a
 * stack was seen (its rules are then known) collecting it again makes no system call.
 */
#ifndef BUFFTRACK_UNWIND_H
#define BUFFTRACK_UNWIND_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef HIDDEN
#define HIDDEN __attribute__((visibility("hidden")))
#endif

/* glibc 2.35 and later find the unwind tables of an address without a lock. */
#if defined(__x86_64__) && defined(__LP64__) && defined(DLFO_STRUCT_HAS_EH_DBASE)
#define BUFFTRACK_RULES 1
#else
#define BUFFTRACK_RULES 0
#endif

/*
 * Where a stack begins: at the caller of the function that says this. The function must
 * not end in a tail call, and must need no aligned locals: its frame is read later.
 */
#if BUFFTRACK_RULES
#define BUFFTRACK_HERE() __builtin_frame_address(0)
#else
#define BUFFTRACK_HERE() __builtin_extract_return_addr(__builtin_return_address(0))
#endif

#define BUFFTRACK_NO_TAIL_CALL() __asm__ volatile("")

HIDDEN unsigned int bufftrack_unwind(uint64_t *frames, unsigned int max, const void *here);

/* Finds libgcc's functions. Not for signal handlers; may be called any number of times. */
HIDDEN void bufftrack_unwind_init(void);

HIDDEN unsigned int bufftrack_unwind_libgcc(uint64_t *frames, unsigned int max, const void *here);

#if BUFFTRACK_RULES

/*
 * A rule says how to leave one frame. Its bits:
 *
 *	0-7	RULE_* flags
 *	8-15	the library it belongs to: a number of rules.c; 0 is never unloaded
 *	16-31	where rbp was saved: 65536 less so many words below the CFA
 *	32-63	signed: what to add to rsp or rbp, to get the CFA
 *
 * The CFA (canonical frame address) is the caller's rsp after the return; the return
 * address lies in the word below it.
 */
#define RULE_FP (1U << 0) /* the CFA is counted from rbp, not from rsp */
#define RULE_SAVED (1U << 1) /* the frame saved rbp */
#define RULE_REALIGNED (1U << 2) /* the CFA lies in memory, at rbp + offset; rbp at *rbp */
#define RULE_END (1U << 3) /* the outermost frame */
#define RULE_FIRST_BYTE (1U << 4) /* the address is a function's first byte: nothing called */
#define RULE_OTHER (1U << 5) /* only libgcc can leave this frame */
#define RULE_UNKNOWN (1U << 6) /* no loaded library has this address */

#define RULE_LIBRARY_SHIFT 8
#define RULE_LIBRARY (0xffU << RULE_LIBRARY_SHIFT)
#define RULE_SAVED_SHIFT 16
#define RULE_SAVED_BIAS (1U << 16)
#define RULE_OFFSET_SHIFT 32

/* Flags that the short way through fast.c does not handle. */
#define RULE_RARE (RULE_REALIGNED | RULE_END | RULE_FIRST_BYTE | RULE_OTHER | RULE_UNKNOWN)

/* Where a frame with RULE_SAVED has rbp */
static inline uintptr_t bufftrack_rule_saved(uint64_t rule, uintptr_t cfa)
{
	return cfa + 8 * ((rule >> RULE_SAVED_SHIFT & 0xffff) - (uintptr_t)RULE_SAVED_BIAS);
}

/* eh_frame.c: the rule at @pc, an address inside of an instruction; RULE_END without a table */
#define RULE_NO_TABLE RULE_END
HIDDEN uint64_t bufftrack_eh_frame_rule(const void *eh_frame_hdr, uintptr_t pc);

/*
 * The cache of rules. An entry is two words that two threads may write at once; it counts
 * only where the first is the address, xored with the rule times an odd number. By that a
 * reader sees an entry whose halves come from two writers as a miss.
 */
#define RULE_CACHE_BITS 14
#define RULE_CACHE_FACTOR 0x5bd1e995UL /* odd, of 31 bits: one instruction multiplies by it */

struct rule_entry {
	uint64_t check;
	uint64_t rule;
};

extern HIDDEN struct rule_entry bufftrack_rules[1U << RULE_CACHE_BITS];

static inline struct rule_entry *bufftrack_rule_entry(uintptr_t address)
{
	/* Not the lowest bits of the product: they depend on few of the address's. */
	return &bufftrack_rules[(address * RULE_CACHE_FACTOR >> 16) &
				((1U << RULE_CACHE_BITS) - 1)];
}

/* rules.c: the rule of return address @address, read from the tables; kept where it can be */
HIDDEN uint64_t bufftrack_rule_find(uintptr_t address);
/* The same for @address, at which a signal interrupted the frame; never kept */
HIDDEN uint64_t bufftrack_rule_interrupted(uintptr_t address);
/* Whether the library of @rule, which the cache had for @address, is still the one it was. */
HIDDEN bool bufftrack_rule_holds(uintptr_t address, uint64_t rule);

/*
 * bounds.c: this thread's own stack, as far as it is known: lo to hi. Other stacks that it
 * may run on (a signal's, a coroutine's) are looked at page by page.
 */
struct stack_bounds {
	uintptr_t lo;
	uintptr_t hi; /* 0: not known yet */
	unsigned int collected; /* stacks, before they were known */
	bool grows; /* the main thread's */
};

#define BUFFTRACK_PAGE 4096UL

/* Static TLS, for which no memory is allocated when it is first used in a signal handler. */
extern HIDDEN __thread struct stack_bounds bufftrack_bounds
	__attribute__((tls_model("initial-exec")));

/* How far up from @sp memory is the stack's for certain. The page of @sp - 8 is at least. */
HIDDEN uintptr_t bufftrack_stack_end(uintptr_t sp);
/* Whether @size bytes at @address can be read. By a system call, unless on the own stack. */
HIDDEN bool bufftrack_readable(uintptr_t address, unsigned long size);

#endif /* BUFFTRACK_RULES */
#endif /* BUFFTRACK_UNWIND_H */
