// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The walk along a stack by rules: some thirty instructions a frame.
 *
 * The frames are those that libgcc would give, never others. Where a rule is missing, or
 * does not fit the stack, the whole stack is left to libgcc. Nothing outside of the stack is
 * ever read.
 */
#include "unwind.h"

#if BUFFTRACK_RULES

struct walk {
	uintptr_t pc;
	uintptr_t sp;
	uintptr_t fp;
	uintptr_t end; /* below it, memory is the stack's */
	uint64_t *at; /* where the next frame goes */
	uint64_t *last; /* where the last one may go */
	uint64_t library; /* RULE_LIBRARY bits of the library that was looked at last */
	uint64_t seen[4]; /* a bit for each library that was looked at */
};

enum step { STEP_NEXT, STEP_LAST, STEP_LIBGCC };

static inline uintptr_t word_at(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

/* RULE_UNKNOWN where the cache does not have it */
static inline uint64_t cached_rule(uintptr_t address)
{
	const struct rule_entry *entry = bufftrack_rule_entry(address);
	uint64_t check = __atomic_load_n(&entry->check, __ATOMIC_ACQUIRE);
	uint64_t rule = __atomic_load_n(&entry->rule, __ATOMIC_RELAXED);

	if (__builtin_expect((check ^ rule * RULE_CACHE_FACTOR) != address, 0))
		return RULE_UNKNOWN;
	return rule;
}

/* Not inlined: the compiler would keep pairs of these in vectors for it. */
static __attribute__((noinline)) void put_back(struct walk *walk, uintptr_t pc, uintptr_t sp,
					       uintptr_t fp, uint64_t *at)
{
	walk->pc = pc;
	walk->sp = sp;
	walk->fp = fp;
	walk->at = at;
}

/*
 * What the cache had is no rule yet, or that of another library than the one before: each of
 * them is looked at once in each stack. Returns the rule that is right now.
 */
static __attribute__((noinline)) uint64_t settle(struct walk *walk, uint64_t rule)
{
	unsigned int number = (rule & RULE_LIBRARY) >> RULE_LIBRARY_SHIFT;
	uint64_t bit = 1ULL << number % 64;

	if (rule == RULE_UNKNOWN)
		return bufftrack_rule_find(walk->pc);
	if (number && !(walk->seen[number / 64] & bit)) {
		if (!bufftrack_rule_holds(walk->pc, rule))
			return bufftrack_rule_find(walk->pc);
		walk->seen[number / 64] |= bit;
	}
	walk->library = rule & RULE_LIBRARY;
	return rule;
}

/*
 * The frame reaches beyond what is known of the stack. On the thread's own, the rule does not
 * fit. On another the next page may be a part of it; where it cannot be read, the stack ends.
 */
static __attribute__((noinline)) enum step go_beyond(struct walk *walk, uint64_t rule,
						     uintptr_t cfa)
{
	if (cfa % 8 || walk->end == bufftrack_bounds.hi)
		return STEP_LIBGCC;
	if (!bufftrack_readable(cfa - 8, 8) ||
	    (rule & RULE_SAVED && !bufftrack_readable(bufftrack_rule_saved(rule, cfa), 8)))
		return STEP_LAST;
	walk->end = ((cfa - 1) | (BUFFTRACK_PAGE - 1)) + 1;
	return STEP_NEXT;
}

/* "CFA = word at rbp + offset; rbp = word at rbp": gcc's way with realigned stacks */
static enum step leave_realigned(struct walk *walk, uint64_t rule)
{
	uintptr_t at = walk->fp + ((int64_t)rule >> RULE_OFFSET_SHIFT), cfa;

	if (at % 8 || walk->fp % 8 || at < walk->sp || at > walk->end - 8 || walk->fp < walk->sp ||
	    walk->fp > walk->end - 8)
		return STEP_LIBGCC;
	cfa = word_at(at);
	if (cfa % 8 || cfa < walk->sp + 8 || cfa > walk->end)
		return STEP_LIBGCC;
	walk->fp = word_at(walk->fp);
	walk->pc = word_at(cfa - 8);
	walk->sp = cfa;
	return STEP_NEXT;
}

static __attribute__((noinline)) enum step take_rare(struct walk *walk, uint64_t rule)
{
	if (rule & (RULE_OTHER | RULE_UNKNOWN))
		return STEP_LIBGCC;
	*walk->at = walk->pc + !!(rule & RULE_FIRST_BYTE);
	if (walk->at++ == walk->last || rule & RULE_END)
		return STEP_LAST;
	return leave_realigned(walk, rule);
}

/*
 * Writes the return addresses. Returns STEP_LIBGCC where libgcc has to do it. It reads frames
 * of other functions, which the address sanitizer would object to.
 */
static __attribute__((no_sanitize("address"))) enum step take_stack(struct walk *walk)
{
	uintptr_t pc = walk->pc, sp = walk->sp, fp = walk->fp, lowest;
	uint64_t *at = walk->at, *const last = walk->last;
	uint64_t expected = 0, rule;
	enum step step;

	while (pc) {
		rule = cached_rule(pc);
		if (__builtin_expect((rule ^ expected) & (RULE_LIBRARY | RULE_RARE), 0)) {
			put_back(walk, pc, sp, fp, at);
			rule = settle(walk, rule);
			expected = walk->library;
			if (rule & RULE_RARE) {
				step = take_rare(walk, rule);
				if (step != STEP_NEXT)
					return step;
				pc = walk->pc;
				sp = walk->sp;
				fp = walk->fp;
				at = walk->at;
				continue;
			}
		}
		*at = pc;
		if (at == last) {
			at++;
			break;
		}
		at++;
		/* From here on sp is the CFA. */
		lowest = sp + 8;
		sp += (int64_t)rule >> RULE_OFFSET_SHIFT;
		if (rule & RULE_FP) {
			sp += fp - (lowest - 8);
			if (sp < lowest)
				return STEP_LIBGCC;
		}
		if (__builtin_expect(sp > walk->end, 0)) {
			step = go_beyond(walk, rule, sp);
			walk->at = at;
			if (step != STEP_NEXT)
				return step;
		}
		if (rule & RULE_SAVED)
			fp = word_at(bufftrack_rule_saved(rule, sp));
		pc = word_at(sp - 8);
	}
	walk->at = at;
	return STEP_LAST;
}

static unsigned int unwind_by_rules(uint64_t *frames, unsigned int max, const void *here)
{
	const uintptr_t *frame = here; /* the saved rbp, and above it the return address */
	struct walk walk = {
		.fp = frame[0],
		.pc = frame[1],
		.sp = (uintptr_t)(frame + 2),
		.end = bufftrack_bounds.hi,
		.at = frames,
		.last = frames + max - 1,
	};

	if (__builtin_expect(walk.sp < bufftrack_bounds.lo || walk.sp > walk.end, 0))
		walk.end = bufftrack_stack_end(walk.sp);
	return take_stack(&walk) == STEP_LAST ? walk.at - frames : 0;
}

#endif /* BUFFTRACK_RULES */

/**
 * bufftrack_unwind() - the return addresses of the calling thread
 * @frames: where they are written, innermost first
 * @max: how many are wanted at most
 * @here: what BUFFTRACK_HERE() was in the function whose caller comes first
 *
 * Returns how many there are; 0 where the stack cannot be unwound.
 */
unsigned int bufftrack_unwind(uint64_t *frames, unsigned int max, const void *here)
{
	unsigned int n = 0;

	if (!max)
		return 0;
#if BUFFTRACK_RULES
	n = unwind_by_rules(frames, max, here);
#endif
	return n ? n : bufftrack_unwind_libgcc(frames, max, here);
}
