// SPDX-License-Identifier: GPL-2.0
/*
 * What the calls come to: an ordinary one in its caller's tally, any other at once.
 */
#include "tally.h"

/**
 * bufftrack_tally_flush() - count what a caller's ordinary calls came to
 * @tally: what they came to; empty afterwards
 * @client: the caller's
 */
void bufftrack_tally_flush(struct bt_tally *tally, struct bt_client *client)
{
	struct bt_space *space = tally->space;
	struct bt_stats *user = &client->user->stats;

	if (tally->revived) {
		bt_stats_add(space->stats, BT_REVIVED, tally->revived);
		bt_stats_add(user, BT_REVIVED, tally->revived);
		bt_stats_add(&client->stats, BT_REVIVED, tally->revived);
	}
	if (unlikely(tally->fresh)) {
		bt_stats_add(space->stats, BT_FRESH, tally->fresh);
		bt_stats_add(user, BT_FRESH, tally->fresh);
		bt_stats_add(&client->stats, BT_FRESH, tally->fresh);
	}
	if (tally->freed) {
		bt_stats_add(space->stats, BT_FREED, tally->freed);
		bt_stats_add(user, BT_FREED, tally->freed);
		bt_stats_add(&client->stats, BT_FREED, tally->freed);
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
	space = xa_load(&share->spaces.by_id, space_id);
	return likely(space) ? space->stats : share->stats;
}

/**
 * bufftrack_count() - count one event
 * @what: the event
 * @part: the part of a device that it counts in, or NULL
 * @user: the user that it counts for
 * @client: the client that it counts for, or NULL
 */
void bufftrack_count(enum bt_count what, struct bt_stats *part, struct bt_user *user,
		     struct bt_client *client)
{
	if (part)
		bt_stats_add(part, what, 1);
	bt_stats_add(&user->stats, what, 1);
	if (client)
		bt_stats_add(&client->stats, what, 1);
}

/**
 * bufftrack_count_verdict() - count a bad verdict; after the call itself was counted, if it was
 * @client: the client that it counts for
 * @part: the part of a device that it counts in, or NULL
 * @verdict: one of &enum bufftrack_verdict, but OK
 * @certain: it is a bad free that is proven
 */
void bufftrack_count_verdict(struct bt_client *client, struct bt_stats *part, u32 verdict,
			     bool certain)
{
	smp_wmb(); /* bufftrack_stats_read() */
	if (part)
		atomic64_inc(&part->verdicts[verdict]);
	atomic64_inc(&client->user->stats.verdicts[verdict]);
	atomic64_inc(&client->stats.verdicts[verdict]);
	if (!certain)
		return;
	smp_wmb(); /* bufftrack_stats_read() */
	if (part)
		atomic64_inc(&part->certain);
	atomic64_inc(&client->user->stats.certain);
	atomic64_inc(&client->stats.certain);
}
