// SPDX-License-Identifier: GPL-2.0
/*
 * The balance of what was recorded, event by event. A recording may begin in the
 * middle of a life and may lack events; of each key the life that was last heard of
 * is followed. That a client is PRIVATE, its calls that counted say: bad ones before
 * the first of these are taken for everybody's.
 */
#include <search.h>
#include <stdlib.h>

#include "event/event.h"
#include "ledger/balance.h"
#include "ledger/clock.h"
#include "ledger/ledger.h"
#include "ledger/lives.h"
#include "util/util.h"

/**
 * struct times - when a life was recorded to begin and to end; 0 where it was not
 */
struct times {
	uint64_t generation;
	uint64_t began;
	uint64_t ended;
};

/**
 * struct key_life - the life of a key that was last heard of
 * @life: what is live of it
 * @times: its own
 * @previous: those of the life before
 * @held: the allocs of it that were told, less the frees
 */
struct key_life {
	struct life life;
	struct times times;
	struct times previous;
	int64_t held;
};

struct ledger {
	struct balance *balance;
	struct lives lives;
	struct clock clock;
	void *private_clients; /* a tree of their ids */
	uint64_t uses; /* calls that counted */
	uint64_t bad_uses; /* those of them that had a bad verdict besides */
	uint64_t before;
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
	lives_free(&ledger->lives);
	clock_free(&ledger->clock);
	free(ledger);
}

/* One after another, the spaces that have changed; NULL where none has any more. */
const struct lives_space *ledger_changed(struct ledger *ledger)
{
	return lives_changed(&ledger->lives);
}

static struct key_life *life_of(struct balance_key *key)
{
	struct key_life *life = key->data;

	if (life)
		return life;
	life = xrealloc(NULL, 1, sizeof(*life));
	*life = (struct key_life){ .life = { .device = key->device, .space = key->space } };
	key->data = life;
	return life;
}

static void set_live(struct ledger *ledger, struct balance_key *key, bool live)
{
	key->live = live;
	lives_set_live(&ledger->lives, &life_of(key)->life, live);
}

static void credit(struct ledger *ledger, struct balance_key *key, uint64_t references)
{
	key->before += references;
	ledger->before += references;
}

/* What was freed of a life, and not allocated, was allocated before. */
static void credit_life(struct ledger *ledger, struct balance_key *key)
{
	const struct key_life *life = key->data;

	if (life && life->held < 0)
		credit(ledger, key, (uint64_t)-life->held);
}

static void begin_life(struct ledger *ledger, struct balance_key *key, const struct event *event,
		       uint64_t began)
{
	struct key_life *life = life_of(key);

	credit_life(ledger, key);
	set_live(ledger, key, false);
	life->previous = life->times;
	life->times = (struct times){ .generation = event->generation, .began = began };
	life->life.generation = event->generation;
	life->life.size = event->size;
	life->held = 0;
	set_live(ledger, key, true);
}

static void end_life(struct ledger *ledger, struct balance_key *key, uint64_t generation,
		     uint64_t time)
{
	struct key_life *life = life_of(key);

	if (life->times.generation != generation)
		return;
	life->times.ended = time;
	set_live(ledger, key, false);
}

/* An alloc or a free that counted. */
static void take_use(struct ledger *ledger, struct balance_key *key, const struct event *event)
{
	bool alloc = event->kind == EVENT_ALLOC;
	struct key_life *life = life_of(key);

	ledger->uses++;
	/* A view owns nothing: it is no alloc, and to drop it no free. */
	if (event->flags & BUFFTRACK_F_VIEW)
		return;
	balance_call(ledger->balance, key, alloc);
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

static void learn_from(struct ledger *ledger, const struct times *times,
		       const struct life_span *span)
{
	if (!times->generation || times->generation != span->generation)
		return;
	clock_learn(&ledger->clock, times->began, span->allocated.time);
	clock_learn(&ledger->clock, times->ended, span->freed.time);
}

/*
 * An event tells of earlier ones the time by CLOCK_MONOTONIC, which was taken just
 * before they were recorded.
 */
static void learn_clock(struct ledger *ledger, const struct balance_key *key,
			const struct event *event)
{
	static const struct key_life none;
	const struct key_life *life = key->data ? key->data : &none;

	learn_from(ledger, &life->times, &event->life);
	learn_from(ledger, &life->previous, &event->life);
	learn_from(ledger, &life->times, &event->previous);
	learn_from(ledger, &life->previous, &event->previous);
	/* What ended that life is the offence. */
	if (event->verdict == BUFFTRACK_MISSED_FREE)
		clock_learn(&ledger->clock, event->by.time, event->life.freed.time);
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
	case BUFFTRACK_DANGLING:
	case BUFFTRACK_NR_VERDICTS:
		break;
	default:
		if (!(event->flags & BUFFTRACK_F_VIEW))
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
	else if (event->kind == EVENT_UNDO)
		balance_undo(ledger->balance, key);
	else
		take_bad(ledger, key, event);
}

/* What was learnt of the recording's clock: see clock_offset(). */
const struct clock *ledger_clock(const struct ledger *ledger)
{
	return &ledger->clock;
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
