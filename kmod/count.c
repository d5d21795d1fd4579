// SPDX-License-Identifier: GPL-2.0
/*
 * What the calls come to: an ordinary one in its caller's tally, any other at once.
 */
#include "count.h"

/**
 * bufftrack_tally_flush() - count what a caller's ordinary calls came to
 * @caller: the caller, before it answers, and before it counts anything else
 */
void bufftrack_tally_flush(struct bt_caller *caller)
{
	struct bt_tally *tally = &caller->tally;
	struct bt_client *client = caller->client;
	struct bt_space *space = tally->space;
	struct bt_stats *user;

	if (!space)
		return;
	user = &client->user->stats;
	if (tally->revived) {
		bt_stats_add(space->stats, revived, tally->revived);
		bt_stats_add(user, revived, tally->revived);
		bt_stats_add(&client->stats, revived, tally->revived);
	}
	if (unlikely(tally->fresh)) {
		bt_stats_add(space->stats, fresh, tally->fresh);
		bt_stats_add(user, fresh, tally->fresh);
		bt_stats_add(&client->stats, fresh, tally->fresh);
	}
	if (tally->freed) {
		bt_stats_add(space->stats, freed, tally->freed);
		bt_stats_add(user, freed, tally->freed);
		bt_stats_add(&client->stats, freed, tally->freed);
	}
	bt_stats_bytes(space->stats, tally->bytes, tally->high);
	bt_stats_bytes(space->share->stats, tally->bytes, tally->high);
	bt_stats_bytes(user, tally->bytes, tally->high);
	bt_stats_bytes(&client->stats, tally->bytes, tally->high);
	tally->space = NULL;
}

/*
 * A call counts for its client, the client's user, and the user's part of the
 * device: the space, or the share where its user never had an ALLOC there. A space
 * is published complete, by xa_store(), and stays with the share.
 */
struct bt_stats *bufftrack_part_stats(struct bt_share *share, u32 space_id)
{
	struct bt_space *space;

	share = share->parent ?: share;
	space = xa_load(&share->spaces, space_id);
	return likely(space) ? space->stats : share->stats;
}

void bufftrack_count_view(struct bt_client *client, struct bt_stats *part)
{
	if (part)
		bt_stats_add(part, views, 1);
	bt_stats_add(&client->user->stats, views, 1);
	bt_stats_add(&client->stats, views, 1);
}

/* A bad one. Comes after the call itself was counted, if it was. */
void bufftrack_count_verdict(struct bt_client *client, struct bt_stats *part, u32 verdict)
{
	smp_wmb(); /* bufftrack_stats_read() */
	if (part)
		atomic64_inc(&part->verdicts[verdict]);
	atomic64_inc(&client->user->stats.verdicts[verdict]);
	atomic64_inc(&client->stats.verdicts[verdict]);
}
