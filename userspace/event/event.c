// SPDX-License-Identifier: GPL-2.0
/* Events: their kinds and their names. */
#include <string.h>

#include "event/event.h"
#include "event/names.h"
#include "util/util.h"

/* The events that are no verdict; every other one is. */
static const struct {
	const char *name;
	enum event_kind kind;
} ordinary[] = {
	{ "alloc", EVENT_ALLOC },
	{ "free", EVENT_FREE },
	{ "undo", EVENT_UNDO },
	{ "client_open", EVENT_CLIENT_OPEN },
	{ "client_close", EVENT_CLIENT_CLOSE },
	{ "reset", EVENT_RESET },
	{ EVENT_FORK_NAME, EVENT_FORK },
};

static const char *short_name(const char *name)
{
	size_t len = strlen(EVENT_PREFIX);

	return strncmp(name, EVENT_PREFIX, len) ? name : name + len;
}

static void classify(struct event *event)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ordinary); i++) {
		if (strcmp(event->name, ordinary[i].name))
			continue;
		event->kind = ordinary[i].kind;
		return;
	}
	event->kind = EVENT_BAD;
	event->verdict = verdict_of_name(event->name);
	if (event->verdict == BUFFTRACK_LEAK)
		event->kind = EVENT_LEAK;
}

/* Whether the tracepoint @name tells of something that is no mistake. */
bool event_is_ordinary(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ordinary); i++)
		if (strcmp(short_name(name), ordinary[i].name) == 0)
			return true;
	return false;
}

/* Whether the event is about one buffer. */
bool event_has_key(const struct event *event)
{
	return event->kind != EVENT_CLIENT_OPEN && event->kind != EVENT_CLIENT_CLOSE &&
	       event->kind != EVENT_RESET && event->kind != EVENT_FORK;
}

/*
 * The second task that has to do with it: who freed first; where a free was missed,
 * who allocated. Its time is 0 where there is none.
 */
const struct who *event_other(const struct event *event)
{
	return event->verdict == BUFFTRACK_MISSED_FREE ? &event->life.allocated
						       : &event->life.freed;
}

/* An event of that tracepoint, of which nothing else is known yet. */
void event_begin(struct event *event, const char *tracepoint)
{
	*event = (struct event){ .verdict = BUFFTRACK_NR_VERDICTS };
	copy_text(event->name, sizeof(event->name), short_name(tracepoint), sizeof(event->name));
	classify(event);
}
