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
	xa_init_flags(&spaces->tags, XA_FLAGS_ACCOUNT);
}

/* bufftrack_spaces_destroy - of a share that nobody sees any more */
void bufftrack_spaces_destroy(struct bt_spaces *spaces)
{
	struct bt_space *space;
	struct bt_tag *tag;
	unsigned long id;

	xa_for_each(&spaces->tags, id, tag)
		kfree(tag);
	xa_destroy(&spaces->tags);
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

/* ---- names of tags ---------------------------------------------------------- */

/* A tag has 64 bits, and an index as many as a long: of two that fall together one has a name. */
static unsigned long tag_index(u64 tag)
{
	return (unsigned long)(tag ^ (BITS_PER_LONG == 32 ? tag >> 32 : 0));
}

/* With the lock. */
static int tag_add(struct bt_spaces *spaces, u64 tag, const char *label)
{
	struct bt_tag *new;
	int err;

	if (spaces->nr_tags >= BT_MAX_TAGS)
		return -ENOSPC;
	new = kzalloc(sizeof(*new), BT_GFP);
	if (!new)
		return -ENOMEM;
	new->tag = tag;
	memcpy(new->label, label, sizeof(new->label));
	err = xa_err(xa_store(&spaces->tags, tag_index(tag), new, BT_GFP));
	if (err) {
		kfree(new);
		return err;
	}
	spaces->nr_tags++;
	return 0;
}

/**
 * bufftrack_tag_label() - name a tag
 * @spaces: of the share
 * @tag: the tag
 * @label: BUFFTRACK_NAME_LEN bytes; an empty one takes the name away
 *
 * Return: 0; -ENOSPC where the share has BT_MAX_TAGS names; -ENOMEM. May sleep.
 */
int bufftrack_tag_label(struct bt_spaces *spaces, u64 tag, const char *label)
{
	struct bt_tag *old;
	int err = 0;

	/* All who come here are of one user: who waits for memory has nobody else wait. */
	mutex_lock(&spaces->lock);
	old = xa_load(&spaces->tags, tag_index(tag));
	if (old && !*label) {
		xa_erase(&spaces->tags, tag_index(tag));
		kfree(old);
		spaces->nr_tags--;
	} else if (old) {
		old->tag = tag;
		memcpy(old->label, label, sizeof(old->label));
	} else if (*label) {
		err = tag_add(spaces, tag, label);
	}
	mutex_unlock(&spaces->lock);
	return err;
}

/* bufftrack_tag_label_get - a tag's name, or -ENOENT; may sleep */
int bufftrack_tag_label_get(struct bt_spaces *spaces, u64 tag, char *label)
{
	struct bt_tag *named;
	int err = -ENOENT;

	mutex_lock(&spaces->lock);
	named = xa_load(&spaces->tags, tag_index(tag));
	if (named && named->tag == tag) {
		memcpy(label, named->label, sizeof(named->label));
		err = 0;
	}
	mutex_unlock(&spaces->lock);
	return err;
}
