// SPDX-License-Identifier: GPL-2.0
/*
 * The same bad free again and again: the first few are told whole, the rest are
 * counted. None is dropped: each count is told within a moment, before its group
 * is given up for a newer one, and at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "report/group.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/util.h"

/* What makes two bad frees the same; compared as bytes. */
struct group_key {
	char name[sizeof(((struct event *)0)->name)];
	uint64_t offender; /* the hash of its stack; 0 for none */
	uint64_t other;
	/* Of those without a stack. */
	uint64_t device;
	uint64_t buffer;
	uint64_t space;
};

struct group {
	struct group_key key;
	char text[REPORT_GROUP_TEXT];
	uint64_t all;
	uint64_t untold;
	uint64_t told_at;
	uint64_t used_at;
};

struct groups {
	const struct report_style *style;
	struct group groups[GROUP_MAX];
	size_t nr;
	uint64_t clock; /* counts events */
};

struct groups *groups_new(const struct report_style *style)
{
	struct groups *groups = xrealloc(NULL, 1, sizeof(*groups));

	groups->style = style;
	groups->nr = 0;
	groups->clock = 0;
	return groups;
}

void groups_free(struct groups *groups)
{
	free(groups);
}

static uint64_t hash_of(const struct groups *groups, const struct who *who)
{
	const struct stack *stack;

	if (!who->stack_id)
		return 0;
	stack = stacks_get(groups->style->stacks, who->stack_id, who->pid, who->time);
	/* What the kernel does not keep any more still has its number. */
	return stack->nr ? stack->hash : who->stack_id;
}

static void make_key(const struct groups *groups, const struct event *event, struct group_key *key)
{
	memset(key, 0, sizeof(*key));
	memcpy(key->name, event->name, sizeof(key->name));
	key->offender = hash_of(groups, &event->by);
	key->other = hash_of(groups, event_other(event));
	if (key->offender)
		return;
	key->device = event->device;
	key->buffer = event->buffer;
	key->space = event->space;
}

static void tell(struct group *group, uint64_t now)
{
	if (!group->untold)
		return;
	report_group(group->text, group->untold, group->all);
	group->untold = 0;
	group->told_at = now;
}

/* Room for a new one. */
static struct group *make_room(struct groups *groups, uint64_t now)
{
	struct group *oldest = groups->groups, *group;

	if (groups->nr < GROUP_MAX)
		return &groups->groups[groups->nr++];
	for (group = groups->groups; group < groups->groups + groups->nr; group++)
		if (group->used_at < oldest->used_at)
			oldest = group;
	tell(oldest, now);
	return oldest;
}

static struct group *find(struct groups *groups, const struct group_key *key, uint64_t now)
{
	struct group *group;

	for (group = groups->groups; group < groups->groups + groups->nr; group++)
		if (memcmp(&group->key, key, sizeof(*key)) == 0)
			return group;
	group = make_room(groups, now);
	*group = (struct group){ .key = *key };
	return group;
}

/**
 * groups_take - take an event in
 * @groups: all of them
 * @event: it
 * @now: the time
 *
 * Returns whether it is to be told whole; else it has been counted.
 */
bool groups_take(struct groups *groups, const struct event *event, uint64_t now)
{
	struct group_key key;
	struct group *group;

	if (event->kind != EVENT_BAD)
		return true;
	make_key(groups, event, &key);
	group = find(groups, &key, now);
	group->used_at = ++groups->clock;
	if (++group->all <= GROUP_WHOLE) {
		group->told_at = now;
		return true;
	}
	if (!group->text[0])
		report_group_text(groups->style, event, group->text);
	group->untold++;
	if (now - group->told_at >= GROUP_TELL_NS)
		tell(group, now);
	return false;
}

/* Tells the counts that have waited long enough. */
void groups_tell_due(struct groups *groups, uint64_t now)
{
	struct group *group;

	for (group = groups->groups; group < groups->groups + groups->nr; group++)
		if (now - group->told_at >= GROUP_TELL_NS)
			tell(group, now);
}

/* Tells all counts, and forgets the groups. */
void groups_end(struct groups *groups)
{
	struct group *group;

	for (group = groups->groups; group < groups->groups + groups->nr; group++)
		tell(group, 0);
	groups->nr = 0;
}
