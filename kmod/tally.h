/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What calls come to: an ordinary one in its caller's tally, any other at once.
 */
#ifndef BUFFTRACK_TALLY_H
#define BUFFTRACK_TALLY_H

#include "client.h"

/*
 * What a caller's ordinary calls come to, until it is counted: in the space, the
 * share, the user and the client, which are the same for all of them.
 */
struct bt_tally {
	struct bt_space *space; /* NULL: nothing to be counted, nothing here */
	u32 revived; /* as in enum bt_count */
	u32 fresh;
	u32 freed;
	s64 bytes; /* as in bt_stats_bytes() */
	s64 high;
};

void bufftrack_tally_flush(struct bt_tally *tally, struct bt_client *client);
struct bt_stats *bufftrack_part_stats(struct bt_share *share, u32 space_id);
void bufftrack_count(enum bt_count what, struct bt_stats *part, struct bt_user *user,
		     struct bt_client *client);
void bufftrack_count_verdict(struct bt_client *client, struct bt_stats *part, u32 verdict,
			     bool certain);

/* What a call of the attach's client counts in, beside the client and the user. */
static inline struct bt_stats *bt_attach_stats(struct bt_attach *attach, u32 space_id)
{
	struct bt_space *space = bt_attach_space(attach, space_id);

	return likely(space) ? space->stats : bufftrack_part_stats(attach->share, space_id);
}

#endif /* BUFFTRACK_TALLY_H */
