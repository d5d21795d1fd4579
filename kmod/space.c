// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces: the kinds of memory of a device that a share has used, and their names.
 */
#include <linux/slab.h>

#include "param.h"
#include "space.h"

static DEFINE_SPINLOCK(bt_names_lock);

/* bufftrack_spaces_init - of a share that nobody sees yet */
void bufftrack_spaces_init(struct bt_spaces *spaces, struct bt_share *share,
			   struct bt_spaces *parent)
{
	spaces->share = share;
	spaces->parent = parent;
	mutex_init(&spaces->lock);
	/* Its nodes are large, and several for a space where the user numbers them far apart. */
	xa_init_flags(&spaces->by_id, XA_FLAGS_ACCOUNT);
}

/* bufftrack_spaces_destroy - of a share that nobody sees any more */
void bufftrack_spaces_destroy(struct bt_spaces *spaces)
{
	struct bt_space *space;
	unsigned long id;

	xa_for_each(&spaces->by_id, id, space) {
		bufftrack_stats_destroy(&space->own_stats);
		kfree(space);
	}
	xa_destroy(&spaces->by_id);
}

/* bufftrack_space_get - the share's space, made where not there, or ERR_PTR */
struct bt_space *bufftrack_space_get(struct bt_spaces *spaces, u32 id)
{
	/* Needs no lock: xa_store() below publishes it complete, and it stays with the share. */
	struct bt_space *space = xa_load(&spaces->by_id, id);
	struct bt_space *parent = NULL;
	int err;

	if (likely(space))
		return space;

	if (spaces->parent) {
		parent = bufftrack_space_get(spaces->parent, id);
		if (IS_ERR(parent))
			return parent;
	}

	/* All who come here are of one user: who waits for memory has nobody else wait. */
	mutex_lock(&spaces->lock);
	space = xa_load(&spaces->by_id, id);
	if (space)
		goto out;
	err = -ENOSPC;
	if (spaces->nr >= BT_MAX_SPACES)
		goto fail;
	err = -ENOMEM;
	space = kzalloc(sizeof(*space), BT_GFP);
	if (!space)
		goto fail;
	space->stats = parent ? parent->stats : &space->own_stats;
	if (!parent && bufftrack_stats_init(space->stats))
		goto free;
	space->share = spaces->share;
	space->id = id;
	err = xa_err(xa_store(&spaces->by_id, id, space, BT_GFP));
	if (err)
		goto stats;
	spaces->nr++;
out:
	mutex_unlock(&spaces->lock);
	return space;
stats:
	bufftrack_stats_destroy(&space->own_stats);
free:
	kfree(space);
fail:
	mutex_unlock(&spaces->lock);
	return ERR_PTR(err);
}

/* bufftrack_name_copy - to or from where another may do so: BUFFTRACK_NAME_LEN bytes */
void bufftrack_name_copy(char *to, const char *from)
{
	spin_lock(&bt_names_lock);
	memcpy(to, from, BUFFTRACK_NAME_LEN);
	spin_unlock(&bt_names_lock);
}
