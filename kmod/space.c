// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces: the kinds of memory of a device that a share has used, and their names.
 */
#include <linux/slab.h>

#include "bufftrack.h"

static DEFINE_SPINLOCK(bt_names_lock);

/* bufftrack_spaces_init - of a share that nobody sees yet */
void bufftrack_spaces_init(struct bt_share *share)
{
	mutex_init(&share->spaces_lock);
	/* Its nodes are large, and several for a space where the user numbers them far apart. */
	xa_init_flags(&share->spaces, XA_FLAGS_ACCOUNT);
}

/* bufftrack_spaces_destroy - of a share that nobody sees any more */
void bufftrack_spaces_destroy(struct bt_share *share)
{
	struct bt_space *space;
	unsigned long id;

	xa_for_each(&share->spaces, id, space) {
		bufftrack_stats_destroy(&space->own_stats);
		kfree(space);
	}
	xa_destroy(&share->spaces);
}

/* bufftrack_space_get - the share's space, made where not there, or ERR_PTR */
struct bt_space *bufftrack_space_get(struct bt_share *share, u32 id)
{
	/* Needs no lock: xa_store() below publishes it complete, and it stays with the share. */
	struct bt_space *space = xa_load(&share->spaces, id);
	struct bt_space *parent = NULL;
	int err;

	if (likely(space))
		return space;

	if (share->parent) {
		parent = bufftrack_space_get(share->parent, id);
		if (IS_ERR(parent))
			return parent;
	}

	/* All who come here are of one user: who waits for memory has nobody else wait. */
	mutex_lock(&share->spaces_lock);
	space = xa_load(&share->spaces, id);
	if (space)
		goto out;
	err = -ENOSPC;
	if (share->nr_spaces >= BT_MAX_SPACES)
		goto fail;
	err = -ENOMEM;
	space = kzalloc(sizeof(*space), BT_GFP);
	if (!space)
		goto fail;
	space->stats = parent ? parent->stats : &space->own_stats;
	if (!parent && bufftrack_stats_init(space->stats))
		goto free;
	space->share = share;
	space->id = id;
	err = xa_err(xa_store(&share->spaces, id, space, BT_GFP));
	if (err)
		goto stats;
	share->nr_spaces++;
out:
	mutex_unlock(&share->spaces_lock);
	return space;
stats:
	bufftrack_stats_destroy(&space->own_stats);
free:
	kfree(space);
fail:
	mutex_unlock(&share->spaces_lock);
	return ERR_PTR(err);
}

/* bufftrack_name_copy - to or from where another may do so: BUFFTRACK_NAME_LEN bytes */
void bufftrack_name_copy(char *to, const char *from)
{
	spin_lock(&bt_names_lock);
	memcpy(to, from, BUFFTRACK_NAME_LEN);
	spin_unlock(&bt_names_lock);
}

/* bufftrack_label - name the caller's share of a device, or of a space of it */
int bufftrack_label(struct bt_share *share, const struct bufftrack_label *arg)
{
	struct bt_space *space = NULL;

	share = share->parent ?: share;
	if (arg->flags & BUFFTRACK_LABEL_SPACE) {
		space = bufftrack_space_get(share, arg->space);
		if (IS_ERR(space))
			return PTR_ERR(space);
	}
	bufftrack_name_copy(space ? space->label : share->label, arg->label);
	return 0;
}
