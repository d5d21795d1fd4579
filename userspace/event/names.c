// SPDX-License-Identifier: GPL-2.0
/* The names of verdicts and of states, each in one table. */
#include <assert.h>
#include <linux/bufftrack_verdicts.h>
#include <string.h>

#include "event/names.h"
#include "util/util.h"

static const char *const verdict_names[] = {
#define ROW(_verdict, _name, _words, _errno, _of) [BUFFTRACK_##_verdict] = #_name,
	BUFFTRACK_VERDICTS(ROW)
#undef ROW
};

static_assert(ARRAY_SIZE(verdict_names) == BUFFTRACK_NR_VERDICTS, "each verdict has its name");

static const struct state_words states[] = {
	[BUFFTRACK_STATE_NONE] = { "none", "none", '?', "ended by", "ended by" },
	[BUFFTRACK_STATE_LIVE] = { "live", "live", '?', "ended by", "ended by" },
	[BUFFTRACK_STATE_FREED] = { "freed", "free", 'F', "freed before", "freed by" },
	[BUFFTRACK_STATE_EXITED] = { "exited", "exit", 'X', "ended by exit of", "exit of" },
	[BUFFTRACK_STATE_RESET] = { "reset", "reset", 'R', "ended by reset of", "reset by" },
	[BUFFTRACK_STATE_MISSED] = { "missed", "missed", 'M', "replaced by", "replaced by" },
	[BUFFTRACK_STATE_LAST] = { "last", "last", 'L', "freed for good", "freed for good by" },
	[BUFFTRACK_STATE_CONTEXT] = { "context", "context", 'C', "context ended by", "context of" },
};

static const struct info_word infos[] = {
	{ BUFFTRACK_INFO_PROBABLE, "probable", NULL },
	{ BUFFTRACK_INFO_HISTORY_LOST, "history_lost", NULL },
	{ BUFFTRACK_INFO_NOT_RECORDED, "not_recorded",
	  "a call of this client was refused, or it came late: this may never have been recorded" },
	{ BUFFTRACK_INFO_FORKED, "forked",
	  "a forked child and its parent are involved: only one of them owns the buffer" },
	{ BUFFTRACK_INFO_CONSEQUENCE, "consequence",
	  "it follows from an earlier report of this buffer, which is the one to look at" },
	{ BUFFTRACK_INFO_UNDONE, "undone", "a free of this allocation was taken back (undo)" },
	{ BUFFTRACK_INFO_VIEWS_LEFT, "views_left", "it was freed while views of it were left" },
	{ BUFFTRACK_INFO_CLOSING, "closing", "the other process is gone, or on its way out" },
	{ 0, NULL, NULL },
};

static const struct state_words unknown_state = { "unknown", "none", '?', "ended by", "ended by" };

/* The verdict as it is called in JSON and in the name of its tracepoint. */
const char *verdict_name(unsigned int verdict)
{
	return verdict < ARRAY_SIZE(verdict_names) ? verdict_names[verdict] : "unknown_verdict";
}

/* BUFFTRACK_NR_VERDICTS where there is none of that name. */
unsigned int verdict_of_name(const char *name)
{
	unsigned int i = 0;

	while (i < ARRAY_SIZE(verdict_names) && strcmp(name, verdict_names[i]))
		i++;
	return i;
}

/* The words for a state, also for one that this tool does not know. */
const struct state_words *state_words(unsigned int state)
{
	return state < ARRAY_SIZE(states) ? &states[state] : &unknown_state;
}

/* The info bits, in their order; the last has no word. */
const struct info_word *info_words(void)
{
	return infos;
}
