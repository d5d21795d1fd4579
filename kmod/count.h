/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a call counts in, and how.
 */
#ifndef BUFFTRACK_COUNT_H
#define BUFFTRACK_COUNT_H

#include "bufftrack.h"

struct bt_stats *bufftrack_part_stats(struct bt_share *share, u32 space_id);
void bufftrack_count_view(struct bt_client *client, struct bt_stats *part);
void bufftrack_count_verdict(struct bt_client *client, struct bt_stats *part, u32 verdict);

/* The tally, for a call in this space of the caller's own user. */
static inline struct bt_tally *bt_tally_of(struct bt_caller *caller, struct bt_space *space)
{
	if (unlikely(caller->tally.space != space)) {
		bufftrack_tally_flush(caller);
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

/* The space of the attach's share, where it has it; it stays as long as the share. */
static inline struct bt_space *bt_space_find(struct bt_attach *attach, u32 id)
{
	/* Acquire: pairs with the release below, so that the space is complete. */
	struct bt_space *space = smp_load_acquire(&attach->space);

	if (likely(space && space->id == id))
		return space;
	space = xa_load(&attach->share->spaces, id);
	if (space)
		/* Pairs with the acquire above. */
		smp_store_release(&attach->space, space);
	return space;
}

/* What a call of the attach's client counts in, beside the client and the user. */
static inline struct bt_stats *bt_attach_stats(struct bt_attach *attach, u32 space_id)
{
	struct bt_space *space = bt_space_find(attach, space_id);

	return likely(space) ? space->stats : bufftrack_part_stats(attach->share, space_id);
}

#endif /* BUFFTRACK_COUNT_H */
