// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a failing sequence shorter and plainer, for as long as it fails: first
 * without ranges of steps, from large ranges to single steps, then with single
 * fields of steps at their simplest.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

struct shrink {
	struct sequence *seq;
	struct step *spare;
	unsigned int runs;
	unsigned int max_runs;
	sequence_fn fails;
	void *arg;
	const struct mismatch *first;
	bool other;
};

/* The same but for its numbers, up to what was expected */
static bool same_kind(const char *a, const char *b)
{
	for (;;) {
		while (isxdigit(*a))
			a++;
		while (isxdigit(*b))
			b++;
		if (*a != *b)
			return false;
		if (!*a || *a == ':')
			return true;
		a++;
		b++;
	}
}

/* Whether @seq fails in the same way; if so, what comes after the failing step is cut off. */
static bool still_fails(struct shrink *s, struct sequence *seq)
{
	struct mismatch mismatch;

	if (s->runs >= s->max_runs)
		return false;
	s->runs++;
	if (!s->fails(seq, NULL, &mismatch, s->arg))
		return false;
	if (!same_kind(mismatch.text, s->first->text)) {
		if (!s->other)
			printf("# differs otherwise: %s\n", mismatch.text);
		s->other = true;
		return false;
	}
	if (mismatch.step + 1 < seq->nr)
		seq->nr = mismatch.step + 1;
	return true;
}

static bool try_without(struct shrink *s, unsigned int from, unsigned int nr)
{
	struct sequence tried = *s->seq;

	tried.steps = s->spare;
	tried.nr -= nr;
	memcpy(tried.steps, s->seq->steps, from * sizeof(*tried.steps));
	memcpy(tried.steps + from, s->seq->steps + from + nr,
	       (tried.nr - from) * sizeof(*tried.steps));
	if (!still_fails(s, &tried))
		return false;
	memcpy(s->seq->steps, tried.steps, tried.nr * sizeof(*tried.steps));
	s->seq->nr = tried.nr;
	return true;
}

static bool shrink_steps(struct shrink *s)
{
	unsigned int size, from;
	bool any = false;

	for (size = (s->seq->nr + 1) / 2; size; size /= 2) {
		/* From the end: what went last is what fewest depend on. */
		from = s->seq->nr;
		while (from) {
			unsigned int nr = from < size ? from : size;

			from -= nr;
			if (try_without(s, from, nr))
				any = true;
			if (from > s->seq->nr)
				from = s->seq->nr;
		}
	}
	return any;
}

static bool try_step(struct shrink *s, unsigned int at, const struct step *plainer)
{
	struct step before = s->seq->steps[at];
	struct sequence tried = *s->seq;

	if (!memcmp(&before, plainer, sizeof(before)))
		return false;
	s->seq->steps[at] = *plainer;
	if (still_fails(s, &tried)) {
		s->seq->nr = tried.nr;
		return true;
	}
	s->seq->steps[at] = before;
	return false;
}

#define FIELD(name)                                                           \
	{                                                                     \
		offsetof(struct step, name), sizeof(((struct step *)0)->name) \
	}

static bool shrink_fields(struct shrink *s)
{
	static const struct {
		size_t at, size;
	} fields[] = {
		FIELD(batch), FIELD(wrong),  FIELD(stack),  FIELD(token),
		FIELD(flags), FIELD(size),   FIELD(client), FIELD(device),
		FIELD(space), FIELD(buffer), FIELD(arg),
	};
	struct step plainer;
	bool any = false;
	unsigned int i, j;

	for (i = 0; i < s->seq->nr; i++) {
		for (j = 0; j < ARRAY_SIZE(fields) && i < s->seq->nr; j++) {
			plainer = s->seq->steps[i];
			memset((char *)&plainer + fields[j].at, 0, fields[j].size);
			any |= try_step(s, i, &plainer);
		}
		if (i < s->seq->nr) {
			plainer = s->seq->steps[i];
			plainer.arg /= 2;
			any |= try_step(s, i, &plainer);
		}
	}
	return any;
}

/**
 * sequence_shrink() - find a short sequence that fails
 * @seq: one that fails; the short one afterwards
 * @max_runs: how often it may be tried
 * @fails: runs a sequence, and says whether it failed
 * @arg: for @fails
 * @first: how it differed; other differences are told of, but not followed
 *
 * Return: how often it was tried.
 */
unsigned int sequence_shrink(struct sequence *seq, unsigned int max_runs, sequence_fn fails,
			     void *arg, const struct mismatch *first)
{
	struct shrink s = {
		.seq = seq,
		.max_runs = max_runs,
		.fails = fails,
		.arg = arg,
		.first = first,
	};
	bool again;

	s.spare = calloc(seq->nr + 1, sizeof(*s.spare));
	if (!s.spare)
		return 0;
	if (still_fails(&s, seq)) {
		do {
			again = shrink_steps(&s);
			again |= shrink_fields(&s);
		} while (again);
	}
	free(s.spare);
	return s.runs;
}
