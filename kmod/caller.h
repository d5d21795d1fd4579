/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Callers: a task in a call of one ALLOC or FREE, or of many.
 */
#ifndef BUFFTRACK_CALLER_H
#define BUFFTRACK_CALLER_H

#include "tally.h"

struct bt_caller {
	struct bt_client *client;
	struct bt_actor *actor;
	u32 refs; /* of the actor, that are the caller's: 1 or more */
	u64 now;
	struct bt_tally tally;
	struct bt_spares spares; /* records, for the keys that may come */
};

int bufftrack_caller_init(struct bt_caller *caller, struct bt_client *client);
void bufftrack_caller_init_actor(struct bt_caller *caller, const struct bt_caller *from,
				 struct bt_actor *actor);
void bufftrack_caller_exit(struct bt_caller *caller);

/*
 * The caller read its clock before it took the lock, once for several entries of a batch: what
 * others did to the key meanwhile has later times. Its event came after those, and so is its
 * time: never before @time, that of the key's latest end or beginning of a life.
 */
static __always_inline void bt_caller_after(struct bt_caller *caller, u64 time)
{
	if (unlikely(caller->now < time))
		caller->now = time;
}

/* Count its ordinary calls: before it answers, waits, or counts anything else. */
static inline void bt_caller_flush(struct bt_caller *caller)
{
	if (caller->tally.space)
		bufftrack_tally_flush(&caller->tally, caller->client);
}

/* The tally, for a call in this space of the caller's own user. */
static inline struct bt_tally *bt_tally_of(struct bt_caller *caller, struct bt_space *space)
{
	if (unlikely(caller->tally.space != space)) {
		bt_caller_flush(caller);
		caller->tally = (struct bt_tally){ .space = space };
	}
	return &caller->tally;
}

static inline void bt_tally_bytes(struct bt_caller *caller, s64 delta)
{
	struct bt_tally *tally = &caller->tally;

	tally->bytes += delta;
	if (tally->bytes > tally->high)
		tally->high = tally->bytes;
}

/*
 * References to the caller's actor go to a record and come back from it, mostly one
 * for one: the caller hands on what came back.
 */
static inline struct bt_actor *bt_actor_give(struct bt_caller *caller)
{
	if (likely(caller->refs > 1))
		caller->refs--;
	else
		refcount_inc(&caller->actor->refs);
	return caller->actor;
}

static inline void bt_actor_take_back(struct bt_caller *caller, struct bt_actor *actor)
{
	if (likely(actor == caller->actor))
		caller->refs++;
	else
		bufftrack_actor_put(actor);
}

/* In place of an event of two lives ago: mostly the actor is the same one. */
static inline void bt_when_set(struct bt_when *when, struct bt_caller *caller)
{
	struct bt_actor *old = when->actor;

	if (unlikely(old != caller->actor)) {
		when->actor = bt_actor_give(caller);
		bufftrack_actor_put(old);
	}
	when->time = caller->now;
}

#endif /* BUFFTRACK_CALLER_H */
