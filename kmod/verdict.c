// SPDX-License-Identifier: GPL-2.0
/*
 * Verdicts: name, errno, and what each is said of, from the list that the tool, the
 * library and the tests share.
 */
#include <linux/bufftrack_verdicts.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>

#include "verdict.h"

enum verdict_of { OF_OK, OF_FREE, OF_ALLOC, OF_BOTH, OF_EXIT };

static const struct {
	const char *name;
	int strict;
	enum verdict_of of;
} verdicts[] = {
#define ROW(_verdict, _name, _words, _errno, _of) \
	[BUFFTRACK_##_verdict] = { .name = #_name, .strict = -(_errno), .of = OF_##_of },
	BUFFTRACK_VERDICTS(ROW)
#undef ROW
};

static_assert(ARRAY_SIZE(verdicts) == BUFFTRACK_NR_VERDICTS);

/**
 * bufftrack_verdict_name() - a verdict's name, as events and the log have it
 * @verdict: one of &enum bufftrack_verdict
 *
 * Return: the name.
 */
const char *bufftrack_verdict_name(u32 verdict)
{
	return verdicts[verdict].name;
}

/**
 * bufftrack_verdict_errno() - what a STRICT client gets for a verdict
 * @verdict: one of &enum bufftrack_verdict
 *
 * Return: the negative errno, 0 for a good one.
 */
int bufftrack_verdict_errno(u32 verdict)
{
	return verdicts[verdict].strict;
}

/**
 * bufftrack_verdict_is_of_free() - whether only a FREE gets this verdict
 * @verdict: one of &enum bufftrack_verdict
 *
 * Return: true for the bad frees, which have a line in the log.
 */
bool bufftrack_verdict_is_of_free(u32 verdict)
{
	return verdicts[verdict].of == OF_FREE;
}
