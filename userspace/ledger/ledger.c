// SPDX-License-Identifier: GPL-2.0
/*
 * The balance of what was recorded, event by event. A recording may begin in the
 * middle of a life and may lack events; of each key the life that was last heard of
 * is followed. That a client is PRIVATE, its calls that counted say: bad ones before
 * the first of these are taken for everybody's.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/balance.h"
#include "event/event.h"
#include "ledger/ledger.h"
#include "util/util.h"

/* The clocks are compared anew after so long: a quarter of a second. */
#define SPAN_BITS 28

/**
 * struct times - when a life was recorded to begin and to end; 0 where it was not
 */
struct times {
	uint64_t generation;
	uint64_t began;
	uint64_t ended;
};

/**
 * struct life - the life of a key that was last heard of
 * @times: its own
 * @previous: those of the life before
 * @size: what it adds to the space's bytes while it is live
 * @held: the allocs of it that were told, less the frees
 */
struct life {
	struct times times;
	struct times previous;
	uint64_t size;
	int64_t held;
};

/* In a span of time, the least distance of the clocks that was seen. */
struct clock_span {
	uint64_t nr;
	int64_t offset;
};

struct ledger {
	struct balance *balance;
	struct ledger_space *spaces;
	size_t nr_spaces;
	void *private_clients; /* a tree of their ids */
	uint64_t uses; /* calls that counted */
	uint64_t bad_uses; /* those of them that had a bad verdict besides */
	uint64_t before;
	struct clock_span *spans; /* in the order of time */
	size_t nr_spans;
};

struct ledger *ledger_new(void)
{
	struct ledger *ledger = xrealloc(NULL, 1, sizeof(*ledger));

	*ledger = (struct ledger){ .balance = balance_new() };
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	balance_free(ledger->balance);
	tdestroy(ledger->private_clients, free);
	free(ledger->spaces);
	free(ledger->spans);
	free(ledger);
}

static struct ledger_space *find_space(struct ledger *ledger, const struct balance_key *key)
{
	struct ledger_space *space;

	for (space = ledger->spaces; space < ledger->spaces + ledger->nr_spaces; space++)
		if (space->device == key->device && space->space == key->space)
			return space;
	ledger->spaces = xrealloc(ledger->spaces, ledger->nr_spaces + 1, sizeof(*ledger->spaces));
	space = &ledger->spaces[ledger->nr_spaces++];
	*space = (struct ledger_space){ .device = key->device, .space = key->space };
	return space;
}

/* One after another, the spaces that have changed; NULL where none has any more. */
const struct ledger_space *ledger_changed(struct ledger *ledger)
{
	struct ledger_space *space;

	for (space = ledger->spaces; space < ledger->spaces + ledger->nr_spaces; space++) {
		if (!space->changed)
			continue;
		space->changed = false;
		return space;
	}
	return NULL;
}

static struct life *life_of(struct balance_key *key)
{
	if (!key->data) {
		key->data = xrealloc(NULL, 1, sizeof(struct life));
		*(struct life *)key->data = (struct life){ 0 };
	}
	return key->data;
}

static void set_live(struct ledger *ledger, struct balance_key *key, bool live)
{
	struct ledger_space *space;

	if (key->live == live)
		return;
	key->live = live;
	space = find_space(ledger, key);
	space->changed = true;
	space->live += live ? 1 : -1ULL;
	space->bytes += live ? life_of(key)->size : -life_of(key)->size;
}

static void credit(struct ledger *ledger, struct balance_key *key, uint64_t references)
{
	key->before += references;
	ledger->before += references;
}

/* What was freed of a life, and not allocated, was allocated before. */
static void credit_life(struct ledger *ledger, struct balance_key *key)
{
	const struct life *life = key->data;

	if (life && life->held < 0)
		credit(ledger, key, (uint64_t)-life->held);
}

static void begin_life(struct ledger *ledger, struct balance_key *key, const struct event *event,
		       uint64_t began)
{
	struct life *life = life_of(key);

	credit_life(ledger, key);
	set_live(ledger, key, false);
	*life = (struct life){
		.times = { .generation = event->generation, .began = began },
		.previous = life->times,
		.size = event->size,
	};
	set_live(ledger, key, true);
}

static void end_life(struct ledger *ledger, struct balance_key *key, uint64_t generation,
		     uint64_t time)
{
	struct life *life = life_of(key);

	if (life->times.generation != generation)
		return;
	life->times.ended = time;
	set_live(ledger, key, false);
}

/* An alloc or a free that counted. */
static void take_use(struct ledger *ledger, struct balance_key *key, const struct event *event)
{
	bool alloc = event->kind == EVENT_ALLOC;
	struct life *life = life_of(key);

	ledger->uses++;
	balance_call(ledger->balance, key, alloc);
	if (event->flags & BUFFTRACK_F_VIEW)
		return;
	/* The first alloc of a life is the one that leaves one reference. */
	if (alloc && event->refs == 1)
		begin_life(ledger, key, event, event->by.time);
	else if (event->generation > life->times.generation)
		begin_life(ledger, key, event, 0);
	if (event->generation == life->times.generation)
		life->held += alloc ? 1 : -1;
	if (alloc || event->refs)
		return;
	end_life(ledger, key, event->generation, event->by.time);
	balance_released(ledger->balance);
}

static void end_device(struct ledger *ledger, const struct event *event)
{
	struct balance_key **keys;
	size_t i;

	for (i = balance_keys(ledger->balance, &keys); i-- > 0;)
		if (keys[i]->device == event->device && keys[i]->live)
			end_life(ledger, keys[i], life_of(keys[i])->times.generation,
				 event->by.time);
}

/* The first span that is not before @nr. */
static size_t find_span(const struct ledger *ledger, uint64_t nr)
{
	size_t first = 0, last = ledger->nr_spans, middle;

	while (first < last) {
		middle = (first + last) / 2;
		if (ledger->spans[middle].nr < nr)
			first = middle + 1;
		else
			last = middle;
	}
	return first;
}

/* What was recorded at @recorded had taken its own time, @told, just before. */
static void learn_offset(struct ledger *ledger, uint64_t recorded, uint64_t told)
{
	const struct clock_span span = {
		.nr = recorded >> SPAN_BITS,
		.offset = (int64_t)(recorded - told),
	};
	size_t i;

	if (!recorded || !told)
		return;
	i = find_span(ledger, span.nr);
	if (i < ledger->nr_spans && ledger->spans[i].nr == span.nr) {
		if (span.offset < ledger->spans[i].offset)
			ledger->spans[i].offset = span.offset;
		return;
	}
	ledger->spans = xrealloc(ledger->spans, ledger->nr_spans + 1, sizeof(span));
	memmove(&ledger->spans[i + 1], &ledger->spans[i], (ledger->nr_spans - i) * sizeof(span));
	ledger->spans[i] = span;
	ledger->nr_spans++;
}

static void learn_from(struct ledger *ledger, const struct times *times,
		       const struct life_span *span)
{
	if (!times->generation || times->generation != span->generation)
		return;
	learn_offset(ledger, times->began, span->allocated.time);
	learn_offset(ledger, times->ended, span->freed.time);
}

/*
 * An event tells of earlier ones the time by CLOCK_MONOTONIC, which was taken just
 * before they were recorded.
 */
static void learn_clock(struct ledger *ledger, const struct balance_key *key,
			const struct event *event)
{
	static const struct life none;
	const struct life *life = key->data ? key->data : &none;

	learn_from(ledger, &life->times, &event->life);
	learn_from(ledger, &life->previous, &event->life);
	learn_from(ledger, &life->times, &event->previous);
	learn_from(ledger, &life->previous, &event->previous);
	/* What ended that life is the offence. */
	if (event->verdict == BUFFTRACK_MISSED_FREE)
		learn_offset(ledger, event->by.time, event->life.freed.time);
}

static void take_bad(struct ledger *ledger, struct balance_key *key, const struct event *event)
{
	learn_clock(ledger, key, event);
	balance_verdict(ledger->balance, event->verdict, 1);
	switch (event->verdict) {
	case BUFFTRACK_LEAK:
		if (life_of(key)->times.generation != event->generation)
			credit(ledger, key, event->count);
		else if (!event->refs)
			end_life(ledger, key, event->generation, event->by.time);
		break;
	case BUFFTRACK_MISSED_FREE:
		end_life(ledger, key, event->life.generation, event->by.time);
		ledger->bad_uses++;
		break;
	case BUFFTRACK_SIZE_MISMATCH:
		ledger->bad_uses++;
		break;
	case BUFFTRACK_DANGLING_VIEW:
		balance_call(ledger->balance, key, true);
		break;
	case BUFFTRACK_NR_VERDICTS:
		break;
	default:
		balance_call(ledger->balance, key, false);
	}
}

static int compare_ids(const void *first, const void *second)
{
	return compare_numbers(*(const uint64_t *)first, *(const uint64_t *)second);
}

/* The client whose key it is, 0 where that is everybody's. */
static uint64_t client_of_key(struct ledger *ledger, const struct event *event)
{
	uint64_t *id;

	if (tfind(&event->client, &ledger->private_clients, compare_ids))
		return event->client;
	if (!(event->flags & BUFFTRACK_LIFE_PRIVATE))
		return 0;
	id = xrealloc(NULL, 1, sizeof(*id));
	*id = event->client;
	if (!tsearch(id, &ledger->private_clients, compare_ids)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	return *id;
}

/* Takes the next event into account. */
void ledger_take(struct ledger *ledger, const struct event *event)
{
	struct balance_key *key;

	if (event->kind == EVENT_RESET)
		end_device(ledger, event);
	if (!event_has_key(event))
		return;
	key = balance_key(ledger->balance, &(struct balance_key){
						   .device = event->device,
						   .buffer = event->buffer,
						   .client = client_of_key(ledger, event),
						   .space = event->space,
					   });
	if (event->kind == EVENT_ALLOC || event->kind == EVENT_FREE)
		take_use(ledger, key, event);
	else
		take_bad(ledger, key, event);
}

/**
 * ledger_clock - by how much the recording's clock is ahead of CLOCK_MONOTONIC
 * @ledger: which has taken the whole recording
 * @time: when, by the recording's clock
 * @offset: that much
 *
 * The clocks drift apart: it is what was learnt about that time. Returns false where
 * nothing was.
 */
bool ledger_clock(const struct ledger *ledger, uint64_t time, int64_t *offset)
{
	const struct clock_span *spans = ledger->spans;
	uint64_t nr = time >> SPAN_BITS;
	size_t i, nearest;

	if (!ledger->nr_spans)
		return false;
	i = find_span(ledger, nr);
	nearest = i;
	if (i == ledger->nr_spans || (i && nr - spans[i - 1].nr < spans[i].nr - nr))
		nearest = i - 1;
	*offset = spans[nearest].offset;
	for (i = nearest ? nearest - 1 : 0; i < ledger->nr_spans && i <= nearest + 1; i++)
		if (spans[i].nr + 1 >= spans[nearest].nr && spans[i].nr <= spans[nearest].nr + 1 &&
		    spans[i].offset < *offset)
			*offset = spans[i].offset;
	return true;
}

/**
 * ledger_close - the balance, summed up
 * @ledger: to be used no more, but by ledger_free()
 * @before: references that were taken before the recording began, or the taking of
 *	which was not recorded
 */
struct balance *ledger_close(struct ledger *ledger, uint64_t *before)
{
	struct balance_key **keys;
	size_t i;

	for (i = balance_keys(ledger->balance, &keys); i-- > 0;)
		credit_life(ledger, keys[i]);
	if (ledger->uses > ledger->bad_uses)
		balance_verdict(ledger->balance, BUFFTRACK_OK, ledger->uses - ledger->bad_uses);
	balance_sum_up(ledger->balance);
	*before = ledger->before;
	return ledger->balance;
}
