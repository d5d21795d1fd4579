// SPDX-License-Identifier: GPL-2.0
/* The groups of bad frees: what is told whole, what is counted, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "report/group.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/util.h"

#define SECOND GROUP_TELL_NS

static unsigned int tests, failed;

/* What was told of groups. */
static uint64_t messages, counted;
static uint64_t last_all;
static char last_text[REPORT_GROUP_TEXT];

/* Stack 1000 and above are gone; the last digit is the place, the rest the process. */
const struct stack *stacks_get(struct stacks *stacks, uint32_t id, uint32_t pid, uint64_t time)
{
	(void)pid;
	(void)time;
	static struct stack stack;

	(void)stacks;
	stack = (struct stack){ .id = id, .hash = 77000 + id % 10, .nr = id < 1000 };
	return &stack;
}

void report_group_text(const struct report_style *style, const struct event *event,
		       char text[REPORT_GROUP_TEXT])
{
	(void)style;
	snprintf(text, REPORT_GROUP_TEXT, "%s %" PRIx64, event->name, event->buffer);
}

void report_group(const char *text, uint64_t more, uint64_t all)
{
	messages++;
	counted += more;
	last_all = all;
	snprintf(last_text, sizeof(last_text), "%s", text);
}

static void expect(const char *name, uint64_t wanted, uint64_t seen)
{
	tests++;
	printf("%sok %u - %s\n", wanted == seen ? "" : "not ", tests, name);
	if (wanted == seen)
		return;
	failed++;
	printf("# wanted %" PRIu64 ", seen %" PRIu64 "\n", wanted, seen);
}

static struct event bad_free(uint32_t offender, uint32_t freed, uint64_t buffer)
{
	struct event event = {
		.name = "double_free",
		.kind = EVENT_BAD,
		.verdict = BUFFTRACK_DOUBLE_FREE,
		.device = 4,
		.buffer = buffer,
		.by.stack_id = offender,
		.life.freed.stack_id = freed,
	};

	return event;
}

static struct groups *begin(void)
{
	static struct report_style style;

	messages = 0;
	counted = 0;
	last_all = 0;
	last_text[0] = '\0';
	return groups_new(&style);
}

/* How many of @nr such events are told whole. */
static uint64_t take(struct groups *groups, struct event event, unsigned int nr, uint64_t now)
{
	uint64_t whole = 0;

	while (nr--)
		whole += groups_take(groups, &event, now);
	return whole;
}

static void test_counting(void)
{
	struct groups *groups = begin();

	expect("five are told whole", 5, take(groups, bad_free(11, 12, 1), 100, SECOND));
	expect("others of the group are of any buffer", 0,
	       take(groups, bad_free(11, 12, 2), 1, SECOND));
	expect("nothing is told within a second", 0, messages);
	groups_tell_due(groups, 2 * SECOND - 1);
	expect("nor by a tick before that", 0, messages);
	groups_tell_due(groups, 2 * SECOND);
	expect("then how many more", 96, counted);
	expect("and how many in all", 101, last_all);
	groups_tell_due(groups, 9 * SECOND);
	groups_end(groups);
	expect("where no more came no more is told", 1, messages);
	groups_free(groups);
}

static void test_flood(void)
{
	struct groups *groups = begin();
	unsigned int i;

	for (i = 0; i < 10000; i++)
		take(groups, bad_free(11, 12, 1), 1, SECOND + i * (SECOND / 1000));
	expect("a flood is told of once a second", 9, messages);
	groups_end(groups);
	expect("and the rest at the end", 10, messages);
	expect("which is all of it", 10000 - GROUP_WHOLE, counted);
	groups_free(groups);
}

static void test_keys(void)
{
	struct groups *groups = begin();
	struct event other = bad_free(11, 12, 1);

	take(groups, other, 5, SECOND);
	expect("the same places in another process", 0,
	       take(groups, bad_free(21, 22, 1), 1, SECOND));
	expect("another offender", 1, take(groups, bad_free(13, 12, 1), 1, SECOND));
	expect("another first free", 1, take(groups, bad_free(11, 13, 1), 1, SECOND));
	snprintf(other.name, sizeof(other.name), "stale_free");
	expect("another verdict", 1, take(groups, other, 1, SECOND));
	expect("stacks that are gone", 5, take(groups, bad_free(1000, 2000, 1), 9, SECOND));
	expect("are told apart by their numbers", 1,
	       take(groups, bad_free(1010, 2000, 1), 1, SECOND));
	expect("without a stack", 5, take(groups, bad_free(0, 0, 1), 9, SECOND));
	expect("another buffer", 5, take(groups, bad_free(0, 0, 2), 6, SECOND));
	other = bad_free(0, 0, 1);
	other.device = 5;
	expect("another device", 1, take(groups, other, 1, SECOND));
	other = bad_free(0, 0, 1);
	other.space = 1;
	expect("another space", 1, take(groups, other, 1, SECOND));
	other = bad_free(11, 12, 1);
	other.kind = EVENT_LEAK;
	expect("leaks are told whole", 9, take(groups, other, 9, SECOND));
	other = bad_free(31, 32, 1);
	other.verdict = BUFFTRACK_MISSED_FREE;
	snprintf(other.name, sizeof(other.name), "missed_free");
	take(groups, other, 5, SECOND);
	other.life.allocated.stack_id = 33;
	expect("a missed free: another alloc", 1, take(groups, other, 1, SECOND));
	groups_free(groups);
}

static void test_bound(void)
{
	struct groups *groups = begin();
	uint64_t whole = 0;
	unsigned int i;

	take(groups, bad_free(0, 0, 0xfeed), 7, SECOND);
	take(groups, bad_free(0, 0, 0xbeef), 7, SECOND);
	for (i = 0; i < GROUP_MAX - 2; i++)
		whole += take(groups, bad_free(0, 0, i), 7, SECOND);
	expect("as many groups as there is room", 5 * (GROUP_MAX - 2), whole);
	expect("lose no count", 0, messages);
	take(groups, bad_free(0, 0, 0xfeed), 1, SECOND);
	take(groups, bad_free(0, 0, GROUP_MAX), 1, SECOND);
	expect("one more", 1, messages);
	expect("has one told", 2, counted);
	expect("the one that was quiet the longest", 0,
	       (uint64_t)strcmp(last_text, "double_free beef"));
	expect("which begins anew", 5, take(groups, bad_free(0, 0, 0xbeef), 6, SECOND));
	groups_end(groups);
	expect("every one is told or counted", 2 * GROUP_MAX + 2, counted);
	expect("and then forgotten", 5, take(groups, bad_free(0, 0, 0xfeed), 6, SECOND));
	groups_free(groups);
}

int main(void)
{
	test_counting();
	test_flood();
	test_keys();
	test_bound();
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
